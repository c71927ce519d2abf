//! `--check`: reports what this container was granted and what a run would do.
//!
//! The verdict comes from doing what a run does, in a child that ends instead of executing the command.
//! Before that, the kernel says whether it would execute the command (`trial`). Nothing outside of these
//! children changes.
#![forbid(unsafe_code)]

pub mod report;
pub mod table;
mod trial;

use std::ffi::{CStr, c_int};

use anyhow::{Error, Result};
use nix::errno::Errno;

use crate::accounts::environment;
use crate::check::report::Surroundings;
use crate::check::table::Layout;
use crate::check::trial::Answer;
use crate::command::{self, Found, explain};
use crate::model::credentials::Credentials;
use crate::model::error::{Exit, Refusal};
use crate::plan::Plan;
use crate::plan::step::Step;
use crate::process::apply::Verified;
use crate::process::failures;
use crate::process::{observe, own_file};
use crate::run::{Prepared, Reached, Ready, prepare, ready};
use crate::settings::{Config, names};
use crate::system;
use crate::system::{Blocked, Ended};

/// Reports through `print`. Returns the exit code that a run would end with, or 0.
pub fn check(
    argv: &[&CStr],
    environment: &[&CStr],
    blocked: Blocked,
    print: impl Fn(&str) -> Result<()>,
) -> Result<c_int> {
    let wants_colour = environment::value(environment, b"NO_COLOR").is_none_or(<[u8]>::is_empty);
    let mut to = Layout::new(wants_colour && system::writes_to_terminal());
    let mut start = observe::read()?;
    start.bounding = observe::bounding().ok();
    start.own_file = Some(own_file::read());
    report::granted(&mut to, &start, &surroundings());

    let settings = || {
        environment.iter().map(|entry| names::split(entry)).filter(|(name, _)| name.starts_with(b"CAPSHIM_"))
    };
    let is_set = |setting: &str| settings().any(|(name, _)| name == setting.as_bytes());
    if !environment.iter().any(|entry| names::is_setting(entry)) {
        report::nothing_set(&mut to);
        return print(&to.take()).map(|()| 0);
    }
    let config = Config::parse(environment);
    match &config {
        Ok(config) => report::settings(&mut to, config, is_set),
        Err(_) => report::raw_settings(&mut to, settings()),
    }
    let mut prepared = match prepare(start, config) {
        Ok(prepared) => prepared,
        Err(error) => {
            let refusal = failures::refusal(error);
            report::refused(&mut to, &refusal);
            return print(&to.take()).map(|()| refusal.exit as c_int);
        }
    };
    report::plan(&mut to, &prepared);

    prepared.plan.steps.retain(|step| !matches!(step, Step::ShareStdio(_)));
    let Prepared { start, plan, .. } = &prepared;
    let attempt = Attempt { start, plan, argv, environment, blocked, print: &print };
    attempt.verdict(&mut to)
}

/// Does what a run does, except the stdio and exec.
struct Attempt<'a, P> {
    start: &'a Credentials,
    plan: &'a Plan,
    /// Empty if there is no command.
    argv: &'a [&'a CStr],
    environment: &'a [&'a CStr],
    blocked: Blocked,
    print: P,
}

/// The exit status of a child that could not fork for the attempt.
const NO_ROOM: c_int = 255;

/// The exit status of a child that could not print its report. Its parent tries, and says why it fails.
const UNPRINTED: c_int = 254;

impl<P: Fn(&str) -> Result<()>> Attempt<'_, P> {
    /// Attempts in a child, so that a filter that kills leaves a report. If no child is possible, attempts in
    /// this process: that takes only as many processes as a run.
    fn verdict(&self, to: &mut Layout) -> Result<c_int> {
        let own = std::process::id() as c_int;
        if system::set_sigchld_ignored(false).is_err() || system::may_wait_for(own) != Err(Errno::ECHILD) {
            return self.perform_alone(to);
        }
        let answer = trial::ask(self.plan, self.start, self.argv, self.environment);
        let Ok(child) = system::start_child(|| self.perform(to, answer, false)) else {
            return self.perform_alone(to);
        };
        Ok(match system::wait_for(child) {
            Ok(Ended::Exited(NO_ROOM)) => return self.perform_alone(to),
            Ok(Ended::Exited(UNPRINTED)) => {
                (self.print)(&to.take())?;
                Exit::System as c_int
            }
            Ok(ended) => self.ended(to, ended),
            Err(errno) => self.refused(to, &failures::call_failed("waitid", errno)),
        })
    }

    /// Prints the report so far, because a filter may kill this process.
    fn perform_alone(&self, to: &mut Layout) -> Result<c_int> {
        (self.print)(&to.take())?;
        match self.perform(to, None, true) {
            UNPRINTED => Ok(Exit::System as c_int),
            code => Ok(code),
        }
    }

    fn perform(&self, to: &mut Layout, answer: Option<Answer>, alone: bool) -> c_int {
        let find = |path: Option<&[u8]>, verified: &Verified| {
            self.argv.first().map(|command| command::find(command, path, verified)).transpose()
        };
        match ready(self.plan, self.start.clone(), self.blocked, self.environment, find) {
            Ok(Reached::Application(ready)) => {
                self.application(to, ready, answer).unwrap_or_else(|error| self.failed(to, error))
            }
            Ok(Reached::Parent(parent)) => match parent.rehearse() {
                Ok(ended) => self.ended(to, ended),
                Err(error) => self.failed(to, error),
            },
            Err(error) => match failures::refusal(error) {
                refusal if !alone && refusal == failures::fork_failed(Errno::EAGAIN) => NO_ROOM,
                refusal => self.refused(to, &refusal),
            },
        }
    }

    /// The part of the process that would become the application.
    fn application(
        &self,
        to: &mut Layout,
        ready: Ready<Option<Found>>,
        answer: Option<Answer>,
    ) -> Result<c_int> {
        let Ready { found, gate, .. } = ready;
        gate.pass()?;
        if let (Some(found), Some(command)) = (&found, self.argv.first()) {
            match answer {
                Some(Answer::Failed(errno)) => return Err(explain::explain(&found.path, errno).into()),
                Some(Answer::Killed(signal)) => return Ok(self.ended(to, Ended::Signaled(signal))),
                Some(Answer::Executed) => report::command(to, command.to_bytes(), found),
                None => {
                    report::command(to, command.to_bytes(), found);
                    report::untried(to);
                    explain::foresee(&found.path)?;
                }
            }
        }
        report::starts(to, self.start, &self.plan.expected, found.as_ref(), &self.plan.notes);
        Ok(self.printed(to, 0))
    }

    fn failed(&self, to: &mut Layout, error: Error) -> c_int {
        self.refused(to, &failures::refusal(error))
    }

    fn refused(&self, to: &mut Layout, refusal: &Refusal) -> c_int {
        report::refused(to, refusal);
        self.printed(to, refusal.exit as c_int)
    }

    /// Prints the report so far, and returns this exit code.
    fn printed(&self, to: &mut Layout, code: c_int) -> c_int {
        (self.print)(&to.take()).map_or(UNPRINTED, |()| code)
    }

    /// A child that exited has printed its report.
    fn ended(&self, to: &mut Layout, ended: Ended) -> c_int {
        match ended {
            Ended::Exited(status) => status,
            Ended::Signaled(signal) => {
                report::killed(to, signal);
                self.printed(to, 128 + signal)
            }
        }
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        seccomp: system::seccomp(),
        uid_map: observe::uid_ranges(),
        denies_setgroups: observe::denies_setgroups(),
    }
}
