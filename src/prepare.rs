//! From the settings and this process to a plan: what a run and a check have in common.
//!
//! It reads and decides; it changes nothing.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::io::{self, BufRead, BufReader};

use nix::errno::Errno;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::credentials::{self, Credentials};
use crate::diagnose;
use crate::error::{Exit, Refusal, errno_of};
use crate::plan::{self, Plan};
use crate::reach::{self, Closed};
use crate::sys;

/// A plan, and what it rests on.
#[derive(Debug)]
pub struct Prepared {
    pub config: Config,
    pub start: Credentials,
    pub accounts: Accounts,
    pub plan: Plan,
}

/// Makes the plan for a process that has these credentials, or says why there is none.
pub fn prepare(mut start: Credentials, environment: &[&CStr]) -> Result<Prepared, Refusal> {
    plan::refuse_set_id(&start, sys::executed_path())?;
    let config = Config::parse(environment)?;
    if plan::needs_bounding(&config, &start) {
        start.bounding = Some(credentials::bounding()?);
        start.own_file = Some(credentials::own_file());
    }
    let accounts = accounts(&config, &start)?;
    let mut plan = plan::plan(&config, &start, &accounts)?;
    if let Some(init) = plan.init.as_mut().filter(|_| std::process::id() == 1) {
        init.as_pid_1();
    }
    Ok(Prepared { config, start, accounts, plan })
}

/// Reads /etc/passwd and /etc/group, once each.
fn accounts(config: &Config, start: &Credentials) -> Result<Accounts, Refusal> {
    let failed = |path: &'static str| {
        move |error: io::Error| {
            let errno = errno_of(&error);
            let refusal = Refusal::new(Exit::System, format!("read({path}): {errno}"));
            match errno {
                Errno::EISDIR => refusal.hint(format!(
                    "put a file at {path}: a bind mount of one that is not there makes a folder"
                )),
                _ => refusal,
            }
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
            let call = format!("open({})", path.to_string_lossy());
            let failed = diagnose::call_failed(call, errno);
            Err(match (errno, reach::closed(path)) {
                (Errno::EACCES, Closed::Folder(folder)) => {
                    failed.hint(format!("let everyone search its folder, as usual: chmod a+x {folder}"))
                }
                (Errno::EACCES, Closed::File(file)) => {
                    failed.hint(format!("let everyone read it, as usual: chmod 644 {file}"))
                }
                _ => failed,
            })
        }
    }
}
