//! Files and descriptors.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::Result;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd;

/// Those of the descriptors 0 to 2 that are open, with what they are (fstat(2)).
pub fn standard_streams() -> impl Iterator<Item = (BorrowedFd<'static>, FileStat)> {
    (0..3).map(standard_stream).filter_map(|stream| Some((stream, fstat(stream).ok()?)))
}

/// One of the descriptors 0 to 2.
pub(super) fn standard_stream(number: c_int) -> BorrowedFd<'static> {
    // SAFETY: nothing in this program closes one that it was started with. A call on one that was
    // closed already fails with EBADF.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// The `security.capability` attribute of a file, symbolic links followed (getxattr(2));
/// `None` where it has none or where none can be for this user namespace (EOVERFLOW).
pub fn security_capability(path: &CStr) -> Result<Option<Vec<u8>>> {
    // SAFETY: writes at most `length` bytes to `value`; the strings end in NUL.
    attribute(|name, value, length| unsafe { libc::getxattr(path.as_ptr(), name, value, length) })
}

/// The same of an open file (fgetxattr(2)).
pub fn security_capability_of(file: BorrowedFd) -> Result<Option<Vec<u8>>> {
    // SAFETY: writes at most `length` bytes to `value`; the name ends in NUL.
    attribute(|name, value, length| unsafe { libc::fgetxattr(file.as_raw_fd(), name, value, length) })
}

const SECURITY_CAPABILITY: &CStr = c"security.capability";

fn attribute(get: impl FnOnce(*const c_char, *mut c_void, usize) -> isize) -> Result<Option<Vec<u8>>> {
    // No revision of the attribute is longer than 24 bytes; a longer one is ERANGE.
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

/// For reading, with no wait for the other side of a FIFO (open(2)).
const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Opens a file for reading (openat(2): musl's open(3) makes two calls).
pub fn open(path: &CStr) -> Result<File> {
    openat(AT_FDCWD, path, READ, Mode::empty()).map(File::from)
}

/// Opens a file or folder for neither reading nor writing (O_PATH, openat(2)).
pub fn open_path(path: &CStr) -> Result<File> {
    openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map(File::from)
}

/// Opens a file for reading whose path, its symbolic links included, stays on the root's own
/// mount: EXDEV where it leaves that (RESOLVE_NO_XDEV, openat2(2)).
pub fn open_on_root_mount(path: &CStr) -> Result<File> {
    let how = OpenHow::new().flags(READ).resolve(ResolveFlag::RESOLVE_NO_XDEV);
    openat2(AT_FDCWD, path, how).map(File::from)
}

/// Where a symbolic link leads (readlinkat(2), in one call: no link is longer than PATH_MAX).
pub fn read_link(path: &CStr) -> Result<CString> {
    let mut target = vec![0; libc::PATH_MAX as usize];
    let buffer = target.as_mut_ptr().cast();
    // SAFETY: writes at most `target.len()` bytes; the string ends in NUL.
    let length =
        Errno::result(unsafe { libc::readlinkat(libc::AT_FDCWD, path.as_ptr(), buffer, target.len()) })?;
    target.truncate(length as usize);
    CString::new(target).map_err(|_| Errno::UnknownErrno)
}

/// The flags of the mount that a file lies on (statvfs(3)): ST_NOSUID ignores set-id bits and
/// file capabilities, ST_NOEXEC refuses to execute.
pub fn mount_flags(path: &CStr) -> Result<FsFlags> {
    statvfs(path).map(|mount| mount.flags())
}

/// Whether the effective ids may execute a file or search a directory (faccessat2(2)).
pub fn may_execute(path: &CStr) -> Result<()> {
    // SAFETY: the string ends in NUL. faccessat(2) takes no flags and does not look at them.
    let ask = |call: c_long| unsafe {
        libc::syscall(call, libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS)
    };
    match Errno::result(ask(libc::SYS_faccessat2)) {
        // Before Linux 5.8, or under a seccomp filter, whatever errno that answers with. All ids
        // are equal by now, so faccessat(2) differs only in not counting capabilities: what was
        // refused in earnest, it refuses too.
        Err(errno) if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) => {
            Errno::result(ask(libc::SYS_faccessat)).map(drop)
        }
        result => result.map(drop),
    }
}

/// pipe2(2), both ends closed on exec: the reader and the writer. The buffer begins with -1, no
/// descriptor; nix's begins with whatever is in memory, which a faked call leaves there.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: writes two descriptors.
    Errno::result(unsafe { libc::syscall(libc::SYS_pipe2, &mut ends, libc::O_CLOEXEC) })?;
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
    if Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).is_err() {
        // Before Linux 5.9, or under a seccomp filter, whatever errno that answers with. The limit
        // says nothing of descriptors that were opened before it was lowered, and one of a
        // milliard would take minutes.
        const MOST: c_int = 65536;
        for fd in first..=last.min(MOST) {
            let _ = unistd::close(fd);
        }
    }
}

/// Whether there is such a descriptor.
pub fn is_open(fd: c_int) -> bool {
    // SAFETY: takes numbers only.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}
