//! Every start: what the shim can find when it begins, beside the settings.
//!
//! A start is a kind and one state for each capability. The kind is what all capabilities share: the
//! user, the ids, no_new_privs, securebits, the shim's file. The states are those that exec of the
//! shim's file leaves, for every state before it: `Kind::states` asks the model, one capability at
//! a time. Before exec a process can have any state with
//!
//! * ambient within permitted and inheritable (cap_task_prctl, cap_capset),
//! * effective within permitted, and without effect on exec (cap_bprm_creds_from_file),
//! * bounding as it likes, since PR_CAPBSET_DROP takes nothing from the other sets.
//!
//! # Which capabilities
//!
//! `plan` names three: SETUID, SETGID and SETPCAP, and so does the kernel's rule for the calls that a
//! plan makes. Every other capability is like any other: `tests::permuted` renames them and gets
//! the renamed answer. So six stand for all: the three, one that is required, one that is optional,
//! and one that nobody asks for. The three take all roles too, so that pairs in one role occur.
//!
//! # What is cut
//!
//! * Nothing but setresuid(2) asks for SETUID, so that without a change of user SETUID is like any
//!   other capability. Such starts leave it out.
//! * With a change of user SETUID and SETGID are needed alike, and each is otherwise like any other.
//!   There SETUID is not asked for, but has every state; SETGID has every role.
//! * KEEP_CAPS and the uid fixup count in a change of user alone (cap_task_fix_setuid).
//! * Where a file carries capabilities, two states that differ in inheritable alone are one: `plan` hands
//!   inheritable through to the first capset(2), and a later one replaces it. `tests` check that.

use crate::kernel::{
    self, File, FileCaps, Ids, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE, NO_SETUID_FIXUP, NOROOT, Process,
    SETGID, SETPCAP, SETUID, Set,
};

/// One that is required, one that is optional, and one that nobody asks for.
pub const REQUIRED: Set = 1 << 14;
pub const OPTIONAL: Set = 1 << 40;
pub const OTHER: Set = 1 << 10;

pub const UNIVERSE: [Set; 6] = [SETUID, SETGID, SETPCAP, REQUIRED, OPTIONAL, OTHER];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum User {
    /// uid 1000; it stays, whatever the setting is.
    Other,
    RootWithoutSetting,
    RootStays,
    RootSwitches,
}

/// What is to become of gid and groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Groups {
    Stay,
    /// CAPSHIM_GROUPS=none where there is one more.
    Change,
    /// CAPSHIM_USER=root where the gid is 500.
    ChangeGid,
}

/// The shim's own file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnFile {
    /// Without file capabilities.
    Plain,
    Carries {
        effective: bool,
    },
    /// It carries some that do not count at exec.
    Nosuid,
    Foreign,
    /// Nobody can tell what it carries.
    Unknown,
    UnknownCarries,
}

impl OwnFile {
    pub fn counts(self) -> bool {
        matches!(self, OwnFile::Carries { .. } | OwnFile::UnknownCarries)
    }

    fn has_some(self) -> bool {
        !matches!(self, OwnFile::Plain | OwnFile::Unknown)
    }

    pub fn is_unknown(self) -> bool {
        matches!(self, OwnFile::Unknown | OwnFile::UnknownCarries)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    pub user: User,
    pub groups: Groups,
    pub no_new_privs: bool,
    pub asks_no_new_privs: bool,
    pub securebits: u32,
    pub knows_ambient: bool,
    pub file: OwnFile,
}

/// One capability's place in a start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct State {
    pub permitted: bool,
    pub bounding: bool,
    pub ambient: bool,
    /// The shim's file carries it as permitted, and as inheritable.
    pub on_file: bool,
    pub inheritable_on_file: bool,
    pub effective: bool,
    pub inheritable: bool,
}

/// What the settings do with one capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Unasked,
    Required,
    Optional,
}

/// The sets of a start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sets {
    pub permitted: Set,
    pub effective: Set,
    pub inheritable: Set,
    pub ambient: Set,
    pub bounding: Set,
    pub on_file: Set,
    pub inheritable_on_file: Set,
    pub required: Set,
    pub optional: Set,
}

impl Sets {
    pub fn add(&mut self, cap: Set, state: State, role: Role) {
        let add = |set: &mut Set, is: bool| *set |= if is { cap } else { 0 };
        add(&mut self.permitted, state.permitted);
        add(&mut self.effective, state.effective);
        add(&mut self.inheritable, state.inheritable);
        add(&mut self.ambient, state.ambient);
        add(&mut self.bounding, state.bounding);
        add(&mut self.on_file, state.on_file);
        add(&mut self.inheritable_on_file, state.inheritable_on_file);
        add(&mut self.required, role == Role::Required);
        add(&mut self.optional, role == Role::Optional);
    }
}

impl Kind {
    pub fn all() -> Vec<Kind> {
        let mut kinds = Vec::new();
        let files = [
            OwnFile::Plain,
            OwnFile::Carries { effective: false },
            OwnFile::Carries { effective: true },
            OwnFile::Nosuid,
            OwnFile::Foreign,
            OwnFile::Unknown,
            OwnFile::UnknownCarries,
        ];
        for user in [User::Other, User::RootWithoutSetting, User::RootStays, User::RootSwitches] {
            let groups: &[Groups] = match user {
                User::Other => &[Groups::Stay, Groups::Change],
                User::RootStays => &[Groups::Stay, Groups::Change, Groups::ChangeGid],
                User::RootWithoutSetting | User::RootSwitches => &[Groups::Stay],
            };
            let bits: &[u32] = match user {
                User::Other => &[NO_CAP_AMBIENT_RAISE],
                User::RootWithoutSetting => &[],
                User::RootStays => &[NO_CAP_AMBIENT_RAISE, NOROOT],
                User::RootSwitches => &[NO_CAP_AMBIENT_RAISE, NOROOT, NO_SETUID_FIXUP, KEEP_CAPS_LOCKED],
            };
            let files = files.iter().filter(|file| user == User::Other || **file != OwnFile::Foreign);
            for (groups, file) in files.flat_map(|file| groups.iter().map(|groups| (*groups, *file))) {
                for securebits in subsets(bits) {
                    for flags in 0..8 {
                        let [no_new_privs, asks_no_new_privs, knows_ambient] =
                            [1, 2, 4].map(|flag| flags & flag != 0);
                        // Root's own file is looked at without no_new_privs alone.
                        if user != User::Other && file == OwnFile::Nosuid && asks_no_new_privs {
                            continue;
                        }
                        let kind = Kind {
                            user,
                            groups,
                            no_new_privs,
                            asks_no_new_privs,
                            securebits,
                            knows_ambient,
                            file,
                        };
                        kinds.push(kind);
                    }
                }
            }
        }
        kinds
    }

    /// The process that executes the shim, without capabilities.
    pub fn process(&self) -> Process {
        let (uid, gid, groups) = match (self.user, self.groups) {
            (User::Other, _) => (1000, 1000, vec![1000, 2000]),
            (_, Groups::ChangeGid) => (0, 500, vec![500, 2000]),
            (_, _) => (0, 0, vec![0, 2000]),
        };
        Process {
            uid: Ids::all(uid),
            gid: Ids::all(gid),
            groups,
            permitted: 0,
            effective: 0,
            inheritable: 0,
            ambient: 0,
            bounding: 0,
            no_new_privs: self.no_new_privs,
            securebits: self.securebits,
            knows_ambient: self.knows_ambient,
            mapped: u32::MAX,
        }
    }

    /// What counts of the shim's file, where it carries these.
    pub fn executable(&self, permitted: Set, inheritable: Set) -> File {
        let effective = self.file == OwnFile::Carries { effective: true };
        let caps = FileCaps { permitted, inheritable, effective };
        File { caps: self.file.counts().then_some(caps), ..File::default() }
    }

    /// The states that one capability can have when the shim begins.
    pub fn states(&self) -> Vec<State> {
        const CAP: Set = OTHER;
        let mut states = Vec::new();
        for bits in 0..64u32 {
            let [permitted, inheritable, ambient, bounding, on_file, inheritable_on_file] =
                [1, 2, 4, 8, 16, 32].map(|bit| bits & bit != 0);
            let is_possible = (!ambient || permitted && inheritable && self.knows_ambient)
                && (self.file.has_some() || !on_file && !inheritable_on_file);
            if !is_possible {
                continue;
            }
            let set = |is: bool| if is { CAP } else { 0 };
            let before = Process {
                permitted: set(permitted),
                inheritable: set(inheritable),
                ambient: set(ambient),
                bounding: set(bounding),
                ..self.process()
            };
            let executed = before.exec(&self.executable(set(on_file), set(inheritable_on_file)));
            let Ok(after) = executed else { continue };
            states.push(State {
                permitted: after.permitted != 0,
                bounding: after.bounding != 0,
                ambient: after.ambient != 0,
                on_file,
                inheritable_on_file,
                effective: after.effective != 0,
                inheritable: after.inheritable != 0,
            });
        }
        states.sort_unstable();
        states.dedup();
        states
    }

    /// The same with one state for those that the module's comment takes for one.
    pub fn distinct_states(&self) -> Vec<State> {
        let mut states = self.states();
        if self.file != OwnFile::Plain {
            let mut seen = Vec::new();
            states.retain(|state| {
                let on_file = state.on_file && !self.file.is_unknown();
                let key = State { inheritable: false, inheritable_on_file: false, on_file, ..*state };
                !seen.contains(&key) && {
                    seen.push(key);
                    true
                }
            });
        }
        states
    }

    /// How many starts there are of this kind.
    pub fn starts(&self) -> Starts {
        use Role::{Optional, Required, Unasked};
        let states = self.distinct_states();
        let nothing = [(State::default(), Unasked)];
        let with = |roles: &[Role]| -> Vec<(State, Role)> {
            roles.iter().flat_map(|role| states.iter().map(|state| (*state, *role))).collect()
        };
        let or_nothing = |role: Role| [with(&[role]), nothing.to_vec()].concat();
        let all = [Unasked, Required, Optional];
        Starts {
            places: [
                if self.user == User::RootSwitches { with(&[Unasked]) } else { nothing.to_vec() },
                with(&all),
                with(&all),
                or_nothing(Required),
                or_nothing(Optional),
                with(&[Unasked]),
            ],
        }
    }
}

fn subsets(bits: &[u32]) -> Vec<u32> {
    bits.iter().fold(vec![0], |sets, bit| sets.iter().flat_map(|set| [*set, set | bit]).collect())
}

/// All starts of one kind, by number.
pub struct Starts {
    places: [Vec<(State, Role)>; UNIVERSE.len()],
}

impl Starts {
    pub fn count(&self) -> usize {
        self.places.iter().map(Vec::len).product()
    }

    pub fn get(&self, mut number: usize) -> Sets {
        let mut sets = Sets::default();
        for (cap, place) in UNIVERSE.iter().zip(&self.places) {
            let (state, role) = place[number % place.len()];
            number /= place.len();
            sets.add(*cap, state, role);
        }
        sets
    }
}

impl Kind {
    /// The process when the shim begins.
    pub fn start(&self, sets: &Sets) -> Process {
        Process {
            permitted: sets.permitted,
            effective: sets.effective,
            inheritable: sets.inheritable,
            ambient: sets.ambient,
            bounding: sets.bounding,
            ..self.process()
        }
    }

    pub fn switches(&self) -> bool {
        self.user == User::RootSwitches
    }

    pub fn has(&self, securebit: u32) -> bool {
        self.securebits & securebit != 0
    }

    /// Which of SETUID and SETGID the change of ids needs.
    pub fn needs(&self) -> Set {
        match (self.user, self.groups) {
            (User::RootSwitches, _) => SETUID | SETGID,
            (_, Groups::Stay) => 0,
            (_, Groups::Change | Groups::ChangeGid) => kernel::SETGID,
        }
    }
}
