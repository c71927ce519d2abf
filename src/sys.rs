//! System calls: every unsafe line of the program, one small safe function each.
//!
//! The calls that change credentials are made directly: libc's wrappers act on all threads
//! of a process and may replace the errno, while this process has one thread. Each function
//! returns the errno of its call and does nothing else; the decisions are elsewhere.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::statvfs::FsFlags;

use crate::capset::{CapSet, ThreadCaps};

#[cfg(not(target_pointer_width = "64"))]
compile_error!("on 32-bit targets these credential calls take 16-bit ids");

type Result<T> = std::result::Result<T, Errno>;

/// Makes `$run` the program's C `main`, so that std's start-up does not run: it would set
/// SIGPIPE to ignored, which the application would inherit.
///
/// Where `$asks` says so of an entry of the environment, the first system call blocks all
/// signals: nothing before it makes one, not even for memory.
#[macro_export]
macro_rules! c_main {
    ($run:path, $asks:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(_argc: std::ffi::c_int, argv: *const *const std::ffi::c_char) -> std::ffi::c_int {
            let blocked = $crate::sys::block_signals_if($asks);
            // SAFETY: the C runtime calls main, with a null-terminated argv.
            let (args, environment) = unsafe { $crate::sys::main_arguments(argv) };
            $run(&args, environment, blocked)
        }

        /// The unwinder's function by which a panic walks the stack. scripts/build-static makes
        /// no unwind tables, so there is nothing to walk. As this is known when linking, std's reader
        /// of debug information drops out: a third of the binary, which would open files where
        /// the environment has RUST_BACKTRACE.
        #[cfg(no_unwinder)]
        #[unsafe(no_mangle)]
        extern "C" fn _Unwind_Backtrace(
            _trace: *const std::ffi::c_void,
            _argument: *mut std::ffi::c_void,
        ) -> std::ffi::c_int {
            /// `_URC_END_OF_STACK`.
            const END_OF_STACK: std::ffi::c_int = 5;
            END_OF_STACK
        }

        // All else of the unwinder that std's code names. With it the linker takes nothing from
        // libunwind, where it would find a second _Unwind_Backtrace and fail.
        $crate::never_called! {
            _Unwind_GetDataRelBase _Unwind_GetIPInfo _Unwind_GetLanguageSpecificData
            _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_Resume _Unwind_SetGR _Unwind_SetIP
        }
    };
}

/// For `c_main!`: functions of the unwinder that nothing calls, since a panic aborts.
#[macro_export]
macro_rules! never_called {
    ($($function:ident)+) => { $(
        #[cfg(no_unwinder)]
        #[unsafe(no_mangle)]
        extern "C" fn $function() -> ! {
            std::process::abort()
        }
    )+ };
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The arguments and the environment, as they stand in memory.
///
/// # Safety
/// `argv` must be what C's `main` was given, and this may be called once.
pub unsafe fn main_arguments(argv: *const *const c_char) -> (Vec<&'static CStr>, Environment) {
    // SAFETY: both are null-terminated arrays of C strings that live as long as the process;
    // nothing in this program calls setenv, and only `Environment::erase` writes to one.
    unsafe { (strings(argv).collect(), Environment(strings(environ).collect())) }
}

/// The environment that this process was started with. There is one.
pub struct Environment(Vec<&'static CStr>);

impl Environment {
    /// Its entries, which can be used as long as it is not erased.
    pub fn entries(&self) -> &[&CStr] {
        &self.0
    }

    /// Overwrites it where it lies, which is what /proc/PID/environ shows (proc(5)).
    pub fn erase(self) {
        drop(self);
        // SAFETY: the kernel put the strings on the initial stack, which can be written to, and no
        // two overlap. Nobody reads them any more: all that `entries` lent ended with `self`, of
        // which there is one. libc keeps only `environ`, which leads to empty strings now.
        unsafe {
            pointers_in(environ).for_each(|entry| ptr::write_bytes(entry.cast_mut(), 0, libc::strlen(entry)))
        }
    }
}

/// # Safety
/// `array` must be null or a null-terminated array of C strings that are not changed while they
/// are used.
unsafe fn strings(array: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    // SAFETY: the caller's promise.
    unsafe { pointers_in(array).map(|string| CStr::from_ptr(string)) }
}

/// # Safety
/// `array` must be null or a null-terminated array.
unsafe fn pointers_in(mut array: *const *const c_char) -> impl Iterator<Item = *const c_char> {
    std::iter::from_fn(move || {
        // SAFETY: each step stays within the array, whose end is the first null pointer.
        unsafe {
            if array.is_null() || (*array).is_null() {
                return None;
            }
            let pointer = *array;
            array = array.add(1);
            Some(pointer)
        }
    })
}

/// Blocks all signals where an entry of the environment asks for it.
pub fn block_signals_if(asks: fn(&CStr) -> bool) -> Blocked {
    // SAFETY: the environment is a null-terminated array of C strings; nothing in this program
    // changes it.
    let asked = unsafe { strings(environ) }.any(asks);
    Blocked(asked.then(|| sigprocmask(libc::SIG_BLOCK, u64::MAX).map(SignalMask)))
}

/// The program's memory: blocks are cut off one piece, and what no longer fits is malloc's. Of
/// the piece only the last block can change its size or be given back. The others are not
/// needed: a run is over before it would use them again, and the calls of mmap(2) and munmap(2)
/// that malloc makes for them were a quarter of its time.
#[repr(align(16))]
pub struct Memory {
    piece: UnsafeCell<MaybeUninit<[u8; Memory::SIZE]>>,
    /// How many bytes of the piece are cut off.
    used: AtomicUsize,
}

// SAFETY: the piece is reached through its blocks only, of which no two overlap: each is what
// one successful change of `used` took.
unsafe impl Sync for Memory {}

impl Memory {
    /// Enough for a run with an ordinary environment. No page is there before it is touched.
    const SIZE: usize = 64 * 1024;

    pub const fn new() -> Memory {
        Memory { piece: UnsafeCell::new(MaybeUninit::uninit()), used: AtomicUsize::new(0) }
    }

    /// Cuts off a block, if it fits, and says where it begins.
    fn cut(&self, layout: Layout) -> Option<usize> {
        if layout.align() > align_of::<Memory>() {
            return None;
        }
        let mut at = 0;
        let end = |used: usize| {
            at = used.next_multiple_of(layout.align());
            at.checked_add(layout.size()).filter(|end| *end <= Memory::SIZE)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, end).ok().map(|_| at)
    }

    /// Where a block begins in the piece; `None` for one of malloc's.
    fn place(&self, block: *mut u8) -> Option<usize> {
        Some(block.addr().wrapping_sub(self.piece.get().addr())).filter(|at| *at < Memory::SIZE)
    }

    /// Changes the size of a block, if it is the last one and fits.
    fn resize(&self, at: usize, old: usize, new: usize) -> bool {
        new <= Memory::SIZE - at
            && self.used.compare_exchange(at + old, at + new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

// SAFETY: a block is as long and as aligned as asked, and nobody else's until it is given back.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.cut(layout) {
            // SAFETY: it begins and ends within the piece.
            Some(at) => unsafe { self.piece.get().cast::<u8>().add(at) },
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.place(block) {
            Some(at) => drop(self.resize(at, layout.size(), 0)),
            // SAFETY: it is malloc's, and the caller's promise.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match self.place(block) {
            Some(at) if self.resize(at, layout.size(), size) => block,
            // SAFETY: the new block is another one, and both are as long as what is copied; the
            // caller promises that the size is valid with this alignment.
            Some(_) => unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, size.min(layout.size()));
                    self.dealloc(block, layout);
                }
                new
            },
            // SAFETY: it is malloc's, and the caller's promise.
            None => unsafe { System.realloc(block, layout, size) },
        }
    }
}

/// The path that execve(2) was given for this program (AT_EXECFN, getauxval(3)); empty if
/// the kernel did not say.
pub fn executed_path() -> &'static CStr {
    // SAFETY: getauxval takes a number; the kernel put the string on the initial stack.
    unsafe {
        match libc::getauxval(libc::AT_EXECFN) {
            0 => c"",
            address => CStr::from_ptr(address as *const c_char),
        }
    }
}

/// A number that is another one in every run, and that others cannot guess (AT_RANDOM,
/// getauxval(3)).
pub fn random_number() -> u64 {
    // SAFETY: getauxval takes a number; the address is 0 or that of 16 bytes, which the kernel
    // put on the initial stack. libc makes use of the first half.
    unsafe {
        match libc::getauxval(libc::AT_RANDOM) {
            0 => 0,
            address => ptr::read_unaligned((address as *const u64).add(1)),
        }
    }
}

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

/// `_LINUX_CAPABILITY_VERSION_3`: 64 bits in two data structures.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// capget(2) for this thread. The buffers begin with all bits set, which no plan contains.
pub fn capget() -> Result<ThreadCaps> {
    let mut header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [CapData { effective: !0, permitted: !0, inheritable: !0 }; 2];
    // SAFETY: version 3 writes at most the header and two data structures.
    checked(unsafe { libc::syscall(libc::SYS_capget, &mut header, data.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| CapSet::from_bits(u64::from(high) << 32 | u64::from(low));
    let [low, high] = data;
    Ok(ThreadCaps {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// capset(2) for this thread.
pub fn capset(caps: ThreadCaps) -> Result<()> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| CapData {
        effective: (caps.effective.bits() >> shift) as u32,
        permitted: (caps.permitted.bits() >> shift) as u32,
        inheritable: (caps.inheritable.bits() >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads the header and two data structures.
    checked(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) }).map(drop)
}

/// prctl(2) with up to two numbers; the unused arguments are 0, as newer options demand.
fn prctl(option: c_int, arg2: c_long, arg3: c_long) -> Result<c_long> {
    // SAFETY: the options used in this file take numbers only.
    checked(unsafe {
        libc::syscall(libc::SYS_prctl, c_long::from(option), arg2, arg3, 0 as c_long, 0 as c_long)
    })
}

/// PR_SET_KEEPCAPS: permitted stays when uid 0 becomes another.
pub fn set_keepcaps() -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop)
}

/// PR_CAPBSET_READ; EINVAL for a capability that the kernel does not know.
pub fn bounding_contains(number: u8) -> Result<bool> {
    prctl(libc::PR_CAPBSET_READ, number.into(), 0).map(|set| set == 1)
}

/// PR_CAPBSET_DROP; needs SETPCAP effective.
pub fn bounding_drop(number: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, number.into(), 0).map(drop)
}

/// PR_CAP_AMBIENT_IS_SET; EINVAL where there are no ambient capabilities.
pub fn ambient_contains(number: u8) -> Result<bool> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET.into(), number.into()).map(|set| set == 1)
}

/// PR_CAP_AMBIENT_RAISE.
pub fn ambient_raise(number: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE.into(), number.into()).map(drop)
}

/// PR_CAP_AMBIENT_CLEAR_ALL.
pub fn ambient_clear_all() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL.into(), 0).map(drop)
}

/// PR_SET_NO_NEW_PRIVS.
pub fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

/// PR_GET_NO_NEW_PRIVS.
pub fn no_new_privs() -> Result<bool> {
    prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0).map(|set| set == 1)
}

/// PR_GET_SECUREBITS.
pub fn securebits() -> Result<u32> {
    prctl(libc::PR_GET_SECUREBITS, 0, 0).map(|bits| bits as u32)
}

/// PR_GET_SECCOMP: 0 is off, 2 a filter.
pub fn seccomp() -> Result<u32> {
    prctl(libc::PR_GET_SECCOMP, 0, 0).map(|mode| mode as u32)
}

/// getresuid(2): real, effective, saved. The buffer begins with 4294967295, no valid id.
pub fn getresuid() -> Result<[u32; 3]> {
    get_ids(libc::SYS_getresuid)
}

/// getresgid(2): real, effective, saved. The buffer begins with 4294967295, no valid id.
pub fn getresgid() -> Result<[u32; 3]> {
    get_ids(libc::SYS_getresgid)
}

fn get_ids(call: c_long) -> Result<[u32; 3]> {
    let [mut real, mut effective, mut saved] = [u32::MAX; 3];
    // SAFETY: both calls write one id through each of the three pointers.
    checked(unsafe { libc::syscall(call, &mut real, &mut effective, &mut saved) })?;
    Ok([real, effective, saved])
}

/// setresuid(2) with all three ids.
pub fn setresuid(uid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// setresgid(2) with all three ids.
pub fn setresgid(gid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// getgroups(2). The buffer begins with 4294967295, no valid id.
pub fn getgroups() -> Result<Vec<u32>> {
    // Enough for most, so that one call will do; NGROUPS_MAX is enough for all.
    match getgroups_at_most(64) {
        Err(Errno::EINVAL) => getgroups_at_most(65536),
        result => result,
    }
}

fn getgroups_at_most(count: usize) -> Result<Vec<u32>> {
    let mut groups = vec![u32::MAX; count];
    // SAFETY: at most `count` ids are written.
    let count = checked(unsafe { libc::syscall(libc::SYS_getgroups, count, groups.as_mut_ptr()) })?;
    groups.truncate(count as usize);
    Ok(groups)
}

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: reads `groups.len()` ids.
    checked(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
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
    let mut value = vec![0u8; 64];
    match checked(get(SECURITY_CAPABILITY, value.as_mut_ptr(), value.len())) {
        Ok(length) => {
            value.truncate(length as usize);
            Ok(Some(value))
        }
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

/// Blocks all signals that can be blocked, for the rest of this process (rt_sigprocmask(2)).
pub fn block_signals() -> Result<()> {
    let all = u64::MAX;
    let nothing = ptr::null_mut::<u64>();
    // SAFETY: reads one set of 8 bytes, which is the kernel's size of one, and writes none.
    checked(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &all, nothing, size_of::<u64>())
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

/// Writes all of it to standard output, in one call if the kernel takes it so. Nobody is told where
/// that is closed.
pub fn print(mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(libc::STDOUT_FILENO, bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EBADF) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Says this on standard error, or leaves it unsaid where nobody hears: words neither end this
/// process nor hold it up. Fails where the signal mask cannot be put back.
///
/// The signals of a failing write(2) are blocked meanwhile and taken from the queue. A full pipe or
/// a stopped terminal would hold up the call itself, so poll(2) comes first. It gives a reader that
/// has fallen behind a second, and promises room for PIPE_BUF bytes in a pipe (pipe(7)). Only
/// another writer that takes this room between the two calls can still make the second one wait.
pub fn say(mut words: &[u8]) -> Result<()> {
    const PATIENCE: c_int = 1000;
    if words.is_empty() {
        return Ok(());
    }
    let of_write = bit(libc::SIGPIPE) | bit(libc::SIGXFSZ);
    let waiting = pending() & of_write;
    let mask = sigprocmask(libc::SIG_BLOCK, of_write);
    while !words.is_empty() {
        let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
        // SAFETY: reads and writes one structure.
        let nobody_reads = unsafe { libc::poll(&mut stderr, 1, PATIENCE) } == 0;
        if nobody_reads {
            break;
        }
        match write_blocked(libc::STDERR_FILENO, &words[..words.len().min(libc::PIPE_BUF)]) {
            Ok(written) if written > 0 => words = &words[written..],
            Err(Errno::EINTR) => {}
            _ => break,
        }
    }
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // One that waited for the application in this thread's queue was taken with ours.
        if waiting & bit(signal) != 0 && pending() & bit(signal) == 0 {
            // SAFETY: takes a number only.
            unsafe { libc::raise(signal) };
        }
    }
    // A mask that could not be changed is as it was.
    mask.map_or(Ok(()), |before| sigprocmask(libc::SIG_SETMASK, before).map(drop))
}

/// write(2) with SIGPIPE and SIGXFSZ blocked: the one that comes with a failure is taken from this
/// thread's queue. One that was sent to the process stays: it has a queue of its own (signal(7)).
pub fn write_blocked(fd: c_int, bytes: &[u8]) -> Result<usize> {
    let result = write(fd, bytes);
    let signal = match result {
        Err(Errno::EPIPE) => libc::SIGPIPE,
        Err(Errno::EFBIG) => libc::SIGXFSZ,
        _ => return result,
    };
    let _ = take_signal(signal);
    result
}

/// write(2).
fn write(fd: c_int, bytes: &[u8]) -> Result<usize> {
    // SAFETY: reads `bytes.len()` bytes.
    checked(unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) })
        .map(|written| written as usize)
}

/// Whether standard output is a terminal (isatty(3)).
pub fn writes_to_terminal() -> bool {
    // SAFETY: takes a number only.
    unsafe { libc::isatty(libc::STDOUT_FILENO) == 1 }
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

/// How a child ended (wait(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Exited(c_int),
    Signaled(c_int),
}

/// What became of a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    Ended(Ended),
    /// By this signal; in a traced child also an event, in the bits from 8 on (ptrace(2)).
    Stopped(c_int),
}

/// Runs this in a child, whose exit status is what it returns. The result is its process id.
pub fn start_child(run: impl FnOnce() -> c_int) -> Result<c_int> {
    match fork()? {
        Some(child) => Ok(child),
        None => {
            let status = run();
            // SAFETY: it ends the child without running what the parent registered for its own end.
            unsafe { libc::_exit(status) }
        }
    }
}

/// fork(2): the child's process id, or `None` in the child.
pub fn fork() -> Result<Option<c_int>> {
    // SAFETY: this process has one thread, so the child may do what it could.
    let child = checked(unsafe { libc::fork() }.into())? as c_int;
    Ok((child != 0).then_some(child))
}

/// Waits for this child's end.
pub fn wait_for(child: c_int) -> Result<Ended> {
    loop {
        match waitid(libc::P_PID, child, libc::WEXITED) {
            Ok(Some((_, Changed::Ended(ended)))) => return Ok(ended),
            // One that is traced, before SIGKILL reached it.
            Ok(Some((_, Changed::Stopped(_)))) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            // A call that only pretends.
            Ok(None) => return Err(Errno::UnknownErrno),
        }
    }
}

/// Traces a child: it stops after an exec, before the program's first instruction, and the kernel
/// ends it when this process ends (ptrace(2)). That needs no signal that the child could ignore.
pub fn trace(child: c_int) -> Result<()> {
    let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SEIZE, child, options)?;
    // A child is traced once. A call that only pretends would succeed again.
    if ptrace(libc::PTRACE_SEIZE, child, options) != Err(Errno::EPERM) {
        return Err(Errno::UnknownErrno);
    }
    // The child stops once for this. ESRCH if another process traces it.
    ptrace(libc::PTRACE_INTERRUPT, child, 0)
}

/// Waits until a traced child has executed a program, `None`, or has ended.
pub fn wait_for_exec(child: c_int) -> Result<Option<Ended>> {
    const EXECUTED: c_int = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;
    loop {
        match waitid(libc::P_PID, child, libc::WEXITED) {
            Ok(Some((_, Changed::Ended(ended)))) => return Ok(Some(ended)),
            Ok(Some((_, Changed::Stopped(EXECUTED)))) => return Ok(None),
            // A signal, which it is to have, or another event.
            Ok(Some((_, Changed::Stopped(signal)))) => {
                ptrace(libc::PTRACE_CONT, child, if signal < 0x100 { signal } else { 0 })?;
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(None) => return Err(Errno::UnknownErrno),
        }
    }
}

/// ptrace(2) without an address.
fn ptrace(request: impl Into<c_long>, process: c_int, data: c_int) -> Result<()> {
    let data = c_long::from(data);
    // SAFETY: the requests used in this file take numbers only.
    checked(unsafe { libc::syscall(libc::SYS_ptrace, request.into(), process, 0 as c_long, data) }).map(drop)
}

/// A child that has ended or stopped, if there is one; an ended one is reaped by this.
pub fn next_change() -> Result<Option<(c_int, Changed)>> {
    match waitid(libc::P_ALL, 0, libc::WEXITED | libc::WSTOPPED | libc::WNOHANG) {
        Err(Errno::ECHILD) => Ok(None),
        result => result,
    }
}

/// waitid(2).
fn waitid(kind: libc::idtype_t, id: c_int, options: c_int) -> Result<Option<(c_int, Changed)>> {
    let mut info = SigInfo::default();
    // SAFETY: writes one siginfo_t.
    checked(unsafe { libc::syscall(libc::SYS_waitid, kind, id, &mut info, options, ptr::null_mut::<u8>()) })?;
    let changed = match info.code {
        libc::CLD_EXITED => Changed::Ended(Ended::Exited(info.status)),
        libc::CLD_KILLED | libc::CLD_DUMPED => Changed::Ended(Ended::Signaled(info.status)),
        libc::CLD_STOPPED | libc::CLD_TRAPPED => Changed::Stopped(info.status),
        // Nobody has changed; the process id is 0.
        _ => return Ok(None),
    };
    Ok(Some((info.pid, changed)))
}

/// A set of signals as the kernel has it, bit 0 for signal 1. libc's own would leave out three
/// real-time signals that it keeps for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SignalMask(u64);

/// Whether `main` began with all signals blocked, and what the mask was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocked(Option<Result<SignalMask>>);

impl Blocked {
    /// Fails if blocking them did, or was not asked for.
    pub fn is_done(self) -> Result<()> {
        self.0.unwrap_or(Err(Errno::EINVAL)).map(drop)
    }

    /// Puts the inherited mask back, if there is anything to put back.
    pub fn undo(self) -> Result<()> {
        match self.0 {
            Some(Ok(SignalMask(mask))) => sigprocmask(libc::SIG_SETMASK, mask).map(drop),
            _ => Ok(()),
        }
    }
}

/// rt_sigprocmask(2): the mask as it was before.
fn sigprocmask(how: c_int, mask: u64) -> Result<u64> {
    let mut before = u64::MAX;
    // SAFETY: reads and writes sets of the size that is given.
    checked(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &mask, &mut before, size_of::<u64>()) })?;
    // No mask has SIGKILL in it: this one would be left by a call that only pretends.
    if before == u64::MAX { Err(Errno::UnknownErrno) } else { Ok(before) }
}

/// The blocked signals that have come, to this thread or to the process (rt_sigpending(2)).
fn pending() -> u64 {
    let mut signals = 0;
    // SAFETY: writes a set of the size that is given.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &mut signals, size_of::<u64>()) };
    signals
}

/// The beginning of siginfo_t, as both rt_sigtimedwait(2) and waitid(2) fill it.
#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
struct SigInfo {
    signo: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    pid: c_int,
    uid: u32,
    status: c_int,
    rest: [c_int; 25],
}

const _: () = assert!(size_of::<SigInfo>() == size_of::<libc::siginfo_t>());

/// A signal that was taken from the queue, with all that its sender sent.
pub struct Signal(SigInfo);

impl Signal {
    pub fn number(&self) -> c_int {
        self.0.signo
    }

    /// Sent with data, which can be passed on: SI_QUEUE and its like (rt_sigqueueinfo(2)).
    pub fn is_queued(&self) -> bool {
        self.0.code < 0 && self.0.code != libc::SI_TKILL
    }

    /// rt_sigqueueinfo(2): sends it to another process as it came.
    pub fn pass_on(&self, process: c_int) -> Result<()> {
        // SAFETY: reads one siginfo_t.
        checked(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, process, self.0.signo, &self.0) }).map(drop)
    }
}

/// Waits for the next blocked signal, without a limit of time (rt_sigtimedwait(2)).
pub fn wait_for_signal() -> Result<Signal> {
    loop {
        match rt_sigtimedwait(u64::MAX, None) {
            // After this process itself was stopped and continued (signal(7)).
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Fails as `wait_for_signal` would, and takes no signal.
pub fn may_wait_for_signal() -> Result<()> {
    match rt_sigtimedwait(0, Some(&libc::timespec { tv_sec: 0, tv_nsec: 0 })) {
        Err(Errno::EAGAIN) => Ok(()),
        Err(errno) => Err(errno),
        // None was asked for: a call that only pretends.
        Ok(_) => Err(Errno::UnknownErrno),
    }
}

/// Fails as a wait for this child would, and reaps nothing.
pub fn may_wait_for(child: c_int) -> Result<()> {
    waitid(libc::P_PID, child, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT).map(drop)
}

/// Takes this signal from the queue, if it is there.
pub fn take_signal(signal: c_int) -> Result<bool> {
    match rt_sigtimedwait(bit(signal), Some(&libc::timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn rt_sigtimedwait(set: u64, limit: Option<&libc::timespec>) -> Result<Signal> {
    let mut info = SigInfo::default();
    let limit = limit.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: reads the set and the time if there is one, and writes one siginfo_t.
    checked(unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &set, &mut info, limit, size_of::<u64>()) })?;
    Ok(Signal(info))
}

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// kill(2), of any signal; a negative number is a process group.
pub fn kill(process: c_int, signal: c_int) -> Result<()> {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::syscall(libc::SYS_kill, process, signal) }).map(drop)
}

/// Stops this process, and those of its process group that it may signal, by this signal, which is
/// blocked here, until SIGCONT. In an orphaned process group nothing happens (setpgid(2)).
pub fn stop_group(signal: c_int) -> Result<()> {
    kill(0, signal)?;
    sigprocmask(libc::SIG_UNBLOCK, bit(signal))?;
    sigprocmask(libc::SIG_BLOCK, bit(signal)).map(drop)
}

/// Whether SIGCHLD is ignored, in which case no child could be waited for (wait(2)).
pub fn set_sigchld_ignored(ignored: bool) -> Result<bool> {
    // SAFETY: no function is installed as a handler.
    match unsafe { libc::signal(libc::SIGCHLD, if ignored { libc::SIG_IGN } else { libc::SIG_DFL }) } {
        libc::SIG_ERR => Err(Errno::last()),
        before => Ok(before == libc::SIG_IGN),
    }
}

/// PR_SET_CHILD_SUBREAPER: orphaned descendants become this process's children.
pub fn set_child_subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map(drop)
}

/// PR_SET_DUMPABLE: what is in /proc for this process belongs to its user.
pub fn set_dumpable() -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 1, 0).map(drop)
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

/// execve(2). It returns only if it failed, or if it was not made and its success is a lie.
pub fn execve(path: &CStr, argv: &[&CStr], environment: &[&CStr]) -> Result<()> {
    let argv = pointers(argv);
    let environment = pointers(environment);
    // SAFETY: both arrays end in a null pointer and point to strings that end in NUL, all of
    // which outlive the call.
    checked(unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv.as_ptr(), environment.as_ptr()) })
        .map(drop)
}

fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn checked(result: c_long) -> Result<c_long> {
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capget_fills_both_halves() {
        let caps = capget().unwrap();
        for set in [caps.effective, caps.permitted, caps.inheritable] {
            assert_eq!(set.bits() >> 63, 0, "a bit of the buffer's first content is left");
        }
    }

    #[test]
    fn setting_what_is_already_there_changes_nothing_on_either_side_of_bit_32() {
        let before = capget().unwrap();
        capset(before).unwrap();
        assert_eq!(capget().unwrap(), before);
    }

    /// A block of so many bytes, each of which is this one.
    fn block(memory: &Memory, size: usize, align: usize, byte: u8) -> (*mut u8, Layout) {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not 0, and the block is that long.
        unsafe {
            let block = memory.alloc(layout);
            assert!(!block.is_null() && block.addr() % align == 0);
            block.write_bytes(byte, size);
            (block, layout)
        }
    }

    fn bytes<'a>(block: *mut u8, size: usize) -> &'a [u8] {
        // SAFETY: called with blocks that are there, as long, and written.
        unsafe { std::slice::from_raw_parts(block, size) }
    }

    #[test]
    fn blocks_of_any_size_and_alignment_do_not_overlap() {
        let memory = Memory::new();
        let sizes = [(1, 1), (7, 8), (24, 16), (3, 1), (100, 64), (30_000, 4096), (40_000, 8), (20_000, 2)];
        let blocks: Vec<_> = (1u8..)
            .zip(sizes)
            .map(|(byte, (size, align))| (byte, block(&memory, size, align, byte)))
            .collect();
        for (byte, (block, layout)) in &blocks {
            assert!(bytes(*block, layout.size()).iter().all(|found| found == byte));
        }
        // The larger alignments and what no longer fits are malloc's.
        let ours: Vec<bool> = blocks.iter().map(|(_, (block, _))| memory.place(*block).is_some()).collect();
        assert_eq!(ours, [true, true, true, true, false, false, true, true]);
        for (_, (block, layout)) in blocks {
            // SAFETY: it is given back once.
            unsafe { memory.dealloc(block, layout) };
        }
    }

    #[test]
    fn the_last_block_changes_its_size_where_it_is_and_others_move() {
        let memory = Memory::new();
        let (first, layout) = block(&memory, 10, 1, b'a');
        // SAFETY: the blocks are there, with these layouts.
        unsafe {
            assert_eq!(memory.realloc(first, layout, 1000), first);
            let layout = Layout::from_size_align(1000, 1).unwrap();
            let (second, _) = block(&memory, 5, 1, b'b');
            let moved = memory.realloc(first, layout, 2000);
            assert_ne!(moved, first);
            assert_eq!((bytes(moved, 10), bytes(second, 5)), (&b"aaaaaaaaaa"[..], &b"bbbbb"[..]));
            let layout = Layout::from_size_align(2000, 1).unwrap();
            let large = memory.realloc(moved, layout, Memory::SIZE);
            assert_eq!((memory.place(large), bytes(large, 10)), (None, &b"aaaaaaaaaa"[..]));
            // What the moved block took is free again.
            assert_eq!(block(&memory, 1, 1, b'c').0, moved);
            memory.dealloc(large, Layout::from_size_align(Memory::SIZE, 1).unwrap());
        }
    }

    #[test]
    fn the_path_of_this_program_is_known() {
        assert!(
            executed_path()
                .to_bytes()
                .ends_with(std::env::args().next().unwrap().rsplit('/').next().unwrap().as_bytes())
        );
    }
}
