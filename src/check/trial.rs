//! Asks the kernel whether it would execute the command, for a report.
//!
//! A traced child performs the plan and calls execve(2). It is killed before the program's first instruction:
//! nothing of the command ever runs.
#![forbid(unsafe_code)]

use std::ffi::{CStr, c_int};

use nix::errno::Errno;
use nix::sys::prctl::set_dumpable;
use nix::unistd::{read, write};

use crate::accounts::environment;
use crate::model::credentials::Credentials;
use crate::plan::Plan;
use crate::process::apply;
use crate::system::Ended;
use crate::{command, system};

/// The result of execve(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Executed,
    Failed(Errno),
    /// The kernel killed it when the old program was gone already.
    Killed(c_int),
}

/// Exit statuses of the child and its tracer, above every errno. KILLED has the signal added.
const KILLED: c_int = 160;
const EXECUTED: c_int = 254;
const UNTRIED: c_int = 255;

/// The tracer's message. A faked read(2) leaves the buffer unchanged, so it is neither of these.
const GO: u8 = b'G';
const STOP: u8 = b'S';

/// Asks the kernel. `None` if that is not possible: it takes ptrace(2) and two more processes.
pub(super) fn ask(plan: &Plan, start: &Credentials, argv: &[&CStr], environment: &[&CStr]) -> Option<Answer> {
    let command = argv.first()?;
    let attempt = || attempt(plan, start, command, argv, environment);
    // In another process: if a filter kills for ptrace(2), there is still a report.
    let tracer = system::start_child(|| trace(attempt, plan).unwrap_or(UNTRIED)).ok()?;
    match system::wait_for(tracer).ok()? {
        Ended::Exited(UNTRIED) | Ended::Signaled(_) => None,
        Ended::Exited(EXECUTED) => Some(Answer::Executed),
        Ended::Exited(status) if status > KILLED => Some(Answer::Killed(status - KILLED)),
        Ended::Exited(errno) => Some(Answer::Failed(Errno::from_raw(errno))),
    }
}

/// Runs this in a traced child. Returns the exit status of either process.
///
/// The child is traced from its start, while both have the same user and capabilities; no call of the plan
/// depends on that. If the tracer dies, the kernel kills the child. If it was not traced yet, it reads the
/// end of the file and ends.
fn trace(attempt: impl FnOnce() -> c_int, plan: &Plan) -> Option<c_int> {
    let (go, go_of_tracer) = system::pipe().ok()?;
    // A start that gained its file's capabilities is undumpable, and cannot be traced. After this call, a
    // process with its user and all its capabilities can trace it. A change of user makes the child
    // undumpable again. If this call fails, tracing fails.
    let _ = set_dumpable(true);
    let Some(child) = system::fork().ok()? else {
        drop(go_of_tracer);
        let mut said = [0];
        return (read(&go, &mut said) == Ok(1) && said == [GO]).then(attempt);
    };
    let said = if system::trace(child).is_ok() { GO } else { STOP };
    write(&go_of_tracer, &[said]).ok()?;
    match system::wait_for_exec(child).ok()? {
        Some(Ended::Exited(status)) => Some(status),
        Some(Ended::Signaled(signal)) => Some(KILLED + signal),
        None => {
            // Killing the child needs its user, or KILL. The end of this process kills it too, but then PID 1
            // has to reap it, and not every PID 1 does.
            if apply::perform_all(&plan.steps).is_ok() && system::kill(child, libc::SIGKILL).is_ok() {
                let _ = system::wait_for(child);
            }
            Some(EXECUTED)
        }
    }
}

/// Does what a run does, but tells nothing. Another attempt reports what fails before execve(2).
fn attempt(plan: &Plan, start: &Credentials, command: &CStr, argv: &[&CStr], environment: &[&CStr]) -> c_int {
    let Ok((verified, _)) = apply::apply(plan, start.clone()) else { return UNTRIED };
    let environment = environment::for_application(environment, &plan.start, &plan.target, None);
    let found = command::find(command, environment::value(&environment, b"PATH"), &verified);
    match found.map(|found| command::execute(&verified, &found, argv, &environment)) {
        Ok(Err(errno)) => errno as c_int,
        _ => UNTRIED,
    }
}
