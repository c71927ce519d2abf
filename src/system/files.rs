//! Files and descriptors.

use std::ffi::{CStr, CString, c_int, c_long};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::statvfs::FsFlags;

use crate::system::{Result, checked};

/// Those of the descriptors 0 to 2 that are open, with what they are (fstat(2)).
pub fn standard_streams() -> impl Iterator<Item = (BorrowedFd<'static>, libc::stat)> {
    (0..3).filter_map(|fd| {
        let mut status = std::mem::MaybeUninit::uninit();
        // SAFETY: fstat writes a whole structure if it succeeds, and only then is it read.
        let status = unsafe {
            if libc::fstat(fd, status.as_mut_ptr()) != 0 {
                return None;
            }
            status.assume_init()
        };
        // SAFETY: it is open, and nothing in this program closes it.
        Some((unsafe { BorrowedFd::borrow_raw(fd) }, status))
    })
}

/// The `security.capability` attribute of a file, symbolic links followed (getxattr(2));
/// `None` where it has none or where none can be for this user namespace (EOVERFLOW).
pub fn security_capability(path: &CStr) -> Result<Option<Vec<u8>>> {
    // SAFETY: writes at most `length` bytes to `value`; the strings end in NUL.
    attribute(|name, value, length| unsafe {
        libc::syscall(libc::SYS_getxattr, path.as_ptr(), name.as_ptr(), value, length)
    })
}

/// The same of an open file (fgetxattr(2)).
pub fn security_capability_of(file: BorrowedFd) -> Result<Option<Vec<u8>>> {
    // SAFETY: writes at most `length` bytes to `value`; the name ends in NUL.
    attribute(|name, value, length| unsafe {
        libc::syscall(libc::SYS_fgetxattr, file.as_raw_fd(), name.as_ptr(), value, length)
    })
}

const SECURITY_CAPABILITY: &CStr = c"security.capability";

fn attribute(get: impl FnOnce(&CStr, *mut u8, usize) -> c_long) -> Result<Option<Vec<u8>>> {
    // No revision of the attribute is longer than 24 bytes; a longer one is ERANGE.
    let mut value = [0; 64];
    match checked(get(SECURITY_CAPABILITY, value.as_mut_ptr(), value.len())) {
        Ok(length) => Ok(Some(value[..length as usize].to_vec())),
        Err(Errno::ENODATA | Errno::ENOTSUP | Errno::EOVERFLOW) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Writes the `security.capability` attribute of an open file (fsetxattr(2)); needs SETFCAP
/// effective.
pub fn set_security_capability(file: BorrowedFd, value: &[u8]) -> Result<()> {
    // SAFETY: reads `value.len()` bytes; the name ends in NUL.
    checked(unsafe {
        libc::syscall(
            libc::SYS_fsetxattr,
            file.as_raw_fd(),
            SECURITY_CAPABILITY.as_ptr(),
            value.as_ptr(),
            value.len(),
            0 as c_long,
        )
    })
    .map(drop)
}

/// For reading, with no wait for the other side of a FIFO (open(2)).
const READ: c_int = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Opens a file for reading (open(2)).
pub fn open(path: &CStr) -> Result<File> {
    open_with(path, READ)
}

/// Opens a file or folder for neither reading nor writing (O_PATH, open(2)).
pub fn open_path(path: &CStr) -> Result<File> {
    open_with(path, libc::O_PATH | libc::O_CLOEXEC)
}

/// Opens a file for reading whose path, its symbolic links included, stays on the root's own
/// mount: EXDEV where it leaves that (RESOLVE_NO_XDEV, openat2(2)).
pub fn open_on_root_mount(path: &CStr) -> Result<File> {
    // struct open_how: flags, mode, resolve.
    let how: [u64; 3] = [READ as u64, 0, libc::RESOLVE_NO_XDEV];
    // SAFETY: the string ends in NUL, and `how` is as long as is said.
    let fd = checked(unsafe {
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), how.as_ptr(), size_of_val(&how))
    })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd as c_int) })
}

fn open_with(path: &CStr, flags: c_int) -> Result<File> {
    // SAFETY: the string ends in NUL.
    let fd = checked(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd as c_int) })
}

/// Where a symbolic link leads (readlink(2)).
pub fn read_link(path: &CStr) -> Result<CString> {
    let mut target = vec![0; libc::PATH_MAX as usize];
    // SAFETY: writes at most `target.len()` bytes; the string ends in NUL.
    let length = checked(unsafe {
        libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, path.as_ptr(), target.as_mut_ptr(), target.len())
    })?;
    target.truncate(length as usize);
    CString::new(target).map_err(|_| Errno::UnknownErrno)
}

/// The flags of the mount that a file lies on (statvfs(3)): ST_NOSUID ignores set-id bits and
/// file capabilities, ST_NOEXEC refuses to execute.
pub fn mount_flags(path: &CStr) -> Result<FsFlags> {
    nix::sys::statvfs::statvfs(path).map(|mount| mount.flags())
}

/// Whether the effective ids may execute a file or search a directory (faccessat2(2)).
pub fn may_execute(path: &CStr) -> Result<()> {
    // SAFETY: the string ends in NUL.
    let effective = unsafe {
        libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS)
    };
    match checked(effective) {
        result @ (Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR)) => result.map(drop),
        // Before Linux 5.8, or under a seccomp filter, whatever errno that answers with. All ids
        // are equal by now, so faccessat(2) differs only in not counting capabilities: what was
        // refused in earnest, it refuses too.
        Err(_) => {
            // SAFETY: the string ends in NUL.
            checked(unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::X_OK) })
                .map(drop)
        }
    }
}

/// pipe2(2), both ends closed on exec: the reader and the writer. The buffer begins with -1, no
/// descriptor.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: writes two descriptors.
    checked(unsafe { libc::syscall(libc::SYS_pipe2, &mut ends, libc::O_CLOEXEC) })?;
    if ends.contains(&-1) {
        return Err(Errno::UnknownErrno);
    }
    // SAFETY: both are new and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Closes every descriptor from 3 on but this one (close_range(2)). Nothing in this process
/// may use the others any more.
pub fn close_all_but(kept: BorrowedFd) {
    let kept = kept.as_raw_fd();
    close_range(3, kept - 1);
    close_range(kept + 1, c_int::MAX);
}

fn close_range(first: c_int, last: c_int) {
    if first > last {
        return;
    }
    // SAFETY: the caller's promise.
    if checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).is_err() {
        // Before Linux 5.9, or under a seccomp filter, whatever errno that answers with. The limit
        // says nothing of descriptors that were opened before it was lowered, and one of a
        // milliard would take minutes.
        const MOST: c_int = 65536;
        for fd in first..=last.min(MOST) {
            // SAFETY: the caller's promise.
            unsafe { libc::close(fd) };
        }
    }
}

/// Whether there is such a descriptor.
pub fn is_open(fd: c_int) -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}
