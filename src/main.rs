//! The story in one screen: what is asked, what this process is, the plan, the steps, exec.
//!
//! The only place that prints and that chooses the exit code.
#![no_main]
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{CStr, c_int};
use std::fmt::Display;
use std::io::{self, Write};

use capshim::cli::{self, Action};
use capshim::config::Log;
use capshim::error::{Exit, Note, Refusal};
use capshim::prepare::{Prepared, prepare};
use capshim::{apply, check, credentials, environment, exec, install};
use nix::errno::Errno;

capshim::c_main!(run);

fn run(args: &[&CStr], environment: &[&CStr]) -> c_int {
    let result = match cli::parse(args) {
        Ok(Action::Help) => print(cli::HELP).map(|()| 0),
        Ok(Action::Version) => print(cli::VERSION).map(|()| 0),
        Ok(Action::Check { command }) => check::check(command, environment, print),
        Ok(Action::Install { path, file_caps }) => install::install(path, file_caps).and_then(|installed| {
            installed.warnings.iter().for_each(say);
            print(&installed.to_string()).map(|()| 0)
        }),
        Ok(Action::Run { command, argv }) => start(command, argv, environment).map(|never| match never {}),
        Err(refusal) => Err(refusal),
    };
    result.unwrap_or_else(|refusal| {
        say(&refusal);
        refusal.exit as c_int
    })
}

/// Becomes the application. Returns only with the reason why not.
fn start(command: &CStr, argv: &[&CStr], environment: &[&CStr]) -> Result<Infallible, Refusal> {
    let Prepared { config, start, plan, .. } = prepare(credentials::read()?, environment)?;
    let (verified, notes) = apply::apply(&plan, start)?;

    let environment = environment::for_application(environment, &plan.start, &plan.target);
    let environment: Vec<&CStr> = environment.iter().map(AsRef::as_ref).collect();
    let found = exec::find(command, environment::value(&environment, b"PATH"), &verified)?;
    let notes = plan.notes.iter().chain(&notes).cloned().chain(found.effect.note());
    notes.filter(|note| wanted(note, config.log)).for_each(say);
    Err(exec::exec(verified, found, argv, &environment))
}

fn wanted(note: &Note, log: Log) -> bool {
    match note {
        Note::Warning(_) => log >= Log::Warn,
        Note::Info(_) => log >= Log::Info,
    }
}

/// One write, so that lines of other processes do not come between. Where stderr is closed
/// there is nobody to tell.
fn say(message: impl Display) {
    let _ = io::stderr().write_all(message.to_string().as_bytes());
}

fn print(text: &str) -> Result<(), Refusal> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Refusal::new(Exit::System, format!("write(standard output): {errno}"))
    })
}
