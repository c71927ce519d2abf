//! Reads the command's file, and refuses it if the application would not hold exactly what was asked.
//!
//! A diagnosis: the file can change before exec (see `after_exec`).
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::sys::statvfs::FsFlags;

use crate::command::after_exec::{Before, Executable};
use crate::command::{outcome, refusals};
use crate::model::caps::CapSet;
use crate::model::error::{Refusal, shown};
use crate::model::file_caps::FileCaps;
use crate::model::ids::{Gid, Id, Uid};
use crate::plan::notes::Note;
use crate::process::apply::Verified;
use crate::process::chain::{self, Link};
use crate::process::{observe, reach};
use crate::system;

/// What the command's file does at exec. It changes no set except ambient.
#[derive(Debug)]
pub struct Effect {
    /// The file whose attributes count: the command, or its last interpreter.
    pub holder: CString,
    pub caps: Option<FileCaps>,
    /// It cannot be read and may be a script. At most it clears ambient.
    pub unread: bool,
    /// The ambient set after exec.
    pub ambient: CapSet,
    /// The programs that it starts will not inherit these.
    pub lost: CapSet,
}

impl Effect {
    pub fn note(&self) -> Option<Note> {
        let lost = self.lost;
        (!lost.is_empty()).then(|| Note::AmbientLost { file: shown(self.holder.to_bytes()), caps: lost })
    }
}

/// Refuses a command, with the remedy, if its file would change the application's credentials.
pub fn judge(path: &CStr, verified: &Verified) -> Result<Effect> {
    let (_, Link { path: holder, start }) = chain::chain(path);
    let now = verified.credentials();
    let mut before = outcome::before_exec(now, verified.start().securebits);
    let unread = start.is_err();
    if let Err(errno) = start {
        refuse_unknown(&holder, errno, &before)?;
    }
    let file = executable_facts(&holder)?;
    if file == Executable::default() {
        return Ok(Effect { holder, caps: None, unread, ambient: now.caps, lost: CapSet::EMPTY });
    }
    // The bounding set counts only for a file with capabilities.
    if now.bounding.is_none() && file.caps.is_some() {
        before.bounding = observe::bounding()?;
    }
    let name = name_of(&holder);
    let after = outcome::judge(&before, &file).map_err(|unfit| {
        refusals::refusal(unfit, &name, file.caps.unwrap_or_default(), &before, verified.start())
    })?;
    // Programs that root starts get their capabilities by root's rule and not by ambient.
    let lost = if now.uid == Uid::ROOT { CapSet::EMPTY } else { now.caps - after.ambient };
    Ok(Effect { holder, caps: file.caps, unread, ambient: after.ambient, lost })
}

/// A file that may be executed but not read can be a script, and then its interpreter's file counts. If
/// execve(2) cannot execute the file, it says so itself.
fn refuse_unknown(file: &CStr, errno: Errno, before: &Before) -> Result<(), Refusal> {
    if chain::executable(file).is_err() || !outcome::depends_on_file(before) {
        return Ok(());
    }
    Err(refusals::unknown_file(&shown(file.to_bytes()), errno, before))
}

/// The name of the file itself, and not of a link to it.
fn name_of(path: &CStr) -> String {
    shown(reach::file_itself(path).to_bytes())
}

/// What a file contributes at exec. If it is missing, execve(2) says so.
fn executable_facts(path: &CStr) -> Result<Executable> {
    let Ok(status) = stat(path) else { return Ok(Executable::default()) };
    let name = || name_of(path);
    let set_uid = status.st_mode & libc::S_ISUID != 0;
    // Without the group's execute bit, set-group-ID meant mandatory locking.
    let set_gid = status.st_mode & (libc::S_ISGID | libc::S_IXGRP) == (libc::S_ISGID | libc::S_IXGRP);
    let xattr = match system::security_capability(path) {
        Err(Errno::EINVAL) => return Err(refusals::malformed_attribute(&name()).into()),
        result => result.with_context(|| format!("getxattr({})", name()))?,
    };
    if (!set_uid && !set_gid && xattr.is_none())
        || system::mount_flags(path)
            .with_context(|| format!("statfs({})", name()))?
            .contains(FsFlags::ST_NOSUID)
    {
        return Ok(Executable::default());
    }
    let caps = match xattr {
        Some(bytes) => Some(FileCaps::parse(&bytes).map_err(|_| refusals::malformed_attribute(&name()))?),
        None => None,
    };
    Ok(Executable {
        caps,
        set_uid: Uid::new(status.st_uid).filter(|_| set_uid),
        set_gid: Gid::new(status.st_gid).filter(|_| set_gid),
    })
}
