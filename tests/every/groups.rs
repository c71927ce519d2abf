//! Every user, gid and list of groups: what the settings, /etc/passwd and /etc/group make of them.
//!
//! Capabilities play no part in that but SETGID, and the lists none in what `starts` walks. So
//! these have a walk of their own, with a promise of its own, which knows the two files as tables.

use capshim::accounts::entries::{Accounts, Doubt};
use capshim::accounts::environment::Account;
use capshim::model::caps::CapSet;
use capshim::model::credentials::OverflowGid;
use capshim::model::ids::{Gid, Id, Uid};
use capshim::plan::change::Why;
use capshim::plan::notes::Note;
use capshim::plan::reasons::Reason;
use capshim::plan::{self, Plan};

use crate::kernel::{Ids, Process, SETGID, SETUID};
use crate::{shim, steps};

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nother:x:1001:0::/:\n";
const GROUP: &str = "root:x:0:root,app\ndisk:x:6:root\naudio:x:29:app\nweb:x:1001:app\napp:x:1000:\n";
/// By /etc/group: those with root as a member, and those with any.
const ROOTS: [u32; 2] = [0, 6];
const WITH_MEMBERS: [u32; 4] = [0, 6, 29, 1001];
const OVERFLOW: u32 = 65534;

/// A `CAPSHIM_USER`: its name, its uid, the gid that it writes or that the passwd entry has, and the groups of which
/// the user is a member, where no group is written.
struct User {
    setting: &'static str,
    name: Option<&'static str>,
    uid: u32,
    gid: Option<u32>,
    member_of: &'static [u32],
}

const fn user(
    setting: &'static str,
    name: Option<&'static str>,
    uid: u32,
    gid: Option<u32>,
    member_of: &'static [u32],
) -> User {
    User { setting, name, uid, gid, member_of }
}

const USERS: [User; 10] = [
    user("app", Some("app"), 1000, Some(1000), &[29, 1001]),
    user("1000", Some("app"), 1000, Some(1000), &[29, 1001]),
    user("app:web", Some("app"), 1000, Some(1001), &[]),
    user("1000:0", Some("app"), 1000, Some(0), &[]),
    user("1000:65534", Some("app"), 1000, Some(OVERFLOW), &[]),
    user("other", Some("other"), 1001, Some(0), &[]),
    user("4242", None, 4242, None, &[]),
    user("4242:4242", None, 4242, Some(4242), &[]),
    user("root", Some("root"), 0, Some(0), &[]),
    user("0:1000", Some("root"), 0, Some(1000), &[]),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inherited {
    Auto,
    Keep,
    Drop,
}

const SETTINGS: [(&str, Inherited, &[u32]); 9] = [
    ("auto", Inherited::Auto, &[]),
    ("keep", Inherited::Keep, &[]),
    ("none", Inherited::Drop, &[]),
    ("2000,audio", Inherited::Drop, &[2000, 29]),
    ("root", Inherited::Drop, &[0]),
    ("auto,2000", Inherited::Auto, &[2000]),
    ("keep,29", Inherited::Keep, &[29]),
    ("auto,65534", Inherited::Auto, &[OVERFLOW]),
    ("65534", Inherited::Drop, &[OVERFLOW]),
];

const GROUPS: [u32; 6] = [0, 6, 29, 1000, 2000, OVERFLOW];
const GIDS: [u32; 5] = [0, 6, 500, 1000, OVERFLOW];
const OVERFLOWS: [OverflowGid; 3] = [OverflowGid::Unknown, OverflowGid::Mapped, OverflowGid::Certain];
const DOUBTS: [[Option<Doubt>; 2]; 3] =
    [[None, None], [Some(Doubt::Mounted), None], [None, Some(Doubt::Mounted)]];

/// The factors, as `case` takes a number apart.
const FACTORS: [usize; 8] =
    [2, USERS.len() + 1, GIDS.len(), 1 << GROUPS.len(), SETTINGS.len(), OVERFLOWS.len(), DOUBTS.len(), 2];
pub const COUNT: usize = {
    let (mut count, mut at) = (1, 0);
    while at < FACTORS.len() {
        count *= FACTORS[at];
        at += 1;
    }
    count
};

#[derive(Clone, Debug)]
pub struct Case {
    is_root: bool,
    user: Option<usize>,
    gid: u32,
    groups: Vec<u32>,
    setting: usize,
    overflow: OverflowGid,
    passwd_doubt: Option<Doubt>,
    group_doubt: Option<Doubt>,
    has_setgid: bool,
}

pub fn case(mut number: usize) -> Case {
    let [root, user, gid, groups, setting, overflow, doubts, setgid] = FACTORS.map(|factor| {
        let value = number % factor;
        number /= factor;
        value
    });
    let [passwd_doubt, group_doubt] = DOUBTS[doubts];
    let chosen = GROUPS.iter().enumerate().filter(|(bit, _)| groups & (1 << bit) != 0);
    Case {
        is_root: root == 0,
        user: user.checked_sub(1),
        gid: GIDS[gid],
        groups: chosen.map(|(_, gid)| *gid).collect(),
        setting,
        overflow: OVERFLOWS[overflow],
        passwd_doubt,
        group_doubt,
        has_setgid: setgid == 0,
    }
}

/// What the application has, and which inherited groups it has not.
#[derive(Debug)]
struct Has {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    dropped: Vec<u32>,
}

/// What is to come of it.
#[derive(Debug)]
enum Promise {
    Has(Has),
    NoUser,
    NoGid,
    Unknown {
        unknown: Vec<u32>,
        others: Vec<u32>,
    },
    Unmapped {
        others: Vec<u32>,
    },
    GidNeedsSetgid(u32),
    /// The wanted groups, the gid aside.
    GroupsNeedSetgid(Vec<u32>),
    /// A change of user without SETGID.
    NotGranted,
}

impl Case {
    /// 65534 stands for this namespace's group of that number, if for any.
    fn is_mapped(&self, gid: u32) -> bool {
        gid != OVERFLOW || self.overflow != OverflowGid::Unknown
    }

    /// It cannot stand for any other.
    fn is_certain(&self, gid: u32) -> bool {
        gid != OVERFLOW || self.overflow == OverflowGid::Certain
    }

    /// Whether a group is root's own; none where nobody can tell.
    fn is_roots(&self, gid: u32) -> Option<bool> {
        match gid {
            0 => Some(true),
            _ if self.group_doubt.is_some() => None,
            _ if ROOTS.contains(&gid) => Some(true),
            _ if self.passwd_doubt.is_some() && WITH_MEMBERS.contains(&gid) => None,
            _ => Some(false),
        }
    }

    fn promise(&self) -> Promise {
        let user = self.user.map(|user| &USERS[user]);
        let (_, inherited, listed) = SETTINGS[self.setting];
        let (uid, gid, member_of) = match user {
            None if self.is_root => return Promise::NoUser,
            Some(user) if self.is_root => {
                let given = self.is_roots(self.gid) == Some(false) && self.is_mapped(self.gid);
                let Some(gid) = user.gid.or(given.then_some(self.gid)) else { return Promise::NoGid };
                (user.uid, gid, user.member_of)
            }
            _ => (1000, self.gid, &[][..]),
        };
        let switches = self.is_root && uid != 0;
        let stays = !switches
            && gid == self.gid
            && match inherited {
                Inherited::Drop => {
                    let others = |list: &[u32]| sorted(list.iter().copied().filter(|group| *group != gid));
                    self.groups.iter().all(|group| self.is_certain(*group))
                        && others(listed) == others(&self.groups)
                }
                _ => listed.iter().all(|group| self.groups.contains(group) && self.is_certain(*group)),
            };
        let (list, dropped) = if stays {
            (self.groups.clone(), Vec::new())
        } else {
            match self.list(gid, switches, inherited, listed, member_of) {
                Ok(lists) => lists,
                Err(promise) => return promise,
            }
        };
        let sets_groups =
            list != self.groups || !stays && !self.groups.iter().all(|group| self.is_certain(*group));
        let sets_gid = gid != self.gid || self.is_root && !self.is_certain(gid);
        if self.has_setgid || !(switches || sets_gid || sets_groups) {
            Promise::Has(Has { uid, gid, groups: list, dropped })
        } else if switches {
            Promise::NotGranted
        } else if gid != self.gid {
            Promise::GidNeedsSetgid(gid)
        } else {
            Promise::GroupsNeedSetgid(list.into_iter().filter(|group| *group != gid).collect())
        }
    }

    /// The groups where they do not just stay, and those that `auto` drops.
    fn list(
        &self,
        gid: u32,
        switches: bool,
        inherited: Inherited,
        listed: &[u32],
        member_of: &[u32],
    ) -> Result<(Vec<u32>, Vec<u32>), Promise> {
        let mut own = [listed, &[gid]].concat();
        if switches && inherited == Inherited::Auto {
            own.extend(member_of);
        }
        let others = self.groups.iter().copied().filter(|group| !own.contains(group));
        let others: Vec<u32> = others.collect();
        match inherited {
            Inherited::Drop => Ok((sorted(own), Vec::new())),
            Inherited::Keep if others.iter().any(|group| !self.is_mapped(*group)) => Err(Promise::Unmapped {
                others: others.into_iter().filter(|group| ![0, OVERFLOW].contains(group)).collect(),
            }),
            Inherited::Keep => Ok((sorted([own, others].concat()), Vec::new())),
            Inherited::Auto => {
                let judge = |group: &u32| match self.is_mapped(*group) {
                    false => Some(true),
                    true if switches => self.is_roots(*group),
                    true => Some(false),
                };
                let of = |standing: Option<bool>| -> Vec<u32> {
                    others.iter().copied().filter(|group| judge(group) == standing).collect()
                };
                let (kept, unknown) = (of(Some(false)), of(None));
                let list = sorted([own, kept].concat());
                if unknown.is_empty() {
                    return Ok((list, of(Some(true))));
                }
                let all = list.iter().chain(&unknown).copied().filter(|group| *group != gid);
                Err(Promise::Unknown { others: sorted(all), unknown })
            }
        }
    }
}

fn sorted(list: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut list: Vec<u32> = list.into_iter().collect();
    list.sort_unstable();
    list.dedup();
    list
}

fn raw(list: &[Gid]) -> Vec<u32> {
    list.iter().map(|gid| gid.raw()).collect()
}

/// Says what is wrong, if anything is.
pub fn check(case: &Case) -> Result<(), String> {
    let caps = SETUID | if case.has_setgid { SETGID } else { 0 };
    let mut process = Process {
        uid: Ids::all(if case.is_root { 0 } else { 1000 }),
        gid: Ids::all(case.gid),
        groups: case.groups.clone(),
        permitted: caps,
        effective: caps,
        inheritable: 0,
        ambient: 0,
        bounding: caps,
        no_new_privs: false,
        securebits: 0,
        knows_ambient: true,
        mapped: u32::MAX,
    };
    let user =
        case.user.map_or("CAPSHIM_LOG=info".into(), |user| format!("CAPSHIM_USER={}", USERS[user].setting));
    let groups = format!("CAPSHIM_GROUPS={}", SETTINGS[case.setting].0);
    let config = shim::config(&[&user, &groups, "CAPSHIM_CAPS=none"]);
    let mut start = shim::observed(&process);
    start.bounding = Some(CapSet::from_bits(caps));
    start.overflow_gid = case.overflow;
    let uid = Uid::new(process.uid.effective).unwrap();
    let mut accounts = Accounts::users(uid, config.user.as_ref(), PASSWD.as_bytes()).unwrap();
    accounts.doubts.passwd = case.passwd_doubt;
    accounts.read_groups(&config, GROUP.as_bytes()).unwrap();
    accounts.doubts.group = case.group_doubt;
    let (planned, promise) = (plan::plan(&config, &start, &accounts), case.promise());
    let is_kept = match (&planned, &promise) {
        (Ok(plan), Promise::Has(has)) => {
            steps::perform_all(&plan.steps, &mut process)?;
            (process.uid, process.gid) == (Ids::all(has.uid), Ids::all(has.gid))
                && process.groups == has.groups
                && raw(&plan.expected.groups) == has.groups
                && tells(case, plan, has)
        }
        (Err(Reason::NoUser), Promise::NoUser) => true,
        (Err(Reason::Setting(refusal)), Promise::NoGid) => refusal.cause.contains("no group"),
        (Err(Reason::UnknownGroups { unknown, others }), Promise::Unknown { unknown: u, others: o }) => {
            (raw(unknown), raw(others)) == (u.clone(), o.clone())
        }
        (Err(Reason::UnmappedGroup { others }), Promise::Unmapped { others: o }) => raw(others) == *o,
        (Err(Reason::GidNeedsSetgid { gid, .. }), Promise::GidNeedsSetgid(g)) => gid.raw() == *g,
        (Err(Reason::GroupsNeedSetgid { groups, .. }), Promise::GroupsNeedSetgid(g)) => raw(groups) == *g,
        (Err(Reason::NotGranted { missing, .. }), Promise::NotGranted) => missing.bits() == SETGID,
        _ => false,
    };
    if is_kept { Ok(()) } else { Err(format!("{case:?}\npromised: {promise:?}\nplanned: {planned:#?}")) }
}

/// Who it is to the environment, and which notes there are.
fn tells(case: &Case, plan: &Plan, has: &Has) -> bool {
    let start = if case.is_root { "root" } else { "app" };
    let target = case.user.filter(|_| case.is_root).map_or(Some("app"), |user| USERS[user].name);
    let name = |account: &Account| account.name.as_deref().map(|name| name.escape_ascii().to_string());
    let why = |gid: u32| match gid {
        0 => Why::Root,
        OVERFLOW if !case.is_mapped(gid) => Why::MaybeUnmapped,
        _ => Why::GivenToRoot,
    };
    let dropped: Vec<(u32, Why)> =
        plan.dropped.iter().map(|dropped| (dropped.gid.raw(), dropped.why)).collect();
    let keeps = |gid: u32| format!("CAPSHIM_GROUPS={},{gid}", SETTINGS[case.setting].0);
    let told = plan.notes.iter().filter_map(|note| match note {
        Note::GroupsDropped { gids, why: told, .. } => {
            let (gids, words) = (raw(gids), note.to_string());
            let cure = words.split_once("; to keep one, list it: ").map(|(_, cure)| cure.to_owned());
            let is_right = cure == (*told != Why::MaybeUnmapped).then(|| keeps(gids[0]))
                && gids.iter().all(|gid| why(*gid) == *told);
            is_right.then_some(gids)
        }
        _ => None,
    });
    (name(&plan.start).as_deref(), name(&plan.target).as_deref()) == (Some(start), target)
        && dropped == has.dropped.iter().map(|gid| (*gid, why(*gid))).collect::<Vec<_>>()
        && sorted(told.flatten()) == has.dropped
        && plan.notes.contains(&Note::GroupIsRoots) == (has.gid == 0 && has.uid != 0)
}
