//! `--check`: reports what this container was granted and what a run would do.
//!
//! The verdict comes from doing what a run does, in a child that ends instead of executing
//! the command; nothing outside of that child changes.
#![forbid(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::io::Read;

use crate::apply;
use crate::config::{self, Config};
use crate::credentials;
use crate::diagnose;
use crate::environment;
use crate::error::{Note, Refusal};
use crate::exec::{self, Found};
use crate::init;
use crate::layout::Layout;
use crate::plan::Step;
use crate::prepare::{Prepared, prepare};
use crate::report::{self, Surroundings};
use crate::sys::{self, Blocked, Ended};

/// Reports through `print`. The exit code is the one that a run would end with, or 0.
pub fn check(
    command: Option<&CStr>,
    environment: &[&CStr],
    blocked: Blocked,
    print: impl Fn(&str) -> Result<(), Refusal>,
) -> Result<c_int, Refusal> {
    let wants_colour = environment::value(environment, b"NO_COLOR").is_none_or(<[u8]>::is_empty);
    let mut to = Layout::new(wants_colour && sys::writes_to_terminal());
    let mut start = credentials::read()?;
    start.bounding = credentials::bounding().ok();
    start.own_file = Some(credentials::own_file());
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
    let init = prepared.plan.init.is_some();
    let ended = match in_children(&mut to, prepared, command, environment, blocked, &print) {
        // As a run would say.
        Err(refusal) if init => Ended::Exited(refused(&mut to, &refusal, &print)),
        ended => ended?,
    };
    match ended {
        Ended::Exited(status) => Ok(status),
        Ended::Signaled(signal) => {
            report::killed(&mut to, signal);
            print(&to.take()).map(|()| 128 + signal)
        }
    }
}

/// The attempt; in init mode, the parent's part by itself.
fn in_children(
    to: &mut Layout,
    prepared: Prepared,
    command: Option<&CStr>,
    environment: &[&CStr],
    blocked: Blocked,
    print: impl Fn(&str) -> Result<(), Refusal>,
) -> Result<Ended, Refusal> {
    sys::set_sigchld_ignored(false).map_err(init::failed("rt_sigaction(SIGCHLD)"))?;
    let plan = prepared.plan.clone();
    let Some(init) = &plan.init else {
        return in_child(|| attempt(to, prepared, command, environment, false, &print));
    };
    // What comes before the fork fails before all else.
    let started = in_child(|| match init::rehearse_start(&plan.steps, blocked) {
        Ok(()) => 0,
        Err(refusal) => refused(to, &refusal, &print),
    })?;
    if started != Ended::Exited(0) {
        return Ok(started);
    }
    // What the parent fails with counts where the child does not fail before it.
    let as_parent = || init::rehearse(init, &plan.steps, blocked);
    let parent_fails = in_child(|| as_parent().map_or(1, |()| 0))? != Ended::Exited(0);
    let ended = in_child(|| attempt(to, prepared, command, environment, parent_fails, &print))?;
    if parent_fails && ended == Ended::Exited(0) {
        return in_child(|| as_parent().map_or_else(|refusal| refused(to, &refusal, &print), |()| 0));
    }
    Ok(ended)
}

/// Runs this in a child, to its end.
fn in_child(run: impl FnOnce() -> c_int) -> Result<Ended, Refusal> {
    let child = sys::start_child(run).map_err(diagnose::fork_failed)?;
    sys::wait_for(child).map_err(init::failed("waitid"))
}

fn refused(to: &mut Layout, refusal: &Refusal, print: impl Fn(&str) -> Result<(), Refusal>) -> c_int {
    report::refused(to, refusal);
    print(&to.take()).map_or_else(|failed| failed.exit as c_int, |()| refusal.exit as c_int)
}

/// Does what a run does, but for the stdio and exec, and reports what came of it.
fn attempt(
    to: &mut Layout,
    prepared: Prepared,
    command: Option<&CStr>,
    environment: &[&CStr],
    parent_fails: bool,
    print: impl Fn(&str) -> Result<(), Refusal>,
) -> c_int {
    let Prepared { start, plan, .. } = prepared;
    let bounding = start.bounding;
    let attempt = || -> Result<(Option<Found>, Vec<Note>), Refusal> {
        let (verified, notes) = apply::apply(&plan, start)?;
        let Some(command) = command else { return Ok((None, notes)) };
        let environment = environment::for_application(environment, &plan.start, &plan.target);
        let environment: Vec<&CStr> = environment.iter().map(AsRef::as_ref).collect();
        let found = exec::find(command, environment::value(&environment, b"PATH"), &verified)?;
        exec::foresee(&found)?;
        Ok((Some(found), notes))
    };
    match attempt() {
        Ok(_) if parent_fails => 0,
        Ok((found, notes)) => {
            if let (Some(command), Some(found)) = (command, &found) {
                report::command(to, command.to_bytes(), found);
            }
            let notes: Vec<Note> = plan.notes.iter().chain(&notes).cloned().collect();
            report::starts(to, &plan.expected, bounding, found.as_ref(), &notes);
            print(&to.take()).map_or_else(|refusal| refusal.exit as c_int, |()| 0)
        }
        Err(refusal) => refused(to, &refusal, print),
    }
}

fn surroundings() -> Surroundings {
    let mut map = String::new();
    let read = sys::open(c"/proc/self/uid_map").map(|mut file| file.read_to_string(&mut map));
    Surroundings {
        seccomp: sys::seccomp(),
        uid_map: matches!(read, Ok(Ok(_))).then_some(map),
        denies_setgroups: credentials::denies_setgroups(),
    }
}
