//! The plan: from settings and observed credentials to the steps that change them, and the
//! credentials expected at the end.
//!
//! Pure: it makes no system call, so that what a run does can be printed, tested and made to
//! fail step by step. `apply` performs it.
#![forbid(unsafe_code)]

use std::fmt;

use crate::accounts::Accounts;
use crate::capset::{Cap, CapSet, ThreadCaps, name};
use crate::config::{self, Config};
use crate::credentials::{Credentials, Ids, Securebits};
use crate::diagnose;
use crate::environment::Person;
use crate::error::{Complaint, Exit, Note, Refusal};
use crate::groups::{self, Dropped, Groups, Why};
use crate::identity::{self, Gid, Id, Uid};

/// One step: one system call, but for the stdio.
///
/// The order is the kernel's, not ours:
///
/// * A start by file capabilities has them permitted but not effective, so effective comes
///   first, or SETPCAP and SETGID would count for nothing.
/// * setresuid(2) away from 0 clears effective and ambient, and permitted too unless
///   PR_SET_KEEPCAPS was set. So everything that needs SETGID or SETPCAP effective, and the
///   stdio, which needs uid 0 but the new gid, comes before it, and ambient after it.
/// * Inheritable takes only what is permitted and in the bounding set or inheritable
///   already, so the bounding set keeps the request; ambient takes only what is permitted
///   and inheritable, so capset(2) comes before ambient.
/// * no_new_privs hinders none of these and must hold at exec, so it is last.
///
/// Then everything is read back and compared (`apply`), and only then comes execve(2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Effective = permitted; inheritable stays.
    RaiseEffective(ThreadCaps),
    KeepCaps,
    SetGroups(Vec<Gid>),
    SetGid(Gid),
    /// Gives the group of the descriptors 0 to 2 to the application, where they are pipes or
    /// terminals of root's: it could not open /dev/stdout again otherwise. Not fatal.
    ShareStdio(Gid),
    DropBounding(u8),
    SetUid(Uid),
    /// Permitted = effective = inheritable = the request.
    SetCaps(CapSet),
    ClearAmbient,
    RaiseAmbient(u8),
    NoNewPrivs,
}

/// The system call with its values.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Step::RaiseEffective(caps) => write!(f, "capset(effective = permitted = {})", caps.permitted),
            Step::KeepCaps => f.write_str("prctl(PR_SET_KEEPCAPS, 1)"),
            Step::SetGroups(groups) => write!(f, "setgroups({})", listed(groups)),
            Step::SetGid(gid) => write!(f, "setresgid({gid}, {gid}, {gid})"),
            Step::ShareStdio(gid) => write!(f, "fchown and fchmod of descriptors 0 to 2 for gid {gid}"),
            Step::DropBounding(cap) => write!(f, "prctl(PR_CAPBSET_DROP, {})", name(*cap)),
            Step::SetUid(uid) => write!(f, "setresuid({uid}, {uid}, {uid})"),
            Step::SetCaps(caps) => write!(f, "capset(permitted = effective = inheritable = {caps})"),
            Step::ClearAmbient => f.write_str("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)"),
            Step::RaiseAmbient(cap) => {
                write!(f, "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {})", name(*cap))
            }
            Step::NoNewPrivs => f.write_str("prctl(PR_SET_NO_NEW_PRIVS, 1)"),
        }
    }
}

/// The credentials after the last step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    pub uid: Uid,
    pub gid: Gid,
    /// Sorted, each once.
    pub groups: Vec<Gid>,
    /// Permitted, effective, inheritable and ambient.
    pub caps: CapSet,
    /// `None` where it stays as it was, for want of SETPCAP.
    pub bounding: Option<CapSet>,
    pub no_new_privs: bool,
}

impl Expected {
    /// What differs in the credentials read back, in words; empty if nothing does.
    pub fn differences(&self, now: &Credentials) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, plan: String, now: String| {
            if plan != now {
                found.push(format!("{what} is {now} and should be {plan}"));
            }
        };
        let ids = |ids: Ids<u32>| format!("{}/{}/{}", ids.real, ids.effective, ids.saved);
        let raw = |uid: Ids<Uid>| Ids {
            real: uid.real.raw(),
            effective: uid.effective.raw(),
            saved: uid.saved.raw(),
        };
        compare("uid", ids(Ids::all(self.uid.raw())), ids(raw(now.uid)));
        let raw = |gid: Ids<Gid>| Ids {
            real: gid.real.raw(),
            effective: gid.effective.raw(),
            saved: gid.saved.raw(),
        };
        compare("gid", ids(Ids::all(self.gid.raw())), ids(raw(now.gid)));
        compare("the group list", listed(&self.groups), listed(&now.groups));
        for (what, set) in [
            ("permitted", now.permitted),
            ("effective", now.effective),
            ("inheritable", now.inheritable),
            ("ambient", now.ambient),
        ] {
            compare(what, self.caps.to_string(), set.to_string());
        }
        if let Some(bounding) = self.bounding {
            compare(
                "bounding",
                bounding.to_string(),
                now.bounding.map_or("not read".into(), |set| set.to_string()),
            );
        }
        compare("no_new_privs", self.no_new_privs.to_string(), now.no_new_privs.to_string());
        found
    }
}

/// What a run will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub expected: Expected,
    pub notes: Vec<Note>,
    /// The starting user and the application's, for its environment.
    pub start: Person,
    pub target: Person,
}

/// Ids and groups, listed for a message.
pub fn listed(groups: &[Gid]) -> String {
    if groups.is_empty() {
        return "none".into();
    }
    groups.iter().map(Gid::to_string).collect::<Vec<_>>().join(", ")
}

/// A start with changed ids is no container start: whoever started it chose the environment.
pub fn refuse_set_id(start: &Credentials) -> Result<(), Refusal> {
    let (uid, gid) = (start.uid, start.gid);
    if uid.real == uid.effective && gid.real == gid.effective {
        return Ok(());
    }
    Err(Refusal::new(
        Exit::Setting,
        format!("started set-user-ID or set-group-ID (real uid {} gid {}, effective uid {} gid {})", uid.real, gid.real, uid.effective, gid.effective),
    )
    .hint("remove the bits from this program's file: chmod u-s,g-s; a start as root or file capabilities (=p) do what they were meant to do"))
}

/// Whether the plan, or what it may have to say, depends on the bounding set.
pub fn needs_bounding(config: &Config, start: &Credentials) -> bool {
    let stays_unbounded_root = start.uid.effective == Uid::ROOT && !config.no_new_privs;
    start.permitted.contains(Cap::CAP_SETPCAP) || stays_unbounded_root || lacks_any(config, start)
}

/// Whether a requested capability, or the means of a switch, is not permitted.
pub fn lacks_any(config: &Config, start: &Credentials) -> bool {
    let switch = if start.uid.effective == Uid::ROOT { SWITCH } else { CapSet::EMPTY };
    !(config.caps.required | switch).is_subset_of(start.permitted)
}

/// What a switch from root to another user takes.
const SWITCH: CapSet = CapSet::of(&[Cap::CAP_SETUID, Cap::CAP_SETGID]);

/// Makes the plan, or says why there is none.
pub fn plan(config: &Config, start: &Credentials, accounts: &Accounts) -> Result<Plan, Refusal> {
    let mut notes = Vec::new();
    let (uid, gid) = who(config, start, accounts, &mut notes)?;
    let switches = start.uid.effective != uid;
    if start.no_new_privs && !config.no_new_privs {
        return Err(diagnose::no_new_privs_is_on());
    }
    let Groups { list: groups, dropped, uncertain } = groups::decide(config, start, accounts, gid, switches)?;

    // Which calls the ids need, and the capabilities that these calls need.
    let sets_gid = switches || start.gid != Ids::all(gid);
    let sets_groups = groups != start.groups || (switches && uncertain);
    let mut means = if switches { SWITCH } else { CapSet::EMPTY };
    if sets_gid || sets_groups {
        means = means | CapSet::of(&[Cap::CAP_SETGID]);
    }

    let required = config.caps.required;
    let lacking = (required | means) - start.permitted;
    if !lacking.is_empty() {
        return Err(diagnose::lacking(lacking, required, means, uid, config, start));
    }
    // What ambient holds already survives, unless the uid changes.
    let ambient = if switches { CapSet::EMPTY } else { start.ambient };
    let can_raise = start.has_ambient && !start.securebits.has(Securebits::NO_CAP_AMBIENT_RAISE);
    if !can_raise && !required.is_subset_of(ambient) {
        return Err(diagnose::no_ambient(required - ambient, start));
    }
    let to_be_had = start.permitted & if can_raise { start.permitted } else { ambient };
    let request = required | (config.caps.optional & to_be_had);
    let left_out = config.caps.optional - request;
    if !left_out.is_empty() {
        notes.push(Note::Warning(format!("left out as optional, not granted to this container: {left_out}")));
    }
    refuse_regain(config, start, request)?;

    let mut steps = vec![Step::RaiseEffective(ThreadCaps {
        effective: start.permitted,
        permitted: start.permitted,
        inheritable: start.inheritable,
    })];
    // Without the fixup, a change of uid leaves the sets alone.
    if switches && !start.securebits.has(Securebits::NO_SETUID_FIXUP) {
        if !start.securebits.has(Securebits::KEEP_CAPS_LOCKED) {
            steps.push(Step::KeepCaps);
        } else if !request.is_empty() {
            return Err(diagnose::keepcaps_locked(request, start.securebits));
        }
    }
    if sets_groups {
        steps.push(Step::SetGroups(groups.clone()));
    }
    if sets_gid {
        steps.push(Step::SetGid(gid));
    }
    if switches {
        steps.push(Step::ShareStdio(gid));
    }
    let mut bounding = None;
    if start.permitted.contains(Cap::CAP_SETPCAP) {
        let now = known_bounding(start)?;
        steps.extend((now - request).numbers().map(Step::DropBounding));
        bounding = Some(now & request);
    }
    if switches {
        steps.push(Step::SetUid(uid));
    }
    steps.push(Step::SetCaps(request));
    if can_raise {
        steps.push(Step::ClearAmbient);
        steps.extend(request.numbers().map(Step::RaiseAmbient));
    }
    if config.no_new_privs {
        steps.push(Step::NoNewPrivs);
    } else if uid == Uid::ROOT && !start.securebits.has(Securebits::NOROOT) {
        let bounding = bounding.map_or_else(|| known_bounding(start), Ok)?;
        if !bounding.is_subset_of(request) {
            return Err(diagnose::root_would_regain(bounding - request, request));
        }
    }

    let expected = Expected { uid, gid, groups, caps: request, bounding, no_new_privs: config.no_new_privs };
    tell(&expected, &dropped, &mut notes);
    let target = if switches || start.uid.effective == Uid::ROOT {
        accounts.target.as_ref()
    } else {
        accounts.start.as_ref()
    };
    Ok(Plan {
        steps,
        expected,
        notes,
        start: Person::new(start.uid.effective, accounts.start.as_ref()),
        target: Person::new(uid, target),
    })
}

/// The uid and gid of the application.
fn who(
    config: &Config,
    start: &Credentials,
    accounts: &Accounts,
    notes: &mut Vec<Note>,
) -> Result<(Uid, Gid), Refusal> {
    let (start_uid, start_gid) = (start.uid.effective, start.gid.effective);
    let Some(spec) = &config.user else {
        if start_uid == Uid::ROOT {
            return Err(diagnose::no_user());
        }
        return Ok((start_uid, start_gid));
    };
    let asked = identity::resolve(spec, accounts)?;
    if start_uid != Uid::ROOT {
        if asked.uid != start_uid || asked.gid.is_some_and(|gid| gid != start_gid) {
            notes.push(Note::Warning(format!(
                "the runtime started this container as uid {start_uid} gid {start_gid}, which stands; {}={spec} is not used",
                config::USER
            )));
        }
        return Ok((start_uid, start_gid));
    }
    // The runtime's gid counts (runAsGroup), unless it is root's or may be an unmapped one.
    let given = (start_gid != Gid::ROOT && start_gid.raw() != identity::OVERFLOW_ID).then_some(start_gid);
    let gid = asked.gid.or(given).ok_or_else(|| identity::no_gid(spec))?;
    Ok((asked.uid, gid))
}

/// Only a file can have given a non-root process permitted capabilities that are not
/// ambient: it could be executed again for the rest.
fn refuse_regain(config: &Config, start: &Credentials, request: CapSet) -> Result<(), Refusal> {
    let more = start.permitted - start.ambient - request;
    if config.no_new_privs || start.uid.effective == Uid::ROOT || more.is_empty() {
        return Ok(());
    }
    let complaint = Complaint::new(format!(
        "would let the application run this program again and take {more} from its file capabilities"
    ))
    .hint(format!(
        "leave {} at 1, or give the file no more than CAPSHIM_CAPS asks for",
        config::NO_NEW_PRIVS
    ));
    Err(Refusal::setting(config::NO_NEW_PRIVS, b"0", complaint))
}

fn known_bounding(start: &Credentials) -> Result<CapSet, Refusal> {
    start.bounding.ok_or_else(|| Refusal::new(Exit::System, "the bounding set is needed but was not read"))
}

/// What CAPSHIM_LOG=info says about a plan.
fn tell(expected: &Expected, dropped: &[Dropped], notes: &mut Vec<Note>) {
    let Expected { uid, gid, groups, caps, no_new_privs, .. } = expected;
    let on = if *no_new_privs { "on" } else { "off" };
    notes.push(Note::Info(format!(
        "uid {uid}, gid {gid}, groups {}, capabilities {caps}, no_new_privs {on}",
        listed(groups)
    )));
    for Dropped { gid, why } in dropped {
        let text = format!("left out group {gid}: {why}");
        notes.push(match why {
            Why::MaybeUnmapped => Note::Warning(text),
            Why::Root | Why::GivenToRoot => Note::Info(text),
        });
    }
    if *gid == Gid::ROOT && *uid != Uid::ROOT {
        notes.push(Note::Info("the application's group is root's (gid 0)".into()));
    }
    let dangerous = *caps & CapSet::ROOT_EQUIVALENT;
    if !dangerous.is_empty() {
        notes.push(Note::Info(format!(
            "can be turned into root in the container or on the node: {dangerous}"
        )));
    }
}
