//! The story in one screen: what is asked, what this process is, the plan, the steps, exec.
//!
//! The only place that prints and that chooses the exit code.
#![no_main]
#![forbid(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::fmt::Display;

use capshim::cli::{self, Action};
use capshim::config::{self, Log};
use capshim::error::{Exit, Note, Refusal};
use capshim::init::{self, Side};
use capshim::prepare::{Prepared, prepare};
use capshim::sys::{self, Blocked, Environment, Memory};
use capshim::{check, credentials, environment, exec, install};

#[global_allocator]
static MEMORY: Memory = Memory::new();

capshim::c_main!(run, config::may_ask_for_init);

/// Signals are blocked where init mode was asked for.
fn run(args: &[&CStr], environment: Environment, blocked: Blocked) -> c_int {
    let action = cli::parse(args);
    if !matches!(action, Ok(Action::Run { .. })) {
        // What is left of it is whether it was possible, which a check tells.
        let _ = blocked.undo();
    }
    let result = match action {
        Ok(Action::Help) => print(cli::HELP).map(|()| 0),
        Ok(Action::Version) => print(cli::VERSION).map(|()| 0),
        Ok(Action::Check { argv }) => check::check(argv, environment.entries(), blocked, print),
        Ok(Action::Install { path, file_caps }) => install::install(path, file_caps).and_then(|installed| {
            installed.warnings.iter().for_each(|warning| drop(say(warning)));
            print(&installed.to_string()).map(|()| 0)
        }),
        Ok(Action::Run { command, argv }) => start(command, argv, environment, blocked),
        Err(refusal) => Err(refusal),
    };
    result.unwrap_or_else(|refusal| {
        let _ = blocked.undo();
        // Whether signals are as before matters to nobody any more.
        let _ = say(&refusal);
        refusal.exit as c_int
    })
}

/// Becomes the application, and then returns only with the reason why not. In init mode a
/// child does, and its parent returns the application's exit code.
fn start(
    command: &CStr,
    argv: &[&CStr],
    environment: Environment,
    blocked: Blocked,
) -> Result<c_int, Refusal> {
    let Prepared { config, start, plan, .. } = prepare(credentials::read()?, environment.entries())?;
    let wanted = |note: &Note| wanted(note, config.log);
    let (verified, notes, gate) = match init::apply(&plan, start, blocked)? {
        Side::Application(verified, notes, gate) => (verified, notes, gate),
        Side::Parent(parent) => {
            // The application may read what is left in the parent, and the child has its copy.
            environment.erase();
            // Its signals stay blocked in any case.
            return parent.stay(|note| {
                if wanted(&note) {
                    let _ = say(note);
                }
            });
        }
    };

    let environment =
        environment::for_application(environment.entries(), &plan.start, &plan.target, gate.renumbering());
    let environment: Vec<&CStr> = environment.iter().map(AsRef::as_ref).collect();
    let found = exec::find(command, environment::value(&environment, b"PATH"), &verified)?;
    let notes = plan.notes.iter().chain(&notes).cloned().chain(found.effect.note());
    say(notes.filter(wanted).map(|note| note.to_string()).collect::<String>())?;
    gate.pass()?;
    Err(exec::exec(verified, found, argv, &environment))
}

fn wanted(note: &Note, log: Log) -> bool {
    match note {
        Note::Warning(_) => log >= Log::Warn,
        Note::Info(_) => log >= Log::Info,
    }
}

/// In one write where the kernel takes it so, and lines of other processes do not come between.
fn say(message: impl Display) -> Result<(), Refusal> {
    sys::say(message.to_string().as_bytes()).map_err(init::failed("rt_sigprocmask(SIG_SETMASK)"))
}

fn print(text: &str) -> Result<(), Refusal> {
    sys::print(text.as_bytes())
        .map_err(|errno| Refusal::new(Exit::System, format!("write(standard output): {errno}")))
}
