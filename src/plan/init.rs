//! Init mode's part of the plan: where the fork comes, and how the parent drops everything.
//!
//! Pure; `init` performs it.
#![forbid(unsafe_code)]

use crate::model::caps::{Cap, CapSet};
use crate::model::credentials::Credentials;
use crate::model::expected::Expected;
use crate::plan::step::Step;
use crate::settings::Init;

/// Which process does what:
///
/// * Before the fork comes what both processes need: ids and groups, and all that needs SETGID, SETPCAP or
///   uid 0. The parent then has the child's uid, and can signal it without KILL (kill(2)).
/// * The child performs the other steps, from capset(2) on: only the process that becomes the application
///   ever raises anything. Then it reads everything back.
/// * The parent drops the rest after the fork, and not before: the child's inheritable set takes only what is
///   permitted and in the bounding set.
/// * The parent empties its bounding set. That needs SETPCAP effective (PR_CAPBSET_DROP), which setresuid(2)
///   has cleared, so it is raised again from permitted.
/// * One capset(2) then empties the parent's three sets, and with them ambient.
/// * no_new_privs is always on in the parent: it executes nothing.
/// * setresuid(2) has made both processes undumpable, and exec makes the child dumpable again. The parent
///   does that itself, after the read-back: while it holds anything, no process of the same user may trace it
///   (ptrace(2)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitPlan {
    pub forward: Forward,
    /// The parent's steps until it holds nothing.
    pub parent: Vec<Step>,
    /// The parent's credentials then, which are read back.
    pub holds: Expected,
    /// The parent's steps after that.
    pub then: Vec<Step>,
}

impl InitPlan {
    /// PID 1 gets orphans without PR_SET_CHILD_SUBREAPER.
    pub fn as_pid_1(&mut self) {
        self.then.retain(|step| *step != Step::Subreaper);
    }
}

/// The plan's steps before the fork, and the child's steps.
pub fn split(steps: &[Step]) -> (&[Step], &[Step]) {
    let before = steps.iter().take_while(|step| !matches!(step, Step::SetCaps(_))).count();
    steps.split_at(before)
}

/// Who gets forwarded signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forward {
    Process,
    Group,
}

/// `None` if init mode is off.
pub fn init_plan(
    init: Init,
    steps: &[Step],
    start: &Credentials,
    application: &Expected,
) -> Option<InitPlan> {
    let forward = match init {
        Init::Off => return None,
        Init::Child => Forward::Process,
        Init::Group => Forward::Group,
    };
    let drops = start.permitted.contains(Cap::CAP_SETPCAP);
    let left = application.bounding.filter(|_| drops).unwrap_or(CapSet::EMPTY);
    let mut parent = Vec::new();
    if !left.is_empty() {
        parent.extend(steps.iter().find(|step| matches!(step, Step::RaiseEffective(_))).cloned());
        parent.extend(left.numbers().map(Step::DropBounding));
    }
    parent.extend([Step::SetCaps(CapSet::EMPTY), Step::NoNewPrivs]);
    let holds = Expected {
        caps: CapSet::EMPTY,
        bounding: drops.then_some(CapSet::EMPTY),
        no_new_privs: true,
        ..application.clone()
    };
    let then = vec![Step::Subreaper, Step::Dumpable];
    Some(InitPlan { forward, parent, holds, then })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::entries::Accounts;
    use crate::plan::{Plan, plan};
    use crate::settings::Config;

    const LOCK: CapSet = CapSet::of(&[Cap::CAP_IPC_LOCK]);
    const SWITCH: CapSet = CapSet::of(&[Cap::CAP_SETGID, Cap::CAP_SETUID]);
    const SETPCAP: CapSet = CapSet::of(&[Cap::CAP_SETPCAP]);

    fn planned(uid: u32, granted: CapSet, user: &std::ffi::CStr) -> Plan {
        let start = Credentials::started(uid, granted);
        let config = Config::parse(&[user, c"CAPSHIM_CAPS=ipc_lock", c"CAPSHIM_INIT=1"]).unwrap();
        plan(&config, &start, &Accounts::default()).unwrap()
    }

    fn words(steps: &[Step]) -> Vec<String> {
        steps.iter().map(Step::to_string).collect()
    }

    const NONE: &str = "capset(permitted = effective = inheritable = none)";
    const NO_NEW_PRIVS: &str = "prctl(PR_SET_NO_NEW_PRIVS, 1)";

    #[test]
    fn the_fork_comes_between_the_change_of_user_and_the_first_capability() {
        let plan = planned(0, LOCK | SWITCH, c"CAPSHIM_USER=1000:1000");
        let (before, childs) = split(&plan.steps);
        assert_eq!(words(before).last().unwrap(), "setresuid(1000, 1000, 1000)");
        assert_eq!(words(childs)[0], "capset(permitted = effective = inheritable = IPC_LOCK)");
        assert_eq!(words(&plan.init.unwrap().parent), [NONE, NO_NEW_PRIVS]);
    }

    #[test]
    fn only_pid_1_gets_orphans_without_asking() {
        let mut init = planned(0, LOCK | SWITCH, c"CAPSHIM_USER=1000:1000").init.unwrap();
        assert_eq!(init.then, [Step::Subreaper, Step::Dumpable]);
        init.as_pid_1();
        assert_eq!(init.then, [Step::Dumpable]);
    }

    #[test]
    fn with_setpcap_the_parents_bounding_set_ends_empty() {
        let init = planned(0, LOCK | SWITCH | SETPCAP, c"CAPSHIM_USER=1000:1000").init.unwrap();
        let raised = "capset(effective = permitted = SETGID, SETUID, SETPCAP, IPC_LOCK)";
        let dropped = "prctl(PR_CAPBSET_DROP, IPC_LOCK)";
        assert_eq!(words(&init.parent), [raised, dropped, NONE, NO_NEW_PRIVS]);
        assert_eq!(init.holds.bounding, Some(CapSet::EMPTY));
        let granted = planned(0, LOCK | SWITCH, c"CAPSHIM_USER=1000:1000").init.unwrap();
        assert_eq!(granted.holds.bounding, None);
    }

    #[test]
    fn the_parent_ends_with_the_applications_ids_and_nothing_else() {
        for (uid, user) in [(0, c"CAPSHIM_USER=1000:1000"), (0, c"CAPSHIM_USER=root"), (1000, c"HOME=/")] {
            let plan = planned(uid, LOCK | SWITCH, user);
            let holds = plan.init.unwrap().holds;
            assert_eq!(holds.caps, CapSet::EMPTY);
            assert!(holds.no_new_privs);
            let Expected { uid, gid, groups, .. } = plan.expected;
            assert_eq!((holds.uid, holds.gid, holds.groups), (uid, gid, groups));
        }
    }
}
