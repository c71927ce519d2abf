//! `--check`: reports what this container was granted and what a run would do.
//!
//! The verdict comes from doing what a run does, in a child that ends instead of executing
//! the command, once the kernel has said whether it would (`trial`); nothing outside of these
//! children changes.
#![forbid(unsafe_code)]

use std::ffi::{CStr, c_int};

use nix::errno::Errno;

use crate::apply::Verified;
use crate::config::{self, Config};
use crate::credentials::{self, Credentials};
use crate::diagnose;
use crate::environment;
use crate::error::Refusal;
use crate::exec;
use crate::init::{self, Gate, Side};
use crate::layout::Layout;
use crate::own_file;
use crate::plan::{Plan, Step};
use crate::prepare::{Prepared, prepare};
use crate::report::{self, Surroundings};
use crate::sys::{self, Blocked, Ended};
use crate::trial::{self, Answer};

/// Reports through `print`. The exit code is the one that a run would end with, or 0.
pub fn check(
    argv: &[&CStr],
    environment: &[&CStr],
    blocked: Blocked,
    print: impl Fn(&str) -> Result<(), Refusal>,
) -> Result<c_int, Refusal> {
    let wants_colour = environment::value(environment, b"NO_COLOR").is_none_or(<[u8]>::is_empty);
    let mut to = Layout::new(wants_colour && sys::writes_to_terminal());
    let mut start = credentials::read()?;
    start.bounding = credentials::bounding().ok();
    start.own_file = Some(own_file::read());
    report::granted(&mut to, &start, &surroundings());

    let settings = || {
        environment.iter().map(|entry| config::split(entry)).filter(|(name, _)| name.starts_with(b"CAPSHIM_"))
    };
    let is_set = |setting: &str| settings().any(|(name, _)| name == setting.as_bytes());
    if !environment.iter().any(|entry| config::is_setting(entry)) {
        report::nothing_set(&mut to);
        return print(&to.take()).map(|()| 0);
    }
    match Config::parse(environment) {
        Ok(config) => report::settings(&mut to, &config, is_set),
        Err(_) => report::raw_settings(&mut to, settings()),
    }
    let mut prepared = match prepare(start, environment) {
        Ok(prepared) => prepared,
        Err(refusal) => {
            report::refused(&mut to, &refusal);
            return print(&to.take()).map(|()| refusal.exit as c_int);
        }
    };
    report::plan(&mut to, &prepared);
    print(&to.take())?;

    prepared.plan.steps.retain(|step| !matches!(step, Step::ShareStdio(_)));
    let Prepared { start, plan, .. } = &prepared;
    let attempt = Attempt { start, plan, argv, environment, blocked, print: &print };
    Ok(attempt.verdict(&mut to))
}

/// What a run does, but for the stdio and exec.
struct Attempt<'a, P> {
    start: &'a Credentials,
    plan: &'a Plan,
    /// Empty without a command.
    argv: &'a [&'a CStr],
    environment: &'a [&'a CStr],
    blocked: Blocked,
    print: P,
}

/// The exit status of a child that could not do the attempt, since that takes another process.
const NO_ROOM: c_int = 255;

impl<P: Fn(&str) -> Result<(), Refusal>> Attempt<'_, P> {
    /// In a child, so that there is a report where a filter kills. Where there can be none, in this
    /// process: there are then as many processes as in a run.
    fn verdict(&self, to: &mut Layout) -> c_int {
        let own = std::process::id() as c_int;
        if sys::set_sigchld_ignored(false).is_err() || sys::may_wait_for(own) != Err(Errno::ECHILD) {
            return self.perform(to, None, true);
        }
        let answer = trial::ask(self.plan, self.start, self.argv, self.environment);
        let Ok(child) = sys::start_child(|| self.perform(to, answer, false)) else {
            return self.perform(to, None, true);
        };
        match sys::wait_for(child) {
            Ok(Ended::Exited(NO_ROOM)) => self.perform(to, None, true),
            Ok(ended) => self.ended(to, ended),
            Err(errno) => self.refused(to, &init::failed("waitid")(errno)),
        }
    }

    fn perform(&self, to: &mut Layout, answer: Option<Answer>, alone: bool) -> c_int {
        match init::apply(self.plan, self.start.clone(), self.blocked) {
            Ok(Side::Application(verified, _, gate)) => self
                .application(to, verified, gate, answer)
                .unwrap_or_else(|refusal| self.refused(to, &refusal)),
            Ok(Side::Parent(parent)) => match parent.rehearse() {
                Ok(ended) => self.ended(to, ended),
                Err(refusal) => self.refused(to, &refusal),
            },
            Err(refusal) if !alone && refusal == diagnose::fork_failed(Errno::EAGAIN) => NO_ROOM,
            Err(refusal) => self.refused(to, &refusal),
        }
    }

    /// The part of the process that would become the application.
    fn application(
        &self,
        to: &mut Layout,
        verified: Verified,
        gate: Gate,
        answer: Option<Answer>,
    ) -> Result<c_int, Refusal> {
        let (start, target) = (&self.plan.start, &self.plan.target);
        let environment = environment::for_application(self.environment, start, target, gate.renumbering());
        let environment: Vec<&CStr> = environment.iter().map(AsRef::as_ref).collect();
        let path = environment::value(&environment, b"PATH");
        let found = self.argv.first().map(|command| exec::find(command, path, &verified)).transpose()?;
        gate.pass()?;
        if let (Some(found), Some(command)) = (&found, self.argv.first()) {
            match answer {
                Some(Answer::Failed(errno)) => return Err(exec::explain(&found.path, errno)),
                Some(Answer::Killed(signal)) => return Ok(self.ended(to, Ended::Signaled(signal))),
                Some(Answer::Executed) => report::command(to, command.to_bytes(), found),
                None => {
                    report::command(to, command.to_bytes(), found);
                    report::untried(to);
                    exec::foresee(found)?;
                }
            }
        }
        report::starts(to, &self.plan.expected, self.start.bounding, found.as_ref(), &self.plan.notes);
        (self.print)(&to.take()).map(|()| 0)
    }

    fn refused(&self, to: &mut Layout, refusal: &Refusal) -> c_int {
        report::refused(to, refusal);
        (self.print)(&to.take()).map_or_else(|failed| failed.exit as c_int, |()| refusal.exit as c_int)
    }

    /// One that exited has made its report.
    fn ended(&self, to: &mut Layout, ended: Ended) -> c_int {
        match ended {
            Ended::Exited(status) => status,
            Ended::Signaled(signal) => {
                report::killed(to, signal);
                (self.print)(&to.take()).map_or_else(|failed| failed.exit as c_int, |()| 128 + signal)
            }
        }
    }
}

fn surroundings() -> Surroundings {
    let map = credentials::proc_text(c"/proc/self/uid_map");
    Surroundings {
        seccomp: sys::seccomp(),
        uid_map: map.map(|map| credentials::id_ranges(&map).collect()),
        denies_setgroups: credentials::denies_setgroups(),
    }
}
