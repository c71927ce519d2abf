//! The file that this process runs: where it is, and which file capabilities it has.
//!
//! The path that execve(2) was given is not always this file's: it is the script's where a script
//! names this program as its interpreter.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fmt;

use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use nix::sys::statvfs::FsFlags;

use crate::chain::{Link, chain};
use crate::file_caps::FileCaps;
use crate::sys;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnFile {
    pub path: Vec<u8>,
    pub caps: Result<Option<FileCaps>, Unknown>,
    pub nosuid: bool,
}

/// The call that failed, where nobody can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unknown(&'static str, Errno);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "cannot be told, {}: {}", self.0, self.1)
    }
}

impl OwnFile {
    /// As far as anybody can tell.
    pub fn known_caps(&self) -> Option<FileCaps> {
        self.caps.ok().flatten()
    }
}

/// The file itself, whatever became of its name.
const EXE: &CStr = c"/proc/self/exe";

/// Looks at the file.
pub fn read() -> OwnFile {
    let (path, caps) = match exe().ok().flatten() {
        None => by_path(),
        Some(exe) if is_same(exe, sys::executed_path()) => (path(), caps(exe)),
        Some(exe) => {
            // A script; or a file that is gone or replaced; or one of a format for which the node's
            // binfmt_misc starts this program, and then either file can be what counted.
            let (_, other) = by_path();
            (path(), caps(exe).map(|caps| FileCaps::either(caps, other.ok().flatten())))
        }
    };
    let nosuid = sys::mount_flags(&path).is_ok_and(|flags| flags.contains(FsFlags::ST_NOSUID));
    OwnFile { path: path.into_bytes(), caps, nosuid }
}

fn by_path() -> (CString, Result<Option<FileCaps>, Unknown>) {
    let Link { path, start } = executed();
    // What cannot be read may be a script, and its interpreter this program.
    let caps = start.map_err(|errno| Unknown("open", errno)).and_then(|_| caps(&path));
    (path, caps)
}

/// Its path, for the words of a hint.
pub fn path() -> CString {
    exe().ok().flatten().and_then(name).unwrap_or_else(|| executed().path)
}

/// By which path its content can be read.
pub fn content() -> Result<CString, Errno> {
    Ok(exe()?.map_or_else(|| executed().path, CStr::to_owned))
}

/// What leads to the file itself; nothing where /proc is not mounted.
fn exe() -> Result<Option<&'static CStr>, Errno> {
    match statfs(c"/proc/self") {
        Ok(proc) => Ok((proc.filesystem_type() == PROC_SUPER_MAGIC).then_some(EXE)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The path that the kernel has for it, if it still leads there.
fn name(exe: &CStr) -> Option<CString> {
    sys::read_link(exe).ok().filter(|path| is_same(exe, path))
}

fn is_same(one: &CStr, other: &CStr) -> bool {
    let file = |path: &CStr| stat(path).map(|status| (status.st_dev, status.st_ino));
    file(one).is_ok_and(|one| file(other) == Ok(one))
}

/// The last file of those that execve(2) opened, as they are now.
fn executed() -> Link {
    chain(sys::executed_path()).1
}

fn caps(path: &CStr) -> Result<Option<FileCaps>, Unknown> {
    let xattr = sys::security_capability(path);
    // A kernel that knows such an attribute does not execute the file.
    let parsed = xattr
        .and_then(|xattr| xattr.map(|xattr| FileCaps::parse(&xattr)).transpose().map_err(|_| Errno::EINVAL));
    parsed.map_err(|errno| Unknown("getxattr", errno))
}
