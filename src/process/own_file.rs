//! The file that this process runs: its path, its mount and its file capabilities.
//!
//! The path given to execve(2) may be another file's: a script whose interpreter is this program.
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

/// The file itself, even if it was renamed or deleted.
const EXE: &CStr = c"/proc/self/exe";

/// Reads path, file capabilities and mount option.
pub fn read() -> OwnFile {
    let (path, caps) = match exe().ok().flatten() {
        None => by_path(),
        Some(exe) if is_same(exe, system::executed_path()) => (path(), caps(exe)),
        Some(exe) => {
            // The path is a script's, or the file was deleted or replaced, or the node's binfmt_misc started
            // this program. With binfmt_misc, either file's capabilities can be the ones that counted.
            let (_, other) = by_path();
            (path(), caps(exe).map(|caps| FileCaps::either(caps, other.ok().flatten())))
        }
    };
    let nosuid = system::mount_flags(&path).is_ok_and(|flags| flags.contains(FsFlags::ST_NOSUID));
    OwnFile { path: path.into_bytes(), caps, nosuid, place: Place::Image }
}

/// Where the file lies, for a hint. An image volume is a read-only overlay.
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
    // A file that cannot be read may be a script whose interpreter is this program.
    let caps = start.map_err(|errno| Unknown("open", errno)).and_then(|_| caps(&path));
    (file_itself(&path), caps)
}

/// The file's path, for a hint.
pub fn path() -> CString {
    exe().ok().flatten().and_then(name).unwrap_or_else(|| file_itself(&executed().path))
}

/// The path through which the file can be read.
pub fn content() -> Result<CString, Errno> {
    Ok(exe()?.map_or_else(|| executed().path, CStr::to_owned))
}

/// /proc/self/exe; `None` if /proc is not mounted.
fn exe() -> Result<Option<&'static CStr>, Errno> {
    match statfs(c"/proc/self") {
        Ok(proc) => Ok((proc.filesystem_type() == PROC_SUPER_MAGIC).then_some(EXE)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The path that the kernel knows for the file, if it still leads there.
fn name(exe: &CStr) -> Option<CString> {
    system::read_link(exe).ok().filter(|path| is_same(exe, path))
}

fn is_same(one: &CStr, other: &CStr) -> bool {
    let file = |path: &CStr| stat(path).map(|status| (status.st_dev, status.st_ino));
    file(one).is_ok_and(|one| file(other) == Ok(one))
}

/// The last file that execve(2) opened, as it is now.
fn executed() -> Link {
    chain(system::executed_path()).1
}

fn caps(path: &CStr) -> Result<Option<FileCaps>, Unknown> {
    let xattr = system::security_capability(path);
    // The kernel refuses to execute a file with a malformed attribute.
    let parsed = xattr
        .and_then(|xattr| xattr.map(|xattr| FileCaps::parse(&xattr)).transpose().map_err(|_| Errno::EINVAL));
    parsed.map_err(|errno| Unknown("getxattr", errno))
}
