//! Calls on files and descriptors.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd;

/// The descriptors 0 to 2 that are open, each with its fstat(2).
pub fn standard_streams() -> impl Iterator<Item = (BorrowedFd<'static>, FileStat)> {
    (0..3).map(standard_stream).filter_map(|stream| Some((stream, fstat(stream).ok()?)))
}

/// One of the descriptors 0 to 2.
pub(super) fn standard_stream(number: c_int) -> BorrowedFd<'static> {
    // SAFETY: nothing in this program closes a descriptor that it was started with. If it was closed already,
    // a call on it fails with EBADF.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// The `security.capability` attribute of a file (getxattr(2)). Follows symbolic links. `None` if the file
/// has none, or none that can be shown in this user namespace (EOVERFLOW).
pub fn security_capability(path: &CStr) -> Result<Option<Vec<u8>>> {
    // SAFETY: writes at most `length` bytes to `value`; the strings end in NUL.
    attribute(|name, value, length| unsafe { libc::getxattr(path.as_ptr(), name, value, length) })
}

/// The same attribute of an open file (fgetxattr(2)).
pub fn security_capability_of(file: BorrowedFd) -> Result<Option<Vec<u8>>> {
    // SAFETY: writes at most `length` bytes to `value`; the name ends in NUL.
    attribute(|name, value, length| unsafe { libc::fgetxattr(file.as_raw_fd(), name, value, length) })
}

const SECURITY_CAPABILITY: &CStr = c"security.capability";

fn attribute(get: impl FnOnce(*const c_char, *mut c_void, usize) -> isize) -> Result<Option<Vec<u8>>> {
    // Every revision of the attribute has at most 24 bytes. A value that does not fit is ERANGE.
    let mut value = [0; 64];
    match Errno::result(get(SECURITY_CAPABILITY.as_ptr(), value.as_mut_ptr().cast(), value.len())) {
        Ok(length) => Ok(Some(value[..length as usize].to_vec())),
        Err(Errno::ENODATA | Errno::ENOTSUP | Errno::EOVERFLOW) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Writes the `security.capability` attribute of an open file (fsetxattr(2)); needs SETFCAP
/// effective.
pub fn set_security_capability(file: BorrowedFd, value: &[u8]) -> Result<()> {
    let name = SECURITY_CAPABILITY.as_ptr();
    // SAFETY: reads `value.len()` bytes; the name ends in NUL.
    Errno::result(unsafe { libc::fsetxattr(file.as_raw_fd(), name, value.as_ptr().cast(), value.len(), 0) })
        .map(drop)
}

/// Opens for reading, and does not wait for the writer of a FIFO (open(2)).
const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Opens a file for reading (openat(2)). musl's open(3) makes two calls.
pub fn open(path: &CStr) -> Result<File> {
    openat(AT_FDCWD, path, READ, Mode::empty()).map(File::from)
}

/// Opens a file or folder only as a reference (O_PATH, openat(2)).
pub fn open_path(path: &CStr) -> Result<File> {
    openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(File::from)
}

/// Opens a file for reading if its path and its symbolic links stay on the root's own mount. Otherwise EXDEV
/// (RESOLVE_NO_XDEV, openat2(2)).
pub fn open_on_root_mount(path: &CStr) -> Result<File> {
    let how = OpenHow::new().flags(READ).resolve(ResolveFlag::RESOLVE_NO_XDEV);
    openat2(AT_FDCWD, path, how).map(File::from)
}

/// The target of a symbolic link (readlinkat(2)). One call is enough: no target is longer than PATH_MAX.
pub fn read_link(path: &CStr) -> Result<CString> {
    let mut target = vec![0; libc::PATH_MAX as usize];
    let buffer = target.as_mut_ptr().cast();
    // SAFETY: writes at most `target.len()` bytes; the string ends in NUL.
    let length =
        Errno::result(unsafe { libc::readlinkat(libc::AT_FDCWD, path.as_ptr(), buffer, target.len()) })?;
    target.truncate(length as usize);
    CString::new(target).map_err(|_| Errno::UnknownErrno)
}

/// The flags of a file's mount (statvfs(3)). ST_NOSUID ignores set-id bits and file capabilities; ST_NOEXEC
/// refuses to execute.
pub fn mount_flags(path: &CStr) -> Result<FsFlags> {
    statvfs(path).map(|mount| mount.flags())
}

/// Fails unless the effective ids may execute a file or search a directory (faccessat2(2)).
pub fn may_execute(path: &CStr) -> Result<()> {
    // SAFETY: the string ends in NUL. faccessat(2) takes no flags and ignores them.
    let ask = |call: c_long| unsafe {
        libc::syscall(call, libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS)
    };
    match Errno::result(ask(libc::SYS_faccessat2)) {
        // faccessat2(2) needs Linux 5.8, and a seccomp filter may refuse it with any errno. All ids are equal
        // by now, so faccessat(2) differs only in ignoring capabilities. It repeats every genuine refusal.
        Err(errno) if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) => {
            Errno::result(ask(libc::SYS_faccessat)).map(drop)
        }
        result => result.map(drop),
    }
}

/// pipe2(2): the reader and the writer, both closed on exec. The buffer starts with -1, which is no
/// descriptor, so a faked call is noticed. nix's buffer is uninitialized.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: writes two descriptors.
    Errno::result(unsafe { libc::syscall(libc::SYS_pipe2, &mut ends, libc::O_CLOEXEC) })?;
    if ends.contains(&-1) {
        return Err(Errno::UnknownErrno);
    }
    // SAFETY: both descriptors are new, and nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Closes every descriptor from 3 on except this one (close_range(2)). Nothing in this process may use the
/// others any more.
pub fn close_all_but(kept: BorrowedFd) {
    let kept = kept.as_raw_fd();
    close_range(3, kept - 1);
    close_range(kept + 1, c_int::MAX);
}

fn close_range(first: c_int, last: c_int) {
    if first > last {
        return;
    }
    // SAFETY: takes numbers only. By the rule of `close_all_but`, nothing uses these descriptors.
    if Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).is_err() {
        // close_range(2) needs Linux 5.9, and a seccomp filter may refuse it with any errno. RLIMIT_NOFILE is
        // no bound: it may have been lowered after a descriptor was opened, and a billion calls take minutes.
        const MOST: c_int = 65536;
        for fd in first..=last.min(MOST) {
            let _ = unistd::close(fd);
        }
    }
}

/// Whether this descriptor is open.
pub fn is_open(fd: c_int) -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}
