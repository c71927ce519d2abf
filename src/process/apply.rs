//! Performs the plan's steps, reads everything back and compares.
//!
//! It decides nothing: any step that fails ends the run, except `ShareStdio`.
#![forbid(unsafe_code)]

use std::ops::Range;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::prctl;
use nix::sys::stat::{Mode, fchmod};
use nix::sys::statfs::fstatfs;
use nix::sys::termios::tcgetsid;
use nix::unistd::{fchown, getpid};

use crate::model::caps::ThreadCaps;
use crate::model::credentials::Credentials;
use crate::model::expected::Expected;
use crate::model::ids::{Gid, Id};
use crate::plan::Plan;
use crate::plan::notes::Note;
use crate::plan::step::Step;
use crate::process::failures;
use crate::process::observe;
use crate::system;

/// Proof that this process's credentials equal the plan's. Only `apply` makes one, and executing a command
/// requires one.
#[derive(Debug)]
pub struct Verified {
    expected: Expected,
    start: Credentials,
}

impl Verified {
    /// The credentials that this process has now.
    pub fn credentials(&self) -> &Expected {
        &self.expected
    }

    /// The credentials that it started with, for what no step changes.
    pub fn start(&self) -> &Credentials {
        &self.start
    }
}

/// Performs the steps in order and verifies the result. The notes tell of failures that are allowed.
pub fn apply(plan: &Plan, start: Credentials) -> Result<(Verified, Vec<Note>)> {
    let notes = perform_all(&plan.steps)?;
    Ok((verify(plan, start)?, notes))
}

/// Performs the steps in order. Only a failed `ShareStdio` is a note.
pub fn perform_all(steps: &[Step]) -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    for step in steps {
        match (perform(step), step) {
            (Ok(()), _) => {}
            (Err(errno), Step::ShareStdio(_)) => {
                notes.push(Note::StreamsNotShared { step: step.clone(), errno });
            }
            (Err(errno), _) => {
                return Err(failures::step_failed(step, errno, observe::denies_setgroups()).into());
            }
        }
    }
    Ok(notes)
}

/// Reads everything back, after the plan's last step.
pub fn verify(plan: &Plan, start: Credentials) -> Result<Verified> {
    read_back(&plan.expected)?;
    Ok(Verified { expected: plan.expected.clone(), start })
}

/// Fails unless this process has exactly these credentials.
pub fn read_back(expected: &Expected) -> Result<()> {
    let mut now = observe::read()?;
    if expected.bounding.is_some() {
        now.bounding = Some(observe::bounding()?);
    }
    let differences = expected.differences(&now);
    if differences.is_empty() { Ok(()) } else { Err(failures::differs(&differences).into()) }
}

fn perform(step: &Step) -> Result<(), Errno> {
    match step {
        Step::RaiseEffective(caps) => system::capset(*caps),
        Step::KeepCaps => prctl::set_keepcaps(true),
        Step::SetGroups(groups) => system::setgroups(&groups.iter().map(|gid| gid.raw()).collect::<Vec<_>>()),
        Step::SetGid(gid) => system::setresgid(gid.raw()),
        Step::ShareStdio(gid) => share_stdio(*gid),
        Step::DropBounding(cap) => system::bounding_drop(*cap),
        Step::SetUid(uid) => system::setresuid(uid.raw()),
        Step::SetCaps(caps) => system::capset(ThreadCaps::all(*caps)),
        Step::ClearAmbient => system::ambient_clear_all(),
        Step::RaiseAmbient(cap) => system::ambient_raise(*cap),
        Step::NoNewPrivs => prctl::set_no_new_privs(),
        Step::Subreaper => prctl::set_child_subreaper(true),
        Step::Dumpable => prctl::set_dumpable(true),
    }
}

/// Lets the application's group open the files behind the descriptors 0 to 2, with the rights of each
/// descriptor. Tries all three and returns the first failure.
fn share_stdio(gid: Gid) -> Result<(), Errno> {
    let mut result = Ok(());
    for (fd, status) in system::standard_streams() {
        result = result.and(share(fd, &status, gid));
    }
    result
}

/// Changes only files of root that no other user reaches by name: a named FIFO, a file, a socket or /dev/null
/// belongs to others too. This process owns the file and its group is the new one already, so it needs
/// neither CHOWN nor FOWNER.
fn share(fd: BorrowedFd, status: &libc::stat, gid: Gid) -> Result<(), Errno> {
    /// PIPEFS_MAGIC (statfs(2)): the file system of pipe(2), but not of mkfifo(3).
    const PIPEFS: libc::c_long = 0x5049_5045;
    let kind = status.st_mode & libc::S_IFMT;
    let ours = match kind {
        // A pipe can outlive this process, but its only names are the descriptors in /proc/PID/fd. Whoever
        // may open those may take the descriptor itself (proc_pid_fd(5)).
        libc::S_IFIFO => fstatfs(fd)?.filesystem_type().0 as libc::c_long == PIPEFS,
        libc::S_IFCHR => is_own_terminal(fd, status.st_rdev),
        _ => false,
    };
    if !ours || status.st_uid != 0 {
        return Ok(());
    }
    let rights = match OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?) & OFlag::O_ACCMODE {
        OFlag::O_RDONLY => 0o040,
        OFlag::O_WRONLY => 0o020,
        _ => 0o060,
    };
    fchown(fd, None, Some(nix::unistd::Gid::from_raw(gid.raw())))?;
    fchmod(fd, Mode::from_bits_truncate(status.st_mode & 0o7777 | rights))
}

/// A runtime makes a pseudo-terminal for one command, and that command leads its session. Any other terminal
/// has users who stay when the application has ended: root's shell, the host, or whoever opens a device such
/// as /dev/tty.
fn is_own_terminal(fd: BorrowedFd, device: libc::dev_t) -> bool {
    /// UNIX98_PTY_SLAVE_MAJOR and the majors after it (Documentation/admin-guide/devices.txt).
    const PTS: Range<u32> = 136..144;
    PTS.contains(&libc::major(device)) && tcgetsid(fd) == Ok(getpid())
}
