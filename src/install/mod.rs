//! `--install`: copies this program to a path, with permitted file capabilities if asked.
//!
//! All or nothing: the target stays as it was or is the whole new file, and nothing else is left behind. It
//! never raises a capability, and never writes through an existing file or link.
#![forbid(unsafe_code)]

pub mod refusals;

use std::ffi::{CStr, CString};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, lstat, stat};
use nix::sys::statfs::fstatfs;
use nix::sys::statvfs::FsFlags;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};

use crate::install::refusals::{Attempt, Copy};
use crate::model::caps::CapSet;
use crate::model::credentials::Credentials;
use crate::model::error::{Refusal, errno_of, shown};
use crate::model::file_caps::FileCaps;
use crate::model::ids::Uid;
use crate::plan::notes::Note;
use crate::process::{observe, own_file};
use crate::{plan, system};

/// The result of an installation.
#[derive(Debug)]
pub struct Installed {
    path: String,
    caps: Option<FileCaps>,
    pub notes: Vec<Note>,
}

/// One line for a container's log.
impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.caps {
            Some(caps) => writeln!(f, "capshim: installed {} with {caps}", self.path),
            None => writeln!(f, "capshim: installed {} without file capabilities", self.path),
        }
    }
}

/// Copies this program to `path`, or into it if it is a directory. The copy has these file capabilities,
/// permitted, or none.
pub fn install(path: &CStr, file_caps: CapSet) -> anyhow::Result<Installed> {
    let start = observe::read()?;
    plan::refuse_set_id(&start, own_file::path)?;
    refuse_effective_file(&start)?;
    let program = this_program()?;
    let target = Target::find(path, file_caps, start)?;
    // A signal would leave the temporary file behind, for example a terminal's interrupt. With SIGXFSZ
    // blocked, write(2) reports EFBIG if the size of files is limited.
    system::block_signals().map_err(|errno| refusals::failed("rt_sigprocmask", errno))?;
    target.replace(&program)?;
    Ok(Installed { path: target.path(), caps: target.caps, notes: target.notes() })
}

/// Right after exec, a non-root process has effective only ambient and the capabilities of a file with the
/// effective bit. Anyone who may execute such a file could write with them.
fn refuse_effective_file(start: &Credentials) -> Result<(), Refusal> {
    let given = start.effective - start.ambient;
    if given.is_empty() || start.uid.effective == Uid::ROOT {
        Ok(())
    } else {
        Err(refusals::effective_file(given, own_file::path().to_bytes(), start.uid.effective))
    }
}

/// The bytes of the file that this process runs, even if it was deleted or replaced.
fn this_program() -> Result<Vec<u8>, Refusal> {
    let path = own_file::content().map_err(|errno| refusals::failed("statfs(/proc/self)", errno))?;
    let failed =
        |call: &str, errno: Errno| refusals::failed(&format!("{call}({})", shown(path.to_bytes())), errno);
    let mut bytes = Vec::new();
    let mut file = system::open(&path).map_err(|errno| failed("open", errno))?;
    file.read_to_end(&mut bytes).map_err(|error| failed("read", errno_of(&error)))?;
    Ok(bytes)
}

/// Where the copy goes, and what it should be.
struct Target<'a> {
    folder: OwnedFd,
    mount: FsFlags,
    /// The name in the directory.
    name: &'a CStr,
    /// The path from the working directory.
    path: CString,
    caps: Option<FileCaps>,
    attempt: Attempt,
}

impl<'a> Target<'a> {
    fn find(path: &'a CStr, file_caps: CapSet, start: Credentials) -> Result<Target<'a>, Refusal> {
        let (folder, name) = split(path);
        let path = c_string([folder.to_bytes(), b"/", name.to_bytes()].concat());
        let attempt = Attempt {
            uid: start.uid.effective,
            effective: start.effective,
            has_ambient: start.has_ambient,
            file_caps,
            folder: shown(folder.to_bytes()),
            folder_status: stat(folder.as_c_str()).ok().map(|status| (status.st_uid, status.st_mode)),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = open(folder.as_c_str(), flags, Mode::empty())
            .map_err(|errno| attempt.failed(format!("open({})", attempt.folder), errno))?;
        let mount = fstatfs(&folder)
            .map(|filesystem| filesystem.flags())
            .map_err(|errno| attempt.failed(format!("fstatfs({})", attempt.folder), errno))?;
        let caps = (!file_caps.is_empty()).then(|| FileCaps::only_permitted(file_caps));
        let target = Target { folder, mount, name, path, caps, attempt };
        target.refuse_what_is_no_file()?;
        Ok(target)
    }

    /// A symbolic link is replaced itself. rename(2) would also replace a device, a socket or a FIFO.
    fn refuse_what_is_no_file(&self) -> Result<(), Refusal> {
        let status = match fstatat(&self.folder, self.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(self.attempt.failed(format!("lstat({})", self.path()), errno)),
            Ok(status) => status,
        };
        match status.st_mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFLNK => Ok(()),
            libc::S_IFDIR => Err(refusals::in_the_way(&self.path(), "is a directory")),
            _ => Err(refusals::in_the_way(&self.path(), "is no regular file")),
        }
    }

    /// Makes a new file and renames it over the old one.
    fn replace(&self, program: &[u8]) -> Result<(), Refusal> {
        // O_EXCL refuses an existing name, even of a symbolic link.
        let temporary = c_string(format!(".capshim.{:016x}", system::random_number()));
        let temporary = temporary.as_c_str();
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.folder, temporary, flags, Mode::from_bits_truncate(Copy::NEW_MODE))
            .map_err(|errno| self.failed("open", ", O_CREAT | O_EXCL", errno))?;

        let replaced = self.fill(File::from(file), program).and_then(|written| {
            let renamed = renameat(&self.folder, temporary, &self.folder, self.name);
            let call = || self.call("rename", &format!(", {}", self.path()));
            renamed.map(|()| written).map_err(|errno| self.gone_or_failed(call(), errno))
        });
        let written = replaced.map_err(|refusal| {
            match unlinkat(&self.folder, temporary, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => refusal,
                Err(errno) => {
                    refusals::left_behind(refusal, &self.attempt.within(&temporary.to_string_lossy()), errno)
                }
            }
        })?;
        let synced = fsync(&self.folder);
        self.refuse_another(&written)?;
        match synced {
            // EINVAL: this file system cannot sync directories (fsync(2)).
            Ok(()) | Err(Errno::EINVAL) => Ok(()),
            Err(errno) => Err(refusals::not_synced(&self.attempt.folder, &self.path(), errno)),
        }
    }

    /// Follows the path again, because others may be able to write the directory or a folder above it.
    fn refuse_another(&self, written: &FileStat) -> Result<(), Refusal> {
        let path = self.path();
        match lstat(self.path.as_c_str()) {
            Ok(there) if identity(&there) == identity(written) => Ok(()),
            Ok(there) => Err(self.attempt.taken(format!(
                "{path} is not the copy that was put there, but a file of uid {}",
                there.st_uid
            ))),
            Err(errno) => Err(self.gone_or_failed(format!("lstat({path})"), errno)),
        }
    }

    /// ENOENT means that somebody has just removed the file.
    fn gone_or_failed(&self, call: String, errno: Errno) -> Refusal {
        match errno {
            Errno::ENOENT => self.attempt.taken(refusals::failed(&call, errno).cause),
            _ => self.attempt.failed(call, errno),
        }
    }

    /// Writes the whole file, reads it back, and closes it: a file that is open for writing cannot be
    /// executed.
    fn fill(&self, mut file: File, program: &[u8]) -> Result<FileStat, Refusal> {
        file.write_all(program)
            .map_err(|error| self.failed("write", &format!(", {} bytes", program.len()), errno_of(&error)))?;
        fchmod(&file, Mode::from_bits_truncate(Copy::MODE))
            .map_err(|errno| self.failed("fchmod", ", 0755", errno))?;
        // Last, because a write removes the attribute.
        if let Some(caps) = self.caps {
            system::set_security_capability(file.as_fd(), &caps.to_xattr())
                .map_err(|errno| self.caps_refused(caps, errno, &file))?;
        }
        fsync(&file).map_err(|errno| self.failed("fsync", "", errno))?;

        let status = fstat(&file).map_err(|errno| self.failed("fstat", "", errno))?;
        let xattr = system::security_capability_of(file.as_fd())
            .map_err(|errno| self.failed("fgetxattr", ", security.capability", errno))?;
        let planned = Copy { size: program.len() as u64, mode: Copy::MODE, caps: self.caps.map(Ok) };
        let made = Copy {
            size: status.st_size as u64,
            mode: status.st_mode & 0o7777,
            caps: xattr.map(|xattr| FileCaps::parse(&xattr)),
        };
        if made == planned {
            Ok(status)
        } else if made == (Copy { mode: made.mode, ..planned }) && made.mode != Copy::NEW_MODE {
            Err(self.attempt.mode_differs(&self.path(), made.mode))
        } else {
            Err(refusals::differs(&self.path(), &made, &planned))
        }
    }

    fn caps_refused(&self, caps: FileCaps, errno: Errno, file: &File) -> Refusal {
        let call = self.call("fsetxattr", &format!(", security.capability, {caps}"));
        let gid = fstat(file).ok().map(|status| status.st_gid);
        self.attempt.caps_refused(call, errno, gid)
    }

    /// A call on the temporary file. Its random name would tell nobody anything.
    fn call(&self, call: &str, arguments: &str) -> String {
        format!("{call}({}{arguments})", self.attempt.within(".capshim.*"))
    }

    fn failed(&self, call: &str, arguments: &str, errno: Errno) -> Refusal {
        self.attempt.failed(self.call(call, arguments), errno)
    }

    fn path(&self) -> String {
        self.attempt.within(&shown(self.name.to_bytes()))
    }

    /// The copy may run elsewhere, and the same directory may have other mount options there.
    fn notes(&self) -> Vec<Note> {
        let nosuid = self.caps.is_some() && self.mount.contains(FsFlags::ST_NOSUID);
        let noexec = self.mount.contains(FsFlags::ST_NOEXEC);
        let folder = || self.attempt.folder.clone();
        let nosuid = nosuid.then(|| Note::NosuidMount { folder: folder() });
        let noexec = noexec.then(|| Note::NoexecMount { folder: folder() });
        let dangerous = self.attempt.file_caps & CapSet::ROOT_EQUIVALENT;
        let dangerous = (!dangerous.is_empty()).then_some(Note::DangerousCopy(dangerous));
        nosuid.into_iter().chain(noexec).chain(dangerous).collect()
    }
}

/// Identifies the file that was written. After its removal the inode number could be used again, but not by
/// another user for a file of the same owner.
fn identity(file: &FileStat) -> (u64, u64, u32) {
    (file.st_dev, file.st_ino, file.st_uid)
}

/// The directory and the name in it that a path stands for, as with cp(1) and install(1).
fn split(path: &CStr) -> (CString, &CStr) {
    let bytes = path.to_bytes();
    let slash = bytes.iter().rposition(|&byte| byte == b'/');
    let name = slash.map_or(path, |slash| &path[slash + 1..]);
    let is_folder = || stat(path).is_ok_and(|status| status.st_mode & libc::S_IFMT == libc::S_IFDIR);
    // No file can have one of these three names.
    if matches!(name.to_bytes(), b"" | b"." | b"..") || is_folder() {
        return (path.to_owned(), c"capshim");
    }
    match slash {
        None => (c".".to_owned(), name),
        Some(0) => (c"/".to_owned(), name),
        Some(slash) => (c_string(&bytes[..slash]), name),
    }
}

/// From bytes without NUL. Otherwise the path is empty, and no file can be made there.
fn c_string(bytes: impl Into<Vec<u8>>) -> CString {
    CString::new(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_file_or_a_directory_that_takes_one() {
        for (path, folder, name) in [
            (c"/no such/shim", c"/no such", c"shim"),
            (c"/no such/", c"/no such/", c"capshim"),
            (c"/no such/.", c"/no such/.", c"capshim"),
            (c"/no such/..", c"/no such/..", c"capshim"),
            (c"/no such", c"/", c"no such"),
            (c"no such", c".", c"no such"),
            (c"/", c"/", c"capshim"),
            (c"/proc", c"/proc", c"capshim"),
            (c"/proc/version", c"/proc", c"version"),
            (c".", c".", c"capshim"),
        ] {
            assert_eq!(split(path), (folder.to_owned(), name), "{path:?}");
        }
    }
}
