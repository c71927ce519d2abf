//! System calls: all unsafe code of the program, in one small safe function per call.
//!
//! Calls that nix has are made through nix, here or in the module that needs them. This module has the calls
//! that nix lacks. It also replaces those where nix or libc makes several calls, knows no real-time signal,
//! or cannot notice a faked success. A function returns its call's errno and decides nothing.

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
