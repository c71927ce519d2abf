//! capshim from start to end: arguments, what this process is, the plan, its steps, exec.
//!
//! Only this file prints and chooses the exit code.
#![no_main]
#![forbid(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::fmt::Display;

use anyhow::{Context, Result};
use capshim::install;
use capshim::plan::notes::Note;
use capshim::process::{failures, observe};
use capshim::run::{Prepared, Reached, Ready, prepare, ready};
use capshim::settings::arguments::{self, Action};
use capshim::settings::names;
use capshim::settings::{Config, Log};
use capshim::system::{self, Blocked, Environment, Memory};
use capshim::{check, command};

#[global_allocator]
static MEMORY: Memory = Memory::new();

capshim::c_main!(run, names::may_ask_for_init);

/// `main` has already blocked all signals if the environment asks for init mode.
fn run(args: &[&CStr], environment: Environment, blocked: Blocked) -> c_int {
    let action = arguments::parse(args);
    if !matches!(action, Ok(Action::Run { .. })) {
        // Only a run needs blocked signals. A check still learns from `blocked` whether that was possible.
        let _ = blocked.undo();
    }
    let result = match action {
        Ok(Action::Help) => print(arguments::HELP).map(|()| 0),
        Ok(Action::Version) => print(arguments::VERSION).map(|()| 0),
        Ok(Action::Check { argv }) => check::check(argv, environment.entries(), blocked, print),
        Ok(Action::Install { path, file_caps }) => install::install(path, file_caps).and_then(|installed| {
            installed.notes.iter().filter_map(|note| line(note, Log::Info)).for_each(|line| drop(say(line)));
            print(&installed.to_string()).map(|()| 0)
        }),
        Ok(Action::Run { command, argv }) => start(command, argv, environment, blocked),
        Err(refusal) => Err(refusal.into()),
    };
    result.unwrap_or_else(|error| {
        let refusal = failures::refusal(error);
        let _ = blocked.undo();
        // capshim ends now, so a signal mask that cannot be restored does not matter.
        let _ = say(&refusal);
        refusal.exit as c_int
    })
}

/// Executes the application, and returns only the reason why that failed. In init mode the child executes it,
/// and the parent returns the application's exit code.
fn start(command: &CStr, argv: &[&CStr], environment: Environment, blocked: Blocked) -> Result<c_int> {
    let config = Config::parse(environment.entries());
    let Prepared { config, start, plan, .. } = prepare(observe::read()?, config)?;
    let Ready { verified, found, environment, notes, gate } =
        match ready(&plan, start, blocked, environment.entries(), |path, verified| {
            command::find(command, path, verified)
        })? {
            Reached::Application(ready) => ready,
            Reached::Parent(parent) => {
                // The application may be able to read the parent's memory. The child has its own copy.
                environment.erase();
                // A failure leaves signals blocked, and the parent keeps them blocked anyway.
                return parent.stay(|note| {
                    if let Some(line) = line(&note, config.log) {
                        let _ = say(line);
                    }
                });
            }
        };

    let effect = found.effect.note();
    let notes = plan.notes.iter().chain(&notes).chain(&effect);
    say(notes.filter_map(|note| line(note, config.log)).collect::<String>())?;
    gate.pass()?;
    Err(command::exec(verified, found, argv, &environment).into())
}

/// The note as a line, if `CAPSHIM_LOG` asks for it.
fn line(note: &Note, log: Log) -> Option<String> {
    let (kind, least) = if note.is_warning() { ("warning", Log::Warn) } else { ("info", Log::Info) };
    (log >= least).then(|| format!("capshim: {kind}: {note}\n"))
}

/// In one write, if the kernel takes it, so that lines of other processes do not come between.
fn say(message: impl Display) -> Result<()> {
    system::say(message.to_string().as_bytes()).context("rt_sigprocmask(SIG_SETMASK)")
}

fn print(text: &str) -> Result<()> {
    system::print(text.as_bytes()).context("write(standard output)")
}
