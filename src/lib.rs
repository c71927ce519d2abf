//! capshim gives a non-root application exactly the Linux capabilities that its environment
//! lists, then executes it and is gone.
//!
//! This library is the program's own, cut into modules so that tests, fuzz targets and the
//! program share them; it is no interface for others.
//!
//! Pure, no system call: [`cli`], [`config`], [`words`], [`capset`], [`identity`],
//! [`accounts`], [`groups`], [`change`], [`plan`], [`init_plan`], [`expected`], [`file_caps`],
//! [`outcome`], [`environment`], [`diagnose`], [`signals`], [`report`], [`layout`],
//! [`install_error`], [`cure`], [`error`]. The rest reads ([`credentials`], [`own_file`],
//! [`target`], [`chain`], [`elf`], [`reach`], [`prepare`]), changes ([`apply`]) or replaces
//! ([`exec`]) this process, stays in its place ([`init`], [`serve`]), says what a run would do
//! ([`check`], [`trial`]), or copies its program ([`install`]); every unsafe line is in [`sys`].
#![deny(unsafe_code)]

pub mod accounts;
pub mod apply;
pub mod capset;
pub mod chain;
pub mod change;
pub mod check;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod cure;
pub mod diagnose;
pub mod elf;
pub mod environment;
pub mod error;
pub mod exec;
pub mod expected;
pub mod file_caps;
pub mod groups;
pub mod identity;
pub mod init;
pub mod init_plan;
pub mod install;
pub mod install_error;
pub mod layout;
pub mod outcome;
pub mod own_file;
pub mod plan;
pub mod prepare;
pub mod reach;
pub mod report;
pub mod serve;
pub mod signals;
#[allow(unsafe_code)]
pub mod sys;
pub mod target;
pub mod trial;
pub mod words;
