//! Finds the command and executes it in place of this process, or says why that failed.
//!
//! Both need a `Verified`: they happen under the application's identity, after the read-back. It never falls
//! back to a shell.
#![forbid(unsafe_code)]

pub mod after_exec;
pub mod elf;
pub mod explain;
pub mod file;
pub mod outcome;
pub mod refusals;
pub mod search;

use std::ffi::{CStr, CString};

use anyhow::Result;

use crate::command::explain::explain;
use crate::command::file::Effect;
use crate::command::search::search;
use crate::model::error::{Refusal, shown};
use crate::process::apply::Verified;
use crate::process::failures;
use crate::system;

/// A command whose file was found, and leaves the application what it asked for.
#[derive(Debug)]
pub struct Found {
    pub path: CString,
    pub effect: Effect,
}

/// Finds the command by PATH, and refuses it if its file would change the capabilities.
pub fn find(command: &CStr, path: Option<&[u8]>, verified: &Verified) -> Result<Found> {
    let path = search(command, path)?;
    let effect = file::judge(&path, verified)?;
    Ok(Found { path, effect })
}

/// Executes the command in place of this process. Returns only if that failed.
pub fn exec(verified: Verified, found: Found, argv: &[&CStr], environment: &[impl AsRef<CStr>]) -> Refusal {
    match execute(&verified, &found, argv, environment) {
        Err(errno) => explain(&found.path, errno),
        Ok(()) => failures::call_lied(format!(
            "execve({}) reported success but executed nothing",
            shown(found.path.to_bytes())
        )),
    }
}

/// Makes the call, and returns only if it failed.
pub fn execute(
    _verified: &Verified,
    found: &Found,
    argv: &[&CStr],
    environment: &[impl AsRef<CStr>],
) -> nix::Result<()> {
    system::execve(&found.path, argv, environment)
}
