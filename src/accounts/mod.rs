//! /etc/passwd and /etc/group: which ids a setting means, and what the environment then says.
//!
//! Pure: `run` reads the files. libc's lookups must not be used: they load code and talk to daemons of the
//! image as root (NSS, nscd).
#![forbid(unsafe_code)]

pub mod entries;
pub mod environment;
pub mod lines;
pub mod resolve;
