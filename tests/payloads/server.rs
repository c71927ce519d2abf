//! Stands in for a server: prints the credentials of the process that it is, as state does,
//! whatever its arguments are.

#[allow(dead_code)]
#[path = "state.rs"]
mod state;

fn main() {
    state::credentials();
}
