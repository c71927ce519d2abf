//! The story in one screen: what is asked, what this process is, the plan, the steps, exec.
//!
//! The only place that prints and that chooses the exit code.
#![no_main]
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{CStr, c_int};
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};

use capshim::accounts::Accounts;
use capshim::cli::{self, Action};
use capshim::config::{Config, Log};
use capshim::credentials::{self, Credentials};
use capshim::error::{Exit, Note, Refusal};
use capshim::{apply, environment, exec, plan, sys};
use nix::errno::Errno;

capshim::c_main!(run);

fn run(args: &[&CStr], environment: &[&CStr]) -> c_int {
    let result = match cli::parse(args) {
        Ok(Action::Help) => print(cli::HELP),
        Ok(Action::Version) => print(cli::VERSION),
        Ok(Action::Check { .. }) => Err(Refusal::new(Exit::Usage, "this version does not have --check")),
        Ok(Action::Install { .. }) => Err(Refusal::new(Exit::Usage, "this version does not have --install")),
        Ok(Action::Run { command, argv }) => start(command, argv, environment).map(|never| match never {}),
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(()) => 0,
        Err(refusal) => {
            say(refusal.to_string());
            refusal.exit as c_int
        }
    }
}

/// Becomes the application. Returns only with the reason why not.
fn start(command: &CStr, argv: &[&CStr], environment: &[&CStr]) -> Result<Infallible, Refusal> {
    let mut start = credentials::read()?;
    plan::refuse_set_id(&start)?;
    let config = Config::parse(environment)?;
    if plan::needs_bounding(&config, &start) {
        start.bounding = Some(credentials::bounding()?);
        start.own_file = Some(credentials::own_file());
    }
    let accounts = accounts(&config, &start)?;

    let plan = plan::plan(&config, &start, &accounts)?;
    let (verified, notes) = apply::apply(&plan, start)?;

    let environment = environment::for_application(environment, &plan.start, &plan.target);
    let environment: Vec<&CStr> = environment.iter().map(AsRef::as_ref).collect();
    let found = exec::find(command, environment::value(&environment, b"PATH"), &verified)?;
    let notes = [&plan.notes, &notes, &found.notes].into_iter().flatten();
    notes.filter(|note| wanted(note, config.log)).for_each(say);
    Err(exec::exec(verified, found, argv, &environment))
}

/// Reads /etc/passwd and /etc/group, once each.
fn accounts(config: &Config, start: &Credentials) -> Result<Accounts, Refusal> {
    let failed = |path: &'static str| {
        move |error: io::Error| {
            Refusal::new(
                Exit::System,
                format!("read({path}): {}", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
            )
        }
    };
    let accounts = Accounts::users(start.uid.effective, config.user.as_ref(), open(c"/etc/passwd")?)
        .map_err(failed("/etc/passwd"))?;
    if !Accounts::need_groups(config, start.uid.effective) {
        return Ok(accounts);
    }
    accounts.groups(config, open(c"/etc/group")?).map_err(failed("/etc/group"))
}

/// A missing file is an empty one.
fn open(path: &CStr) -> Result<Box<dyn BufRead>, Refusal> {
    /// Half as many reads of a long file as with std's buffer.
    const BUFFER: usize = 16 * 1024;
    match sys::open(path) {
        Ok(file) => Ok(Box::new(BufReader::with_capacity(BUFFER, file))),
        Err(Errno::ENOENT) => Ok(Box::new(io::empty())),
        Err(errno) => {
            let path = path.to_string_lossy();
            Err(Refusal::new(Exit::System, format!("open({path}): {errno}"))
                .hint(format!("let everyone read it, as usual: chmod 644 {path}")))
        }
    }
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
    written.map_err(|error| Refusal::new(Exit::System, format!("write(standard output): {error}")))
}
