//! Processes: fork, wait, trace, execute.

use std::ffi::{CStr, c_int, c_long};
use std::ptr;

use nix::Result;
use nix::errno::Errno;
use nix::unistd;

use crate::system::signals::SigInfo;

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
    /// The signal that stopped it. In a traced child the bits from 8 on are an event (ptrace(2)).
    Stopped(c_int),
}

/// Runs this in a child, which exits with its result. Returns the child's process id.
pub fn start_child(run: impl FnOnce() -> c_int) -> Result<c_int> {
    match fork()? {
        Some(child) => Ok(child),
        None => {
            let status = run();
            // SAFETY: ends the child without running the exit handlers that the parent registered.
            unsafe { libc::_exit(status) }
        }
    }
}

/// fork(2): the child's process id, or `None` in the child.
pub fn fork() -> Result<Option<c_int>> {
    // SAFETY: this process has one thread, so the child may call whatever the parent could.
    let child = Errno::result(unsafe { libc::fork() })?;
    Ok((child != 0).then_some(child))
}

/// Waits until this child ends.
pub fn wait_for(child: c_int) -> Result<Ended> {
    loop {
        match waitid(libc::P_PID, child, libc::WEXITED) {
            Ok(Some((_, Changed::Ended(ended)))) => return Ok(ended),
            // A traced child that stopped before SIGKILL reached it.
            Ok(Some((_, Changed::Stopped(_)))) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            // The call was faked.
            Ok(None) => return Err(Errno::UnknownErrno),
        }
    }
}

/// Traces a child (ptrace(2)). It stops after an exec, before the program's first instruction. The kernel
/// kills it when this process ends, without a signal that the child could ignore.
pub fn trace(child: c_int) -> Result<()> {
    let options = libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SEIZE, child, options)?;
    // A second attempt must fail. If it succeeds, the call is faked.
    if ptrace(libc::PTRACE_SEIZE, child, options) != Err(Errno::EPERM) {
        return Err(Errno::UnknownErrno);
    }
    // Stops the child once. ESRCH if another process traces it.
    ptrace(libc::PTRACE_INTERRUPT, child, 0)
}

/// Waits until a traced child executes a program (`None`) or ends.
pub fn wait_for_exec(child: c_int) -> Result<Option<Ended>> {
    const EXECUTED: c_int = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;
    loop {
        match waitid(libc::P_PID, child, libc::WEXITED) {
            Ok(Some((_, Changed::Ended(ended)))) => return Ok(Some(ended)),
            Ok(Some((_, Changed::Stopped(EXECUTED)))) => return Ok(None),
            // Deliver the signal that stopped the child. Other events have no signal to deliver.
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
    Errno::result(unsafe { libc::syscall(libc::SYS_ptrace, request.into(), process, 0 as c_long, data) })
        .map(drop)
}

/// The next child that has ended or stopped, if any. An ended child is reaped.
pub fn next_change() -> Result<Option<(c_int, Changed)>> {
    match waitid(libc::P_ALL, 0, libc::WEXITED | libc::WSTOPPED | libc::WNOHANG) {
        Err(Errno::ECHILD) => Ok(None),
        result => result,
    }
}

/// waitid(2). nix knows no real-time signal, and such a signal can end a child.
fn waitid(kind: libc::idtype_t, id: c_int, options: c_int) -> Result<Option<(c_int, Changed)>> {
    let mut info = SigInfo::default();
    // SAFETY: writes one siginfo_t.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_waitid, kind, id, &mut info, options, ptr::null_mut::<u8>())
    })?;
    let changed = match info.code {
        libc::CLD_EXITED => Changed::Ended(Ended::Exited(info.status)),
        libc::CLD_KILLED | libc::CLD_DUMPED => Changed::Ended(Ended::Signaled(info.status)),
        libc::CLD_STOPPED | libc::CLD_TRAPPED => Changed::Stopped(info.status),
        // No child has changed; the process id is 0.
        _ => return Ok(None),
    };
    Ok(Some((info.pid, changed)))
}

/// Fails if waiting for this child would fail. Reaps nothing.
pub fn may_wait_for(child: c_int) -> Result<()> {
    waitid(libc::P_PID, child, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT).map(drop)
}

/// execve(2). Returns an error if it failed, and `Ok` if its success was faked.
pub fn execve(path: &CStr, argv: &[&CStr], environment: &[impl AsRef<CStr>]) -> Result<()> {
    // Only a real failure sets it.
    Errno::clear();
    let Err(errno) = unistd::execve(path, argv, environment);
    if Errno::last_raw() == 0 { Ok(()) } else { Err(errno) }
}
