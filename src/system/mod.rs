//! System calls: every unsafe line of the program, one small safe function each.
//!
//! The calls that change credentials are made directly: libc's wrappers act on all threads
//! of a process and may replace the errno, while this process has one thread. Each function
//! returns the errno of its call and does nothing else; the decisions are elsewhere.

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
