//! Stands in for a server: prints the credentials of the process that it is, as state does,
//! whatever its arguments are.

#[expect(dead_code, reason = "its main is another program's")]
#[path = "state.rs"]
mod state;

fn main() {
    state::credentials();
}
