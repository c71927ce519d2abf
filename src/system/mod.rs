//! System calls: every unsafe line of the program, one small safe function each.
//!
//! A call that nix has is made through nix, here or in the module that needs it. The own code is for
//! calls that nix lacks, and for those where nix or libc makes more than one call, knows no real-time
//! signal, or cannot notice a success that a sandbox fakes. Each function returns the errno of its
//! call and does nothing else; the decisions are elsewhere.

mod credentials;
mod entry;
mod files;
mod memory;
mod output;
mod process;
mod signals;

pub use credentials::*;
pub use entry::*;
pub use files::*;
pub use memory::Memory;
pub use output::*;
pub use process::*;
pub use signals::*;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("on 32-bit targets these credential calls take 16-bit ids");
