//! The parent in init mode: it forwards signals, reaps children, and passes the terminal on.
//!
//! It holds no capability, and does not start the application (`init` does). `signals` decides how to react
//! to a signal or a stop.
#![forbid(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd::{Pid, getpgid, getpgrp, getsid, setpgid, tcgetpgrp, tcsetpgrp};

use crate::init::signals::{self, Foreground, OnStop};
use crate::plan::init::Forward;
use crate::plan::notes::Note;
use crate::system;
use crate::system::{Changed, Ended, Signal};

/// The application, as its parent sees it.
pub struct Child {
    pid: Pid,
    forward: Forward,
    /// The errors that a warning has already named.
    warned: Vec<Errno>,
}

impl Child {
    pub fn new(pid: c_int, forward: Forward) -> Child {
        Child { pid: Pid::from_raw(pid), forward, warned: Vec::new() }
    }

    /// Waits until it ends. The child has then said why.
    pub fn wait(&self) -> Result<Ended, Errno> {
        system::wait_for(self.pid.as_raw())
    }

    /// Gives it its own process group, and the terminal's foreground if this process has it.
    pub fn stand_alone(&self) -> Result<()> {
        set_group(self.pid, self.pid)
    }

    /// Makes the same calls, with values that change nothing (`check`).
    pub fn stay_together(&self) -> Result<()> {
        set_group(self.pid, getpgrp())
    }

    /// Fails if a call that `serve` needs would fail. Nobody notices these calls.
    pub fn can_be_served(&self) -> Result<()> {
        system::may_wait_for_signal().context("rt_sigtimedwait")?;
        system::may_wait_for(self.pid.as_raw()).context("waitid")
    }

    /// Kills the child, because it cannot be served. If the gate is still closed, the child reports nothing.
    pub fn give_up(&self) {
        self.pass_terminal(Foreground::Child, getpgrp());
        if system::kill(self.pid.as_raw(), libc::SIGKILL).is_ok() {
            // How it ended does not matter.
            let _ = self.wait();
        }
    }

    /// Forwards signals and reaps children until this child ends. Returns its exit code.
    pub fn serve(&mut self, warn: impl Fn(Note)) -> Result<c_int> {
        loop {
            let signal = system::wait_for_signal().context("rt_sigtimedwait")?;
            match signal.number() {
                libc::SIGCHLD => {
                    if let Some(code) = self.reap()? {
                        self.pass_terminal(Foreground::Child, getpgrp());
                        return Ok(code);
                    }
                }
                // Behind another init, the child's kill(-1) reaches this process too, and must not go back to
                // the child. PID 1 gets no such signal: what the child sends to it is meant to end the
                // container.
                _ if signal.sender() == Some(self.pid.as_raw()) && std::process::id() != 1 => {}
                _ => self.forward(&signal, &warn),
            }
        }
    }

    /// Handles all children that have ended or stopped, because signals of one kind coalesce. Returns the
    /// exit code if this child has ended.
    fn reap(&mut self) -> Result<Option<c_int>> {
        while let Some((process, changed)) = system::next_change().context("waitid")? {
            match changed {
                // An orphan that came to this process.
                _ if process != self.pid.as_raw() => {}
                Changed::Ended(ended) => return Ok(Some(signals::exit_code(ended))),
                // If this fails, only job control is lost.
                Changed::Stopped(signal) => self.stopped(signal).unwrap_or_default(),
            }
        }
        Ok(None)
    }

    fn forward(&mut self, signal: &Signal, warn: impl Fn(Note)) {
        let (number, child) = (signal.number(), self.pid.as_raw());
        if number == libc::SIGCONT {
            self.pass_terminal(Foreground::Own, self.group());
        }
        let (call, to, result) = match self.forward {
            Forward::Group => ("kill", self.whole(), system::kill(self.whole(), number)),
            Forward::Process if signal.is_queued() => match signal.pass_on(child) {
                // The queue is full. kill(2) still delivers the signal, but maybe not as often as it was
                // sent.
                Err(errno @ Errno::EAGAIN) => {
                    ("rt_sigqueueinfo", child, system::kill(child, number).and(Err(errno)))
                }
                // A filter forbids the call. The signal matters more than its data.
                Err(_) => ("kill", child, system::kill(child, number)),
                Ok(()) => return,
            },
            Forward::Process => ("kill", child, system::kill(child, number)),
        };
        let Err(errno) = result else { return };
        if self.warned.contains(&errno) {
            return;
        }
        self.warned.push(errno);
        warn(Note::NotForwarded { call, to, signal: number, errno });
    }

    fn stopped(&self, signal: c_int) -> Result<(), Errno> {
        let mut managed = false;
        match signals::on_stop(signal, self.foreground(), has_job_control()?) {
            OnStop::Leave => return Ok(()),
            OnStop::Continue => {}
            OnStop::Stop(signal) => {
                self.pass_terminal(Foreground::Child, getpgrp());
                // Stopping discards a pending SIGCONT (signal(7)). One that is pending now came after the
                // child's stop, so take it first. One that comes between the two calls is lost, but a shell
                // waits until its job has stopped.
                managed = system::take_signal(libc::SIGCONT)?;
                if !managed {
                    system::stop_group(signal)?;
                    managed = system::take_signal(libc::SIGCONT)?;
                }
            }
        }
        let foreground = self.foreground();
        if signals::takes_foreground(signal, foreground, managed) {
            self.pass_terminal(foreground, self.group());
        }
        // The whole group, as a shell does.
        system::kill(self.whole(), libc::SIGCONT)
    }

    /// The child's process group: its own, unless it has joined another.
    fn group(&self) -> Pid {
        getpgid(Some(self.pid)).unwrap_or(self.pid)
    }

    /// The child's process group for kill(2). Only the child itself if it joined this process's group, one of
    /// another PID namespace, or PID 1's: -1 would mean every process.
    fn whole(&self) -> c_int {
        match self.group() {
            group if group == getpgrp() || !is_group(group) => self.pid.as_raw(),
            group => -group.as_raw(),
        }
    }

    fn foreground(&self) -> Foreground {
        match on_terminal(|terminal| tcgetpgrp(terminal)) {
            None => Foreground::NoTerminal,
            Some(group) if !is_named(group) => Foreground::Another,
            Some(group) if group == self.group() => Foreground::Child,
            Some(group) if group == getpgrp() => Foreground::Own,
            Some(_) => Foreground::Another,
        }
    }

    /// Gives the terminal's foreground to a group, if `from` has it. Errors are ignored: the terminal may be
    /// gone.
    fn pass_terminal(&self, from: Foreground, to: Pid) {
        if from == self.foreground() {
            on_terminal(|terminal| tcsetpgrp(terminal, to));
        }
    }
}

/// Puts a process into a group. If this process's group has the foreground of the terminal on standard input,
/// the group gets it.
fn set_group(process: Pid, group: Pid) -> Result<()> {
    setpgid(process, group).context("setpgid")?;
    let is_ours = |stdin: &BorrowedFd| is_named(getpgrp()) && tcgetpgrp(stdin) == Ok(getpgrp());
    match stdin().filter(is_ours) {
        Some(stdin) => tcsetpgrp(stdin, group).context("ioctl(TIOCSPGRP)"),
        None => Ok(()),
    }
}

/// Whether a shell manages this process as a job. A session leader's process group is orphaned, because the
/// leader's parent is in another session (setpgid(2)). Both ids read as 0 if they belong to another PID
/// namespace.
fn has_job_control() -> Result<bool, Errno> {
    Ok(std::process::id() != 1 && getsid(None)? != getpgrp())
}

/// Every process group of another PID namespace reads as 0.
fn is_named(group: Pid) -> bool {
    group.as_raw() > 0
}

/// Whether kill(2) takes the negative number as a process group.
fn is_group(group: Pid) -> bool {
    group.as_raw() > 1
}

/// Calls this on the controlling terminal: standard input, or one that a child may have opened for itself.
/// `None` without a terminal.
fn on_terminal<T>(call: impl Fn(BorrowedFd) -> nix::Result<T>) -> Option<T> {
    if let Some(result) = stdin().and_then(|stdin| call(stdin).ok()) {
        return Some(result);
    }
    system::open(c"/dev/tty").ok().and_then(|terminal| call(terminal.as_fd()).ok())
}

fn stdin() -> Option<BorrowedFd<'static>> {
    system::standard_streams().map(|(stream, _)| stream).find(|stream| stream.as_raw_fd() == 0)
}
