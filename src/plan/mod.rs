//! The plan: from settings and observed credentials to the steps that change them, and the
//! credentials expected at the end.
//!
//! Pure: it makes no system call, so that what a run does can be printed, tested and made to
//! fail step by step. `process::apply` performs it.
#![forbid(unsafe_code)]

pub mod change;
pub mod groups;
pub mod identity;
pub mod init;
pub mod notes;
pub mod reasons;
pub mod refusals;
pub mod step;

use std::ffi::CString;

use crate::accounts::entries::Accounts;
use crate::accounts::environment::Account;
use crate::model::caps::{Cap, CapSet, ThreadCaps};
use crate::model::credentials::{Credentials, Securebits};
use crate::model::error::Refusal;
use crate::model::expected::Expected;
use crate::model::ids::{Gid, Uid};
use crate::plan::change::{Change, Dropped, SWITCH, Why};
use crate::plan::identity::change;
use crate::plan::init::{InitPlan, init_plan};
use crate::plan::notes::Note;
use crate::plan::reasons::Reason;
use crate::plan::step::Step;
use crate::settings::Config;

/// What a run will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The steps to the application, in their order.
    pub steps: Vec<Step>,
    pub expected: Expected,
    /// What the parent of init mode does.
    pub init: Option<InitPlan>,
    pub notes: Vec<Note>,
    /// Inherited groups that the application does not get, under `auto`.
    pub dropped: Vec<Dropped>,
    /// The starting user and the application's, for its environment.
    pub start: Account,
    pub target: Account,
}

/// No container starts with changed ids: whoever executed a set-id file chose the environment, too.
pub fn refuse_set_id(start: &Credentials, program: impl FnOnce() -> CString) -> Result<(), Refusal> {
    let (uid, gid) = (start.uid, start.gid);
    if uid.real == uid.effective && gid.real == gid.effective {
        return Ok(());
    }
    Err(refusals::set_id(start, &program()))
}

/// Whether a step or a message depends on the bounding set, which is read only then.
pub fn needs_bounding(config: &Config, start: &Credentials) -> bool {
    start.permitted.contains(Cap::CAP_SETPCAP) || needs_own_file(config, start)
}

/// Whether a decision or a message depends on this program's own file.
pub fn needs_own_file(config: &Config, start: &Credentials) -> bool {
    let switch = if start.uid.effective == Uid::ROOT { SWITCH } else { CapSet::EMPTY };
    let lacks_any = !(config.caps.required | switch).is_subset_of(start.permitted);
    !config.no_new_privs || lacks_any
}

/// Makes the plan, or says why there is none.
pub fn plan(config: &Config, start: &Credentials, accounts: &Accounts) -> Result<Plan, Reason> {
    let mut notes = Vec::new();
    if start.no_new_privs && !config.no_new_privs {
        return Err(Reason::NoNewPrivsIsOn);
    }
    let change = change(config, start, accounts, &mut notes)?;
    let request = request(config, start, &change, &mut notes)?;
    // The bounding set is read back wherever a decision rests on it.
    let bounding = if start.permitted.contains(Cap::CAP_SETPCAP) {
        Some(known_bounding(start)? & request)
    } else if !config.no_new_privs {
        Some(known_bounding(start)?)
    } else {
        None
    };
    if let Some(bounding) = bounding.filter(|_| !config.no_new_privs) {
        refuse_regain(&change, start, request, bounding)?;
    }
    let steps = steps(config, start, &change, request)?;
    let Change { uid, gid, groups, .. } = change;
    let expected = Expected {
        uid,
        gid,
        groups: groups.list,
        caps: request,
        bounding,
        no_new_privs: config.no_new_privs,
    };
    let init = init_plan(config.init, &steps, start, &expected);
    tell(&expected, &groups.dropped, config, &mut notes);
    let target = if start.uid.effective == Uid::ROOT { &accounts.target } else { &accounts.start };
    Ok(Plan {
        steps,
        expected,
        init,
        notes,
        dropped: groups.dropped,
        start: Account::new(start.uid.effective, accounts.start.as_ref()),
        target: Account::new(uid, target.as_ref()),
    })
}

/// The capabilities that the application gets: all that are required, and those of the optional
/// ones that this container has.
fn request(
    config: &Config,
    start: &Credentials,
    change: &Change,
    notes: &mut Vec<Note>,
) -> Result<CapSet, Reason> {
    let (required, optional) = (config.caps.required, config.caps.optional);
    // Before anything else that could be granted: all of it would be in vain.
    if !start.has_ambient && !required.is_empty() {
        return Err(Reason::NoAmbient(required));
    }
    let lacking = (required | change.needed_caps()) - start.permitted;
    if !lacking.is_empty() {
        return Err(reasons::lacking(lacking, change, config, start));
    }
    // What ambient holds already survives, unless the uid changes and the sets follow it.
    let ambient = if change.switches && fixes_up(start) { CapSet::EMPTY } else { start.ambient };
    let available = match (can_raise(start), loses_permitted(start, change)) {
        (_, true) => CapSet::EMPTY,
        (true, false) => start.permitted,
        (false, false) => ambient,
    };
    let refused = required - available;
    if !refused.is_empty() {
        return Err(if can_raise(start) {
            Reason::KeepCapsLocked(refused)
        } else {
            Reason::AmbientLocked(refused)
        });
    }
    let left_out = optional - available;
    if !left_out.is_empty() {
        notes.push(Note::OptionalLeftOut(left_out));
    }
    Ok(required | (optional & available))
}

fn can_raise(start: &Credentials) -> bool {
    start.has_ambient && !start.securebits.has(Securebits::NO_CAP_AMBIENT_RAISE)
}

/// Without the fixup, a change of uid leaves the sets alone; with it, permitted needs
/// KEEPCAPS, which can be locked (capabilities(7), securebits).
fn loses_permitted(start: &Credentials, change: &Change) -> bool {
    change.switches && fixes_up(start) && start.securebits.has(Securebits::KEEP_CAPS_LOCKED)
}

fn fixes_up(start: &Credentials) -> bool {
    !start.securebits.has(Securebits::NO_SETUID_FIXUP)
}

fn steps(
    config: &Config,
    start: &Credentials,
    change: &Change,
    request: CapSet,
) -> Result<Vec<Step>, Reason> {
    let (permitted, inheritable) = (start.permitted, start.inheritable);
    let mut steps = vec![Step::RaiseEffective(ThreadCaps { effective: permitted, permitted, inheritable })];
    if change.switches && fixes_up(start) && !loses_permitted(start, change) {
        steps.push(Step::KeepCaps);
    }
    if change.sets_groups {
        steps.push(Step::SetGroups(change.groups.list.clone()));
    }
    if change.sets_gid {
        steps.push(Step::SetGid(change.gid));
    }
    if change.switches {
        steps.push(Step::ShareStdio(change.gid));
    }
    if permitted.contains(Cap::CAP_SETPCAP) {
        steps.extend((known_bounding(start)? - request).numbers().map(Step::DropBounding));
    }
    if change.switches {
        steps.push(Step::SetUid(change.uid));
    }
    steps.push(Step::SetCaps(request));
    if can_raise(start) {
        steps.push(Step::ClearAmbient);
        steps.extend(request.numbers().map(Step::RaiseAmbient));
    }
    if config.no_new_privs {
        steps.push(Step::NoNewPrivs);
    }
    Ok(steps)
}

/// Without no_new_privs, an exec can give capabilities of the bounding set back. Root gets all of them.
/// Others get those on this program's own file, by running it again.
fn refuse_regain(
    change: &Change,
    start: &Credentials,
    request: CapSet,
    bounding: CapSet,
) -> Result<(), Reason> {
    let needed = change.needed_caps();
    if change.uid == Uid::ROOT {
        let more = bounding - request;
        return if more.is_empty() || start.securebits.has(Securebits::NOROOT) {
            Ok(())
        } else {
            Err(Reason::RootWouldRegain { more, request, needed })
        };
    }
    // A non-root process has these from this program's file: they are permitted but not ambient. The file's
    // inheritable set may have given those that are inheritable, and it gives the application nothing.
    let given = if start.uid.effective == Uid::ROOT {
        CapSet::EMPTY
    } else {
        start.permitted - start.ambient - start.inheritable
    };
    let more = ((given | start.may_carry()) & bounding) - request;
    if more.is_empty() { Ok(()) } else { Err(Reason::FileWouldRegain { more, request, needed }) }
}

fn known_bounding(start: &Credentials) -> Result<CapSet, Reason> {
    start.bounding.ok_or(Reason::BoundingNotRead)
}

/// What there is to tell of a plan.
fn tell(expected: &Expected, dropped: &[Dropped], config: &Config, notes: &mut Vec<Note>) {
    notes.push(Note::Becomes(expected.clone()));
    for why in Why::ALL {
        let gids = dropped.iter().filter(|dropped| dropped.why == why).map(|dropped| dropped.gid);
        let gids: Vec<Gid> = gids.collect();
        if !gids.is_empty() {
            notes.push(Note::GroupsDropped { why, gids, policy: config.groups.clone() });
        }
    }
    if expected.gid == Gid::ROOT && expected.uid != Uid::ROOT {
        notes.push(Note::GroupIsRoots);
    }
    let dangerous = expected.caps & CapSet::ROOT_EQUIVALENT;
    if !dangerous.is_empty() {
        notes.push(Note::RootEquivalent(dangerous));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    use crate::model::credentials::{Ids, OverflowGid};
    use crate::model::ids::Id;

    #[test]
    fn a_user_that_does_not_count_is_shown_escaped_and_cut() {
        let start = Credentials {
            gid: Ids::all(Gid::ROOT),
            no_new_privs: true,
            bounding: None,
            ..Credentials::started(1000, CapSet::EMPTY)
        };
        // U+009B begins a terminal's control sequence.
        let user = format!("1001:{}", "\u{9b}".repeat(1000));
        let config = Config { user: user.parse().ok(), ..Config::parse(&[c"CAPSHIM_CAPS=none"]).unwrap() };
        let group = format!("{}:x:5:\n", "\u{9b}".repeat(1000));
        let mut accounts = Accounts::default();
        accounts.read_groups(&config, group.as_bytes()).unwrap();
        let notes = plan(&config, &start, &accounts).unwrap().notes;
        let warning = notes[0].to_string();
        assert!(warning.is_ascii() && warning.len() < 1000, "{warning}");
        assert!(warning.contains("CAPSHIM_USER=1001:\\xc2\\x9b"), "{warning}");
    }

    const LOCK: CapSet = CapSet::of(&[Cap::CAP_IPC_LOCK]);
    const RAW: CapSet = CapSet::of(&[Cap::CAP_NET_RAW]);

    fn planned(settings: &[&CStr], start: &Credentials) -> Result<Plan, Reason> {
        plan(&Config::parse(settings).unwrap(), start, &Accounts::default())
    }

    /// SECBIT_NO_CAP_AMBIENT_RAISE, and ambient has what is asked for.
    #[test]
    fn what_is_ambient_already_survives_a_change_of_user_that_changes_no_sets() {
        let settings = [c"CAPSHIM_USER=1000:1000", c"CAPSHIM_CAPS=ipc_lock"];
        let start = |securebits| Credentials {
            inheritable: LOCK,
            ambient: LOCK,
            securebits: Securebits(securebits),
            ..Credentials::started(0, SWITCH | LOCK)
        };
        let locked = Securebits::NO_CAP_AMBIENT_RAISE;
        assert_eq!(planned(&settings, &start(locked)), Err(Reason::AmbientLocked(LOCK)));
        let kept = planned(&settings, &start(locked | Securebits::NO_SETUID_FIXUP)).unwrap();
        assert_eq!(kept.expected.caps, LOCK);
        assert!(!kept.steps.contains(&Step::ClearAmbient));
    }

    #[test]
    fn what_the_files_inheritable_set_gave_is_not_regained_from_it() {
        let settings = [c"CAPSHIM_CAPS=ipc_lock", c"CAPSHIM_NO_NEW_PRIVS=0"];
        let start = |inheritable| Credentials { inheritable, ..Credentials::started(1000, LOCK | RAW) };
        assert!(planned(&settings, &start(LOCK | RAW)).is_ok());
        assert!(matches!(planned(&settings, &start(LOCK)), Err(Reason::FileWouldRegain { more: RAW, .. })));
    }

    #[test]
    fn the_list_that_another_user_is_to_be_granted_has_what_the_change_of_groups_needs() {
        let settings = [c"CAPSHIM_CAPS=ipc_lock", c"CAPSHIM_GROUPS=2000"];
        let setgid = CapSet::of(&[Cap::CAP_SETGID]);
        let reason = planned(&settings, &Credentials::started(1000, setgid)).unwrap_err();
        let grants = LOCK | setgid;
        assert_eq!(reason, Reason::NotGrantedToUser { missing: LOCK, on_file: false, grants });
    }

    #[test]
    fn a_start_whose_real_and_effective_ids_differ_is_refused() {
        let program = || c"/capshim".to_owned();
        let start = Credentials::started(1000, CapSet::EMPTY);
        assert!(refuse_set_id(&start, program).is_ok());
        let uid = Ids { effective: Uid::ROOT, ..start.uid };
        let gid = Ids { effective: Gid::ROOT, ..start.gid };
        assert!(refuse_set_id(&Credentials { uid, ..start.clone() }, program).is_err());
        assert!(refuse_set_id(&Credentials { gid, ..start.clone() }, program).is_err());
        assert!(refuse_set_id(&Credentials { uid, gid, ..start }, program).is_err());
    }

    #[test]
    fn as_many_groups_are_kept_as_the_kernel_takes() {
        let settings = [c"CAPSHIM_USER=1000:1000", c"CAPSHIM_GROUPS=keep"];
        let start = |count: usize| Credentials {
            groups: (1000..).map_while(Gid::new).take(count).collect(),
            overflow_gid: OverflowGid::Certain,
            ..Credentials::started(0, SWITCH)
        };
        assert_eq!(planned(&settings, &start(65536)).unwrap().expected.groups.len(), 65536);
        let reason = planned(&settings, &start(65537));
        assert!(matches!(reason, Err(Reason::TooManyGroups { most: 65536, .. })));
    }
}
