//! The parent's life in init mode: it forwards signals, reaps, and passes the terminal on.
//!
//! It holds nothing, and has no part in how the application started (`init`). What follows from
//! a signal or a stop is decided in `signals`.
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

/// The application, as its parent has to do with it.
pub struct Child {
    pid: Pid,
    forward: Forward,
    /// Why signals could not be forwarded, as far as that was said.
    warned: Vec<Errno>,
}

impl Child {
    pub fn new(pid: c_int, forward: Forward) -> Child {
        Child { pid: Pid::from_raw(pid), forward, warned: Vec::new() }
    }

    /// Waits for its end, at which it has said why.
    pub fn wait(&self) -> Result<Ended, Errno> {
        system::wait_for(self.pid.as_raw())
    }

    /// Gives it a process group of its own, and the terminal's foreground if that is ours.
    pub fn stand_alone(&self) -> Result<()> {
        set_group(self.pid, self.pid)
    }

    /// The same calls, by which nothing changes (`check`).
    pub fn stay_together(&self) -> Result<()> {
        set_group(self.pid, getpgrp())
    }

    /// Fails where the calls do that its life will rest on. Nothing is taken notice of by them.
    pub fn can_be_served(&self) -> Result<()> {
        system::may_wait_for_signal().context("rt_sigtimedwait")?;
        system::may_wait_for(self.pid.as_raw()).context("waitid")
    }

    /// Ends it, since it cannot be served: before it was let go it then says nothing.
    pub fn give_up(&self) {
        self.pass_terminal(Foreground::Child, getpgrp());
        if system::kill(self.pid.as_raw(), libc::SIGKILL).is_ok() {
            // There is nothing to learn from how it ended.
            let _ = self.wait();
        }
    }

    /// Forwards and reaps until its end.
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
                // Below another init the child's kill(-1) reaches this process, and is not for the child.
                // As PID 1 it is left out of that, and what the child sends asks it to end the container.
                _ if signal.sender() == Some(self.pid.as_raw()) && std::process::id() != 1 => {}
                _ => self.forward(&signal, &warn),
            }
        }
    }

    /// Takes notice of all children that have ended or stopped: signals of the same kind
    /// coalesce. The exit code if it was the child, after which nobody else matters.
    fn reap(&mut self) -> Result<Option<c_int>> {
        while let Some((process, changed)) = system::next_change().context("waitid")? {
            match changed {
                // Orphans that came to this process.
                _ if process != self.pid.as_raw() => {}
                Changed::Ended(ended) => return Ok(Some(signals::exit_code(ended))),
                // No more than the job's control is lost where that fails.
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
                // It comes all the same, if not as often as it was sent.
                Err(errno @ Errno::EAGAIN) => {
                    ("rt_sigqueueinfo", child, system::kill(child, number).and(Err(errno)))
                }
                // Where a filter forbids that, the signal is worth more than its data.
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
                // A stop takes what is to continue this process out of the queue (signal(7)): what is
                // there already came after the stop that it is for. What comes in the moment between
                // these calls is lost, but whoever has this for a job waits until it has stopped.
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
        // A shell would continue all of the job.
        system::kill(self.whole(), libc::SIGCONT)
    }

    /// The child's process group: its own, unless it has joined another since.
    fn group(&self) -> Pid {
        getpgid(Some(self.pid)).unwrap_or(self.pid)
    }

    /// Its process group for kill(2); itself alone where it has joined this process's, one of
    /// another PID namespace, or PID 1's: -1 would mean every process there is.
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

    /// Gives the terminal's foreground to a group, if it is there where it is expected. A
    /// terminal that has gone away is nobody's.
    fn pass_terminal(&self, from: Foreground, to: Pid) {
        if from == self.foreground() {
            on_terminal(|terminal| tcsetpgrp(terminal, to));
        }
    }
}

/// Puts a process into a group, and gives that the foreground of standard input, where it is a
/// terminal whose foreground this process's group has.
fn set_group(process: Pid, group: Pid) -> Result<()> {
    setpgid(process, group).context("setpgid")?;
    let is_ours = |stdin: &BorrowedFd| is_named(getpgrp()) && tcgetpgrp(stdin) == Ok(getpgrp());
    match stdin().filter(is_ours) {
        Some(stdin) => tcsetpgrp(stdin, group).context("ioctl(TIOCSPGRP)"),
        None => Ok(()),
    }
}

/// Whether a shell manages this process as a job. The process group of a session's leader is orphaned,
/// since the leader's parent is outside of the session (setpgid(2)). Both ids read as 0 where they
/// are of another PID namespace.
fn has_job_control() -> Result<bool, Errno> {
    Ok(std::process::id() != 1 && getsid(None)? != getpgrp())
}

/// Of another PID namespace, all process groups are 0.
fn is_named(group: Pid) -> bool {
    group.as_raw() > 0
}

/// Whether kill(2) takes the negative number for a process group.
fn is_group(group: Pid) -> bool {
    group.as_raw() > 1
}

/// On the controlling terminal: standard input, or that which a child may have opened for
/// itself. `None` without one.
fn on_terminal<T>(call: impl Fn(BorrowedFd) -> nix::Result<T>) -> Option<T> {
    if let Some(result) = stdin().and_then(|stdin| call(stdin).ok()) {
        return Some(result);
    }
    system::open(c"/dev/tty").ok().and_then(|terminal| call(terminal.as_fd()).ok())
}

fn stdin() -> Option<BorrowedFd<'static>> {
    system::standard_streams().map(|(stream, _)| stream).find(|stream| stream.as_raw_fd() == 0)
}
