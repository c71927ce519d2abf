//! What the command's file does to the credentials at exec: reads it, and refuses it if the
//! application would not hold exactly what was asked.
//!
//! A diagnosis: the file can change before exec (see `file_caps`).
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io::Read;

use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::sys::statvfs::FsFlags;

use crate::apply::Verified;
use crate::capset::CapSet;
use crate::credentials;
use crate::diagnose;
use crate::error::{Note, Refusal, shown};
use crate::file_caps::{self, Executable, FileCaps, Head};
use crate::identity::{Gid, Id, Uid};
use crate::outcome;
use crate::sys;

/// What the command's file does at exec. It leaves the sets as they are, ambient aside.
#[derive(Debug)]
pub struct Effect {
    /// The file whose attributes count: the command's, or that of its last interpreter.
    pub holder: CString,
    pub caps: Option<FileCaps>,
    /// What ambient is then.
    pub ambient: CapSet,
    /// The programs that it starts will not inherit these capabilities.
    pub lost: CapSet,
}

impl Effect {
    pub fn note(&self) -> Option<Note> {
        let name = shown(self.holder.to_bytes());
        (!self.lost.is_empty()).then(|| {
            Note::Info(format!(
                "{name} has file capabilities: the programs that it starts will not inherit {}",
                self.lost
            ))
        })
    }
}

/// Refuses a command whose file would leave the application with other credentials than it
/// has now, with the remedy.
pub fn judge(path: &CStr, verified: &Verified) -> Result<Effect, Refusal> {
    let (_, Link { path: holder, .. }) = chain(path);
    let file = executable_facts(&holder)?;
    let now = verified.credentials();
    if file == Executable::default() {
        return Ok(Effect { holder, caps: None, ambient: now.caps, lost: CapSet::EMPTY });
    }
    // Only a file that carries some makes the bounding set count.
    let bounding = match (now.bounding, file.caps) {
        (Some(bounding), _) => bounding,
        (None, Some(_)) => credentials::bounding()?,
        (None, None) => now.caps,
    };
    let name = shown(holder.to_bytes());
    let before = outcome::before_exec(now, bounding, verified.start().securebits);
    let after = outcome::judge(&before, &file, &name, verified.start())?;
    // What root's children hold comes from root's rule and not from ambient.
    let lost = if now.uid == Uid::ROOT { CapSet::EMPTY } else { now.caps - after.ambient };
    Ok(Effect { holder, caps: file.caps, ambient: after.ambient, lost })
}

/// One of the files that execve(2) opens, with its first bytes.
#[derive(Debug)]
pub struct Link {
    pub path: CString,
    pub head: Vec<u8>,
}

/// The command's file and, for a script, its interpreter, and so on as far as the kernel
/// follows. The attributes that count at exec are those of the last.
pub fn chain(path: &CStr) -> (Vec<Link>, Link) {
    let mut scripts = Vec::new();
    let mut last = Link { path: path.to_owned(), head: head(path) };
    while scripts.len() < file_caps::MOST_INTERPRETERS {
        let Head::Script(interpreter) = file_caps::head(&last.head) else { break };
        // The path ends before the first NUL byte.
        let Ok(path) = CString::new(interpreter) else { break };
        let head = head(&path);
        scripts.push(std::mem::replace(&mut last, Link { path, head }));
    }
    (scripts, last)
}

/// The first bytes of a file; none of one that cannot be read, which so counts as no script.
pub fn head(path: &CStr) -> Vec<u8> {
    let mut head = Vec::with_capacity(file_caps::HEAD);
    if let Ok(file) = sys::open(path) {
        // A failed read leaves what was read; exec itself will say more.
        let _ = file.take(file_caps::HEAD as u64).read_to_end(&mut head);
    }
    head
}

/// What a file would bring into exec. A file that is not there is left to execve(2) to name.
fn executable_facts(path: &CStr) -> Result<Executable, Refusal> {
    let Ok(status) = stat(path) else { return Ok(Executable::default()) };
    let name = || shown(path.to_bytes());
    let failed = |call: &str, errno: Errno| diagnose::call_failed(format!("{call}({})", name()), errno);
    let set_uid = status.st_mode & libc::S_ISUID != 0;
    // Without the group's execute bit, set-group-ID meant mandatory locking.
    let set_gid = status.st_mode & (libc::S_ISGID | libc::S_IXGRP) == (libc::S_ISGID | libc::S_IXGRP);
    let xattr = match sys::security_capability(path) {
        Err(Errno::EINVAL) => return Err(outcome::malformed_attribute(&name())),
        result => result.map_err(|errno| failed("getxattr", errno))?,
    };
    if (!set_uid && !set_gid && xattr.is_none())
        || sys::mount_flags(path).map_err(|errno| failed("statfs", errno))?.contains(FsFlags::ST_NOSUID)
    {
        return Ok(Executable::default());
    }
    let caps = match xattr {
        Some(bytes) => Some(FileCaps::parse(&bytes).map_err(|_| outcome::malformed_attribute(&name()))?),
        None => None,
    };
    Ok(Executable {
        caps,
        set_uid: Uid::new(status.st_uid).filter(|_| set_uid),
        set_gid: Gid::new(status.st_gid).filter(|_| set_gid),
    })
}
