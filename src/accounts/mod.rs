//! /etc/passwd and /etc/group: who a setting means, and what the environment then says.
//!
//! Pure: `run` reads the files, and libc is never asked, since it would load code and talk to
//! daemons of the image as root (NSS, nscd).
#![forbid(unsafe_code)]

pub mod entries;
pub mod environment;
pub mod lines;
pub mod resolve;
