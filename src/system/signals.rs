//! Signals, in the kernel's own sets: libc's sets leave out three signals that libc reserves.

use std::ffi::{CStr, c_int};
use std::ptr;

use nix::Result;
use nix::errno::Errno;

use crate::system::entry::{environ, strings};

/// Blocks all signals that can be blocked, until this process ends.
pub fn block_signals() -> Result<()> {
    rt_sigprocmask(libc::SIG_SETMASK, u64::MAX, None)
}

/// Blocks all signals if an entry of the environment asks for it.
pub fn block_signals_if(asks: fn(&CStr) -> bool) -> Blocked {
    // SAFETY: the environment is a null-terminated array of C strings; nothing in this program
    // changes it.
    let asked = unsafe { strings(environ) }.any(asks);
    Blocked(asked.then(|| sigprocmask(libc::SIG_BLOCK, u64::MAX).map(SignalMask)))
}

/// A set of signals as the kernel has it; bit 0 is signal 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SignalMask(u64);

/// Whether `main` blocked all signals, and the mask from before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocked(Option<Result<SignalMask>>);

impl Blocked {
    /// Fails if blocking failed or was not asked for.
    pub fn is_done(self) -> Result<()> {
        self.0.unwrap_or(Err(Errno::EINVAL)).map(drop)
    }

    /// Restores the inherited mask, if it was changed.
    pub fn undo(self) -> Result<()> {
        match self.0 {
            Some(Ok(SignalMask(mask))) => sigprocmask(libc::SIG_SETMASK, mask).map(drop),
            _ => Ok(()),
        }
    }
}

/// Changes the mask and returns the previous one (rt_sigprocmask(2)).
pub fn sigprocmask(how: c_int, mask: u64) -> Result<u64> {
    let mut before = u64::MAX;
    rt_sigprocmask(how, mask, Some(&mut before))?;
    // No mask contains SIGKILL. If this one does, the call was faked and left the buffer unchanged.
    if before == u64::MAX { Err(Errno::UnknownErrno) } else { Ok(before) }
}

fn rt_sigprocmask(how: c_int, mask: u64, before: Option<&mut u64>) -> Result<()> {
    let before = before.map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: reads a set of the size that is given, and writes one if there is a place for it.
    Errno::result(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &mask, before, size_of::<u64>()) })
        .map(drop)
}

/// The blocked signals that are pending for this thread or process (rt_sigpending(2)).
pub fn pending() -> u64 {
    let mut signals = 0;
    // SAFETY: writes a set of the size that is given.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &mut signals, size_of::<u64>()) };
    signals
}

/// The beginning of siginfo_t, as rt_sigtimedwait(2) and waitid(2) fill it.
#[repr(C, align(8))]
#[derive(Clone, Copy, Default)]
pub struct SigInfo {
    pub(super) signo: c_int,
    pub(super) errno: c_int,
    pub(super) code: c_int,
    pub(super) padding: c_int,
    pub(super) pid: c_int,
    pub(super) uid: u32,
    pub(super) status: c_int,
    pub(super) rest: [c_int; 25],
}

const _: () = assert!(size_of::<SigInfo>() == size_of::<libc::siginfo_t>());

/// A signal taken from the queue, with all the data from its sender.
pub struct Signal(SigInfo);

impl Signal {
    pub fn number(&self) -> c_int {
        self.0.signo
    }

    /// The process that sent it, if a process did (sigaction(2)).
    pub fn sender(&self) -> Option<c_int> {
        matches!(self.0.code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE).then_some(self.0.pid)
    }

    /// Whether it has data that can be passed on, as SI_QUEUE has (rt_sigqueueinfo(2)).
    pub fn is_queued(&self) -> bool {
        self.0.code < 0 && self.0.code != libc::SI_TKILL
    }

    /// rt_sigqueueinfo(2): sends it unchanged to another process.
    pub fn pass_on(&self, process: c_int) -> Result<()> {
        // SAFETY: reads one siginfo_t.
        Errno::result(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, process, self.0.signo, &self.0) })
            .map(drop)
    }
}

/// Waits for the next blocked signal, without a time limit (rt_sigtimedwait(2)).
pub fn wait_for_signal() -> Result<Signal> {
    loop {
        match rt_sigtimedwait(u64::MAX, None) {
            // This process was stopped and continued (signal(7)).
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Fails if `wait_for_signal` would fail. Takes no signal.
pub fn may_wait_for_signal() -> Result<()> {
    match rt_sigtimedwait(0, Some(&libc::timespec { tv_sec: 0, tv_nsec: 0 })) {
        Err(Errno::EAGAIN) => Ok(()),
        Err(errno) => Err(errno),
        // The set is empty, so the call was faked.
        Ok(_) => Err(Errno::UnknownErrno),
    }
}

/// Takes this signal from the queue. Returns whether it was there.
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
    Errno::result(unsafe {
        libc::syscall(libc::SYS_rt_sigtimedwait, &set, &mut info, limit, size_of::<u64>())
    })?;
    Ok(Signal(info))
}

pub fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// kill(2) with any signal. A negative number is a process group.
pub fn kill(process: c_int, signal: c_int) -> Result<()> {
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::kill(process, signal) }).map(drop)
}

/// Stops this process, and the members of its process group that it may signal, until SIGCONT. The signal is
/// blocked here. In an orphaned process group nothing happens (setpgid(2)).
pub fn stop_group(signal: c_int) -> Result<()> {
    kill(0, signal)?;
    sigprocmask(libc::SIG_UNBLOCK, bit(signal))?;
    sigprocmask(libc::SIG_BLOCK, bit(signal)).map(drop)
}

/// Sets whether SIGCHLD is ignored, and returns whether it was. If it is, no child can be waited for
/// (wait(2)).
pub fn set_sigchld_ignored(ignored: bool) -> Result<bool> {
    // SAFETY: no function is installed as a handler.
    match unsafe { libc::signal(libc::SIGCHLD, if ignored { libc::SIG_IGN } else { libc::SIG_DFL }) } {
        libc::SIG_ERR => Err(Errno::last()),
        before => Ok(before == libc::SIG_IGN),
    }
}
