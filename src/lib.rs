//! capshim gives a non-root application exactly the Linux capabilities that its environment lists. Then it
//! executes the application and is gone.
//!
//! The program, its tests and its fuzz targets share the modules of this library. It is no interface for
//! other programs.
//!
//! Pure modules, which make no system call:
//! * [`model`] has the types that all others use.
//! * [`settings`] and [`accounts`] read what the user asked for.
//! * [`plan`] decides, and [`hints`] words each remedy.
//!
//! The others, from the ground up:
//! * [`system`] has all unsafe code.
//! * [`process`] reads and changes this process.
//! * [`command`] finds and executes the application.
//! * [`init`] stays as its parent.
//! * [`run`] is the way of a start through all of these.
//! * [`check`] reports what a run would do, and [`install`] copies the program.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

pub mod accounts;
pub mod check;
pub mod command;
pub mod hints;
pub mod init;
pub mod install;
pub mod model;
pub mod plan;
pub mod process;
pub mod run;
pub mod settings;
#[allow(unsafe_code)]
pub mod system;
