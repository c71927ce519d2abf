//! The way that a run and a check share: from the settings and this process to a plan, and on to a process
//! that only has to execute the command.
//!
//! So a check tells what a run does. Nothing here prints.
#![forbid(unsafe_code)]

mod account_files;

use std::borrow::Cow;
use std::ffi::CStr;

use anyhow::Result;

use crate::accounts::entries::Accounts;
use crate::accounts::environment;
use crate::init::{self, Gate, Parent, Side};
use crate::model::caps::CapSet;
use crate::model::credentials::Credentials;
use crate::model::error::Refusal;
use crate::model::ids::{Gid, Id, OVERFLOW_ID};
use crate::plan::notes::Note;
use crate::plan::{self, Plan};
use crate::process::apply::Verified;
use crate::process::{observe, own_file};
use crate::run::account_files::accounts;
use crate::settings::Config;
use crate::settings::user::Ref;
use crate::system::Blocked;

/// A plan and what it rests on.
#[derive(Debug)]
pub struct Prepared {
    pub config: Config,
    pub start: Credentials,
    pub accounts: Accounts,
    pub plan: Plan,
}

/// Makes the plan for a process with these credentials, or says why there is none. A set-id start is refused
/// before the settings count: whoever started it chose the settings, too.
pub fn prepare(mut start: Credentials, config: Result<Config, Refusal>) -> Result<Prepared> {
    plan::refuse_set_id(&start, own_file::path)?;
    let config = config?;
    if plan::needs_bounding(&config, &start) {
        start.bounding = Some(observe::bounding()?);
    }
    if plan::needs_own_file(&config, &start) {
        start.own_file = Some(own_file::read());
    }
    if has_overflow_gid(&config, &start) {
        start.overflow_gid = observe::overflow_gid();
    }
    let (accounts, notes) = accounts(&config, &start)?;
    let planned = plan::plan(&config, &start, &accounts);
    let mut plan = planned.map_err(|reason| {
        if let Some(file) = &mut start.own_file {
            file.place = own_file::place(file);
        }
        reason.refusal(&config, &start, &accounts)
    })?;
    plan.notes.splice(0..0, notes);
    let void = plan.expected.caps & CapSet::OF_INITIAL_NAMESPACE;
    if !void.is_empty() && observe::in_own_user_namespace() {
        plan.notes.push(Note::VoidInUserNamespace(void));
    }
    if let Some(init) = plan.init.as_mut().filter(|_| std::process::id() == 1) {
        init.as_pid_1();
    }
    Ok(Prepared { config, start, accounts, plan })
}

/// Whether the meaning of gid 65534 matters.
fn has_overflow_gid(config: &Config, start: &Credentials) -> bool {
    let asked = config.user.iter().filter_map(|spec| spec.group.as_ref());
    let is_it = |gid: &Gid| gid.raw() == OVERFLOW_ID;
    start.groups.iter().chain([&start.gid.effective]).any(is_it)
        || asked.into_iter().any(|group| matches!(group, Ref::Id(gid) if is_it(gid)))
}

/// Which process this is after the plan was performed.
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub enum Reached<'plan, 'environment, F> {
    Application(Ready<'environment, F>),
    /// The parent in init mode.
    Parent(Parent<'plan>),
}

/// A process with the application's user and capabilities. It may execute the command after the gate.
pub struct Ready<'environment, F> {
    pub verified: Verified,
    /// The command; `None` for a check without one.
    pub found: F,
    pub environment: Vec<Cow<'environment, CStr>>,
    /// Failures that are allowed.
    pub notes: Vec<Note>,
    pub gate: Gate,
}

/// Performs the plan, in init mode in a child, and finds the command by the application's PATH.
pub fn ready<'plan, 'environment, F>(
    plan: &'plan Plan,
    start: Credentials,
    blocked: Blocked,
    environment: &[&'environment CStr],
    find: impl FnOnce(Option<&[u8]>, &Verified) -> Result<F>,
) -> Result<Reached<'plan, 'environment, F>> {
    let (verified, notes, gate) = match init::apply(plan, start, blocked)? {
        Side::Application(verified, notes, gate) => (verified, notes, gate),
        Side::Parent(parent) => return Ok(Reached::Parent(parent)),
    };
    let environment =
        environment::for_application(environment, &plan.start, &plan.target, gate.renumbering());
    let found = find(environment::value(&environment, b"PATH"), &verified)?;
    Ok(Reached::Application(Ready { verified, found, environment, notes, gate }))
}
