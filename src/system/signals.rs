//! Signals, with the kernel's own sets: libc's leave out three that it keeps for itself.

use std::ffi::{CStr, c_int};
use std::ptr;

use nix::Result;
use nix::errno::Errno;

use crate::system::entry::{environ, strings};

/// Blocks all signals that can be blocked, for the rest of this process.
pub fn block_signals() -> Result<()> {
    rt_sigprocmask(libc::SIG_SETMASK, u64::MAX, None)
}

/// Blocks all signals where an entry of the environment asks for it.
pub fn block_signals_if(asks: fn(&CStr) -> bool) -> Blocked {
    // SAFETY: the environment is a null-terminated array of C strings; nothing in this program
    // changes it.
    let asked = unsafe { strings(environ) }.any(asks);
    Blocked(asked.then(|| sigprocmask(libc::SIG_BLOCK, u64::MAX).map(SignalMask)))
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

/// Changes the mask; the result is the mask as it was before.
pub fn sigprocmask(how: c_int, mask: u64) -> Result<u64> {
    let mut before = u64::MAX;
    rt_sigprocmask(how, mask, Some(&mut before))?;
    // No mask has SIGKILL in it: this one would be left by a call that only pretends.
    if before == u64::MAX { Err(Errno::UnknownErrno) } else { Ok(before) }
}

fn rt_sigprocmask(how: c_int, mask: u64, before: Option<&mut u64>) -> Result<()> {
    let before = before.map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: reads a set of the size that is given, and writes one if there is a place for it.
    Errno::result(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, &mask, before, size_of::<u64>()) })
        .map(drop)
}

/// The blocked signals that have come, to this thread or to the process (rt_sigpending(2)).
pub fn pending() -> u64 {
    let mut signals = 0;
    // SAFETY: writes a set of the size that is given.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &mut signals, size_of::<u64>()) };
    signals
}

/// The beginning of siginfo_t, as both rt_sigtimedwait(2) and waitid(2) fill it.
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

/// A signal that was taken from the queue, with all that its sender sent.
pub struct Signal(SigInfo);

impl Signal {
    pub fn number(&self) -> c_int {
        self.0.signo
    }

    /// The process that sent it, where one did (sigaction(2)).
    pub fn sender(&self) -> Option<c_int> {
        matches!(self.0.code, libc::SI_USER | libc::SI_TKILL | libc::SI_QUEUE).then_some(self.0.pid)
    }

    /// Sent with data, which can be passed on: SI_QUEUE and its like (rt_sigqueueinfo(2)).
    pub fn is_queued(&self) -> bool {
        self.0.code < 0 && self.0.code != libc::SI_TKILL
    }

    /// rt_sigqueueinfo(2): sends it to another process as it came.
    pub fn pass_on(&self, process: c_int) -> Result<()> {
        // SAFETY: reads one siginfo_t.
        Errno::result(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, process, self.0.signo, &self.0) })
            .map(drop)
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
    Errno::result(unsafe {
        libc::syscall(libc::SYS_rt_sigtimedwait, &set, &mut info, limit, size_of::<u64>())
    })?;
    Ok(Signal(info))
}

pub fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// kill(2), of any signal; a negative number is a process group.
pub fn kill(process: c_int, signal: c_int) -> Result<()> {
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::kill(process, signal) }).map(drop)
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
