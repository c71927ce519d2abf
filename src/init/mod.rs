//! The start of init mode: a fork, and a parent that drops everything and stays (`supervise`).
//!
//! It decides nothing about credentials; `plan::init` does. The child waits at a gate before exec. The parent
//! opens the gate when it holds nothing. Until then every failure ends the run. The child reports failures
//! until it says that it is ready, and then the parent does.
#![forbid(unsafe_code)]

pub mod signals;
pub mod supervise;

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd;
use nix::unistd::chdir;

use crate::accounts::environment::Renumbering;
use crate::init::supervise::Child;
use crate::model::credentials::Credentials;
use crate::model::error::{Exit, Refusal, errno_of};
use crate::plan::Plan;
use crate::plan::init::{self, InitPlan};
use crate::plan::notes::Note;
use crate::plan::step::Step;
use crate::process::apply::{self, Verified};
use crate::process::failures;
use crate::system;
use crate::system::{Blocked, Ended};

/// Which process this is after the plan was performed.
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub enum Side<'a> {
    /// Becomes the application after it has passed the gate.
    Application(Verified, Vec<Note>, Gate),
    Parent(Parent<'a>),
}

/// The child's message when only exec is left to do.
const READY: u8 = b'R';

/// The parent's message when it holds nothing. The end of the file must follow: it proves that the parent has
/// closed its last descriptor.
const GO: u8 = b'G';

/// Performs the plan in this process, or in init mode in a child.
pub fn apply<'a>(plan: &'a Plan, start: Credentials, blocked: Blocked) -> Result<Side<'a>> {
    let Some(init) = &plan.init else {
        let (verified, notes) = apply::apply(plan, start)?;
        return Ok(Side::Application(verified, notes, Gate(None)));
    };
    let (before, childs) = init::split(&plan.steps);
    let (mut notes, Means { ready: (ready_of_child, ready), go: (go, go_of_parent), ignores_sigchld }) =
        prepare(before, blocked)?;
    let started = std::process::id();
    if let Some(child) = system::fork().map_err(failures::fork_failed)? {
        let child = Child::new(child, init.forward);
        let childs = [ready, go];
        return Ok(Side::Parent(Parent { init, child, ready: ready_of_child, go: go_of_parent, childs }));
    }
    close(ready_of_child)?;
    close(go_of_parent)?;
    notes.extend(apply::perform_all(childs)?);
    let verified = apply::verify(plan, start)?;
    let gate = Gate(Some(Waiting { started, ready, go, blocked, ignores_sigchld }));
    Ok(Side::Application(verified, notes, gate))
}

/// The pipes and settings that both processes inherit from the start.
struct Means {
    ready: (OwnedFd, OwnedFd),
    go: (OwnedFd, OwnedFd),
    ignores_sigchld: bool,
}

/// Everything before the fork.
fn prepare(steps: &[Step], blocked: Blocked) -> Result<(Vec<Note>, Means)> {
    blocked.is_done().context("rt_sigprocmask(SIG_BLOCK)")?;
    let notes = apply::perform_all(steps)?;
    let (ready, go) = (pipe()?, pipe()?);
    let ignores_sigchld = system::set_sigchld_ignored(false).context("rt_sigaction(SIGCHLD)")?;
    Ok((notes, Means { ready, go, ignores_sigchld }))
}

/// Makes a pipe with both ends above 2. The standard streams may be closed, and a message to standard error
/// must not get into the pipe.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    // try_clone is dup(2) with a lower bound of 3.
    let moved = |end: OwnedFd| if end.as_raw_fd() > 2 { Ok(end) } else { end.try_clone() };
    let (reader, writer) = system::pipe().context("pipe2")?;
    let ends = moved(reader).and_then(|reader| Ok((reader, moved(writer)?)));
    ends.map_err(|error| errno_of(&error)).context("fcntl(F_DUPFD_CLOEXEC)")
}

/// Stops the child before exec. Without a parent it is open.
#[must_use]
pub struct Gate(Option<Waiting>);

struct Waiting {
    /// The process id before the fork.
    started: u32,
    ready: OwnedFd,
    go: OwnedFd,
    blocked: Blocked,
    ignores_sigchld: bool,
}

impl Gate {
    /// The process id before the fork and the one after it; `None` without a fork. The first is the number
    /// that the parent has for itself: the child may see it as 0.
    pub fn renumbering(&self) -> Option<Renumbering> {
        self.0.as_ref().map(|waiting| Renumbering { from: waiting.started, to: std::process::id() })
    }

    /// Waits until the parent opens the gate, and restores the signal settings.
    pub fn pass(self) -> Result<()> {
        let Some(Waiting { ready, go, blocked, ignores_sigchld, .. }) = self.0 else { return Ok(()) };
        write_byte(&ready, READY).context("write(pipe)")?;
        close(ready)?;
        if (read_byte(&go)?, read_byte(&go)?) != (Some(GO), None) {
            return Err(Refusal::new(
                Exit::System,
                "read(pipe): end of file: the parent process did not let the command start",
            )
            .into());
        }
        close(go)?;
        if ignores_sigchld {
            system::set_sigchld_ignored(true).context("rt_sigaction(SIGCHLD)")?;
        }
        blocked.undo().context("rt_sigprocmask(SIG_SETMASK)")
    }
}

/// The process that stays as init.
pub struct Parent<'a> {
    init: &'a InitPlan,
    child: Child,
    /// The child says here that it is ready.
    ready: OwnedFd,
    /// The parent says here that the child may go.
    go: OwnedFd,
    /// The child's ends of both pipes.
    childs: [OwnedFd; 2],
}

impl Parent<'_> {
    /// Gives up everything, lets the child go, and serves it until it ends. Returns the child's exit code.
    pub fn stay(self, warn: impl Fn(Note)) -> Result<c_int> {
        let ended = self.let_go(Child::stand_alone, |child| child.serve(warn).map(Ended::Exited))?;
        Ok(signals::exit_code(ended))
    }

    /// The same for a check. The child only reports, and nothing changes that another process could notice.
    pub fn rehearse(self) -> Result<Ended> {
        self.let_go(Child::stay_together, |child| child.wait().context("waitid"))
    }

    fn let_go(
        self,
        set_apart: impl FnOnce(&Child) -> Result<()>,
        serve: impl FnOnce(&mut Child) -> Result<Ended>,
    ) -> Result<Ended> {
        let Parent { init, mut child, ready, go, childs } = self;
        let result = match childs.into_iter().try_for_each(close).and_then(|()| read_byte(&ready)) {
            // The child has ended and said why. If it still runs, the closed pipe ends it.
            Ok(None) => {
                drop(go);
                return child.wait().context("waitid");
            }
            Ok(Some(READY)) => close(ready)
                .and_then(|()| hold_nothing(init))
                .and_then(|()| child.can_be_served())
                .and_then(|()| set_apart(&child))
                .and_then(|()| say_go(&go)),
            Ok(Some(_)) => Err(failures::call_lied("read(pipe) reported success but gave nothing").into()),
            Err(error) => Err(error),
        };
        let result = match result {
            Ok(()) => close(go).and_then(|()| serve(&mut child)),
            // `go` stays open until the child has ended: at the end of the file the child would report, too.
            Err(error) => Err(error),
        };
        result.map_err(|error| {
            child.give_up();
            of_parent(failures::refusal(error)).into()
        })
    }
}

fn of_parent(refusal: Refusal) -> Refusal {
    Refusal { cause: format!("in the parent process: {}", refusal.cause), ..refusal }
}

fn hold_nothing(init: &InitPlan) -> Result<()> {
    apply::perform_all(&init.parent)?;
    apply::read_back(&init.holds)?;
    apply::perform_all(&init.then).map(drop)
}

/// Says GO when only the standard streams and `go` are open.
fn say_go(go: &OwnedFd) -> Result<()> {
    // So that this process keeps no mount busy. A failure does not matter.
    let _ = chdir(c"/");
    system::close_all_but(go.as_fd());
    match write_byte(go, GO) {
        // EPIPE: somebody has killed the child.
        Ok(()) | Err(Errno::EPIPE) => Ok(()),
        Err(errno) => Err(errno).context("write(pipe)"),
    }
}

/// Closes it and checks: a pipe end left open would make the other process wait forever.
fn close(go: OwnedFd) -> Result<()> {
    let number = go.as_raw_fd();
    unistd::close(go).context("close(pipe)")?;
    if system::is_open(number) {
        Err(failures::call_lied("close(pipe) reported success but did not close it").into())
    } else {
        Ok(())
    }
}

/// Reads one byte; `None` at the end of the file. The buffer starts as 0, neither READY nor GO, so a faked
/// read(2) is noticed.
fn read_byte(pipe: &OwnedFd) -> Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match unistd::read(pipe, &mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("read(pipe)"),
        }
    }
}

fn write_byte(pipe: &OwnedFd, byte: u8) -> nix::Result<()> {
    match system::write_blocked(pipe.as_fd(), &[byte])? {
        1 => Ok(()),
        _ => Err(Errno::EIO),
    }
}
