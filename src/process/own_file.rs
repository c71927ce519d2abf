//! The file that this process runs: where it is, and which file capabilities it has.
//!
//! The path that execve(2) was given is not always this file's: it is the script's where a script
//! names this program as its interpreter.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, PROC_SUPER_MAGIC, Statfs, statfs};
use nix::sys::statvfs::FsFlags;

use crate::model::credentials::{OwnFile, Place, Unknown};
use crate::model::file_caps::FileCaps;
use crate::process::chain::{Link, chain};
use crate::process::reach::file_itself;
use crate::system;

/// The file itself, whatever became of its name.
const EXE: &CStr = c"/proc/self/exe";

/// Looks at the file.
pub fn read() -> OwnFile {
    let (path, caps) = match exe().ok().flatten() {
        None => by_path(),
        Some(exe) if is_same(exe, system::executed_path()) => (path(), caps(exe)),
        Some(exe) => {
            // A script; or a file that is gone or replaced; or one of a format for which the node's
            // binfmt_misc starts this program, and then either file can be what counted.
            let (_, other) = by_path();
            (path(), caps(exe).map(|caps| FileCaps::either(caps, other.ok().flatten())))
        }
    };
    let nosuid = system::mount_flags(&path).is_ok_and(|flags| flags.contains(FsFlags::ST_NOSUID));
    OwnFile { path: path.into_bytes(), caps, nosuid, place: Place::Image }
}

/// Where it lies, for the words of a hint. Images are overlays.
pub fn place(file: &OwnFile) -> Place {
    let Ok(path) = CString::new(file.path.as_slice()) else { return Place::Image };
    if system::open_on_root_mount(&path).err() != Some(Errno::EXDEV) {
        return Place::Image;
    }
    let is_image = |file: Statfs| {
        file.filesystem_type() == OVERLAYFS_SUPER_MAGIC && file.flags().contains(FsFlags::ST_RDONLY)
    };
    if statfs(path.as_c_str()).is_ok_and(is_image) { Place::ImageVolume } else { Place::Volume }
}

fn by_path() -> (CString, Result<Option<FileCaps>, Unknown>) {
    let Link { path, start } = executed();
    // What cannot be read may be a script, and its interpreter this program.
    let caps = start.map_err(|errno| Unknown("open", errno)).and_then(|_| caps(&path));
    (file_itself(&path), caps)
}

/// Its path, for the words of a hint.
pub fn path() -> CString {
    exe().ok().flatten().and_then(name).unwrap_or_else(|| file_itself(&executed().path))
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
    system::read_link(exe).ok().filter(|path| is_same(exe, path))
}

fn is_same(one: &CStr, other: &CStr) -> bool {
    let file = |path: &CStr| stat(path).map(|status| (status.st_dev, status.st_ino));
    file(one).is_ok_and(|one| file(other) == Ok(one))
}

/// The last file of those that execve(2) opened, as they are now.
fn executed() -> Link {
    chain(system::executed_path()).1
}

fn caps(path: &CStr) -> Result<Option<FileCaps>, Unknown> {
    let xattr = system::security_capability(path);
    // A kernel that knows such an attribute does not execute the file.
    let parsed = xattr
        .and_then(|xattr| xattr.map(|xattr| FileCaps::parse(&xattr)).transpose().map_err(|_| Errno::EINVAL));
    parsed.map_err(|errno| Unknown("getxattr", errno))
}
