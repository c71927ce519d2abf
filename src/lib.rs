//! capshim gives a non-root application exactly the Linux capabilities that its environment
//! lists, then executes it and is gone.
//!
//! This library is the program's own, cut into modules so that tests, fuzz targets and the
//! program share them; it is no interface for others.
//!
//! From the ground up: [`model`] has the words that all others speak, [`settings`] and
//! [`accounts`] what was asked, [`plan`] what follows from it, [`hints`] the words of each cure.
//! These are pure. [`system`] has every unsafe line, [`process`] reads and changes this process,
//! [`command`] finds and executes the application, [`init`] stays in its place, [`run`] goes that
//! way, [`check`] says what a run would do, and [`install`] copies the program.
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
