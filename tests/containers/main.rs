//! capshim in real containers: the real binary, started by runc, observed from inside the
//! program that it executes.
//!
//! scripts/test builds what these tests need and runs them. A folder has the tests of one thing
//! that a user does; `harness` has what they share.

mod check;
mod command;
mod harness;
mod init;
mod install;
mod readme;
mod refuse;
mod start;
mod words;

/// What these tests take besides a runtime.
const PROGRAMS: [&str; 5] = ["capsh", "getcap", "musl-gcc", "python3", "strace"];
