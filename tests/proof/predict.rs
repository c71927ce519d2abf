//! What the program's pure code says of a case.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use capshim::accounts::entries::{Accounts, Doubt};
use capshim::command::after_exec::{self, After, Before, Executable, Obstacle};
use capshim::command::{outcome, refusals};
use capshim::model::caps::CapSet;

use capshim::model::credentials::{Credentials, Ids, OverflowGid, OwnFile, Place, Securebits};
use capshim::model::error::{Exit, Refusal};
use capshim::model::file_caps::FileCaps;
use capshim::model::ids::{Gid, Id, Uid};
use capshim::plan::step::Step;
use capshim::plan::{self, Plan};
use capshim::process::failures;
use capshim::settings::Config;
use nix::errno::Errno;

use crate::case::{Case, Way};
use crate::perform::command;
use crate::world::{self, Attributes, FIRST, World};

#[derive(Debug)]
pub enum Prediction {
    /// The kernel refuses the file.
    NotExecuted,
    Refused(Refusal),
    /// The line of the user and of the group ids in /proc/self/status; or the kernel refuses
    /// the file for its capabilities.
    ChangesIds([String; 2]),
    /// The fields of /proc/self/status.
    Runs(BTreeMap<&'static str, String>),
}

pub fn predict(world: &World, case: &Case) -> Prediction {
    let Some(start) = start(case, &world.shims[case.shim]) else { return Prediction::NotExecuted };
    match run(world, case, &start) {
        Ok(state) => Prediction::Runs(state),
        Err(refusal) => Prediction::Refused(refusal),
    }
}

/// What the target holds if it is executed from the case's start directly.
pub fn predict_directly(world: &World, case: &Case) -> Prediction {
    let before = before(case);
    match after_exec::after_exec(&before, &as_the_kernel_sees(world, case)) {
        Ok(after) => Prediction::Runs(status(&before, &after, &case.group_list())),
        Err(Obstacle::NotPermitted) => Prediction::NotExecuted,
        Err(Obstacle::ChangesIds { uid, gid }) => {
            Prediction::ChangesIds([ids(before.uid.raw(), uid.raw()), ids(before.gid.raw(), gid.raw())])
        }
    }
}

/// Real, effective, saved and file system id.
pub fn ids(real: u32, effective: u32) -> String {
    format!("{real} {effective} {effective} {effective}")
}

/// What counts at the first exec.
fn before(case: &Case) -> Before {
    let set = CapSet::from_bits;
    Before {
        uid: Uid::new(case.uid).expect("an id"),
        gid: Gid::new(case.gid).expect("an id"),
        permitted: set(case.permitted),
        inheritable: set(case.inheritable),
        ambient: set(case.ambient),
        bounding: set(case.bounding),
        no_new_privs: case.no_new_privs,
        securebits: Securebits(case.securebits),
    }
}

/// The lines of /proc/self/status.
fn status(before: &Before, after: &After, groups: &[u32]) -> BTreeMap<&'static str, String> {
    let hex = |set: CapSet| format!("{:016x}", set.bits());
    BTreeMap::from([
        ("Uid", ids(before.uid.raw(), before.uid.raw())),
        ("Gid", ids(before.gid.raw(), before.gid.raw())),
        ("Groups", groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")),
        ("CapInh", hex(before.inheritable)),
        ("CapPrm", hex(after.permitted)),
        ("CapEff", hex(after.effective)),
        ("CapBnd", hex(before.bounding)),
        ("CapAmb", hex(after.ambient)),
        ("NoNewPrivs", u8::from(before.no_new_privs).to_string()),
    ])
}

/// The credentials that the shim finds; none if the kernel refuses to execute its file.
pub fn start(case: &Case, file: &Attributes) -> Option<Credentials> {
    let before = before(case);
    let after = after_exec::after_exec(&before, &executable(case, file)).ok()?;
    // exec turns SECBIT_KEEP_CAPS off (capabilities(7)).
    const KEEP_CAPS: u32 = 1 << 4;
    Some(Credentials {
        uid: Ids::all(before.uid),
        gid: Ids::all(before.gid),
        groups: case.group_list().into_iter().filter_map(Gid::new).collect(),
        permitted: after.permitted,
        effective: after.effective,
        inheritable: before.inheritable,
        ambient: after.ambient,
        no_new_privs: case.no_new_privs,
        securebits: Securebits(case.securebits & !KEEP_CAPS),
        has_ambient: true,
        bounding: Some(before.bounding),
        own_file: Some(OwnFile {
            path: format!("/shims/{}", case.shim).into_bytes(),
            caps: Ok(executable(case, file).caps),
            nosuid: false,
            place: Place::Image,
        }),
        // The user namespace maps 65536 groups.
        overflow_gid: if case.user_namespace { OverflowGid::Mapped } else { OverflowGid::Certain },
    })
}

/// The plan of a case, from the credentials that the shim finds.
pub fn planned(case: &Case, start: &Credentials) -> Result<Plan, Refusal> {
    let environment: Vec<CString> =
        case.environment().into_iter().filter_map(|entry| CString::new(entry).ok()).collect();
    let environment: Vec<&CStr> = environment.iter().map(CString::as_c_str).collect();
    let config = Config::parse(&environment)?;
    let (hides_passwd, hides_group) = (case.files.hides_passwd(), case.files.hides_group());
    let passwd = if hides_passwd { world::OTHER_PASSWD } else { world::PASSWD };
    let group = if hides_group { world::OTHER_GROUP } else { world::GROUP };
    let users = Accounts::users(start.uid.effective, config.user.as_ref(), passwd.as_bytes());
    let mut accounts = users.expect("text that can be read");
    accounts.doubts.passwd = hides_passwd.then_some(Doubt::Mounted);
    accounts.read_groups(&config, group.as_bytes()).expect("text that can be read");
    accounts.doubts.group = hides_group.then_some(Doubt::Mounted);
    plan::plan(&config, start, &accounts).map_err(|reason| reason.refusal(&config, start, &accounts))
}

fn run(world: &World, case: &Case, start: &Credentials) -> Result<BTreeMap<&'static str, String>, Refusal> {
    let plan = planned(case, start)?;
    // The plan cannot know the namespace's maps; what it makes of the errno is its own.
    if let Some(step) = plan.steps.iter().find(|step| case.user_namespace && is_unmapped(step)) {
        return Err(failures::step_failed(step, Errno::EINVAL, false));
    }
    let expected = &plan.expected;
    let bounding = expected.bounding.or(start.bounding).unwrap_or_default();
    let before = Before { bounding, ..outcome::before_exec(expected, start.securebits) };
    let unread = unread(world, case, before.uid);
    if let Some(file) = unread.as_ref().filter(|_| outcome::depends_on_file(&before)) {
        return Err(refusals::unknown_file(file, Errno::EACCES, &before));
    }
    match (case.way, &unread) {
        // What the kernel finds there, the shim does not see.
        (Way::ClosedScript | Way::ClosedInterpreter, Some(_)) => {}
        (way, _) => {
            let name = match way {
                Way::Nosuid | Way::Closed => command(case),
                _ => format!("/targets/{}", case.target),
            };
            let file = as_the_shim_sees(world, case);
            outcome::judge(&before, &file).map_err(|unfit| {
                refusals::refusal(unfit, &name, file.caps.unwrap_or_default(), &before, start)
            })?;
        }
    }
    let groups: Vec<u32> = expected.groups.iter().map(|gid| gid.raw()).collect();
    match after_exec::after_exec(&before, &as_the_kernel_sees(world, case)) {
        Ok(after) => Ok(status(&before, &after, &groups)),
        Err(Obstacle::NotPermitted) if unread.is_some() => {
            let cause = format!("execve({}): EPERM: Operation not permitted", command(case));
            Err(Refusal::new(Exit::CannotExecute, cause))
        }
        Err(obstacle) => panic!("{obstacle:?} of what was judged to run"),
    }
}

/// The file that this user may execute and not read: it has neither the rights of the owner nor
/// a capability that gives these.
fn unread(world: &World, case: &Case, uid: Uid) -> Option<String> {
    let (file, owner) = match case.way {
        Way::Closed => (command(case), world.targets[case.target].owner),
        Way::ClosedScript | Way::ClosedInterpreter => (format!("/closed-scripts/{}", case.target), 0),
        Way::Plain | Way::Nosuid | Way::Script | Way::ScriptOfScript => return None,
    };
    let outside = if case.user_namespace { FIRST + uid.raw() } else { uid.raw() };
    (outside != owner).then_some(file)
}

/// What the target's file brings into exec.
fn as_the_kernel_sees(world: &World, case: &Case) -> Executable {
    let file = target(world, case);
    let attributes = world.targets[case.target];
    let counts = |root: Option<u32>| root.is_none_or(|root| case.user_namespace && root == FIRST);
    let caps = file.caps.filter(|_| attributes.caps.is_some_and(|caps| counts(caps.root)));
    let mapped = |id: u32| !case.user_namespace || id.checked_sub(FIRST).is_some_and(|id| id < 65536);
    // Set-id bits are passed over where an id is not mapped; the shim cannot tell such an id
    // from 65534, and refuses.
    if mapped(attributes.owner) && mapped(attributes.group) {
        Executable { caps, ..file }
    } else {
        Executable { caps, set_uid: None, set_gid: None }
    }
}

/// The same as the shim can tell: capabilities of a namespace
/// that is not this one's are taken to count, unless not even their root has an id here.
fn as_the_shim_sees(world: &World, case: &Case) -> Executable {
    let file = target(world, case);
    let root = world.targets[case.target].caps.and_then(|caps| caps.root);
    let hidden = case.user_namespace && root.is_some_and(|root| root != FIRST);
    Executable { caps: file.caps.filter(|_| !hidden), ..file }
}

/// What the target's file brings into exec, the way that it is reached.
fn target(world: &World, case: &Case) -> Executable {
    match case.way {
        Way::Nosuid => Executable::default(),
        _ => executable(case, &world.targets[case.target]),
    }
}

/// Whether a step names an id that the namespace does not have.
fn is_unmapped(step: &Step) -> bool {
    const SIZE: u32 = 65536;
    match step {
        Step::SetUid(uid) => uid.raw() >= SIZE,
        Step::SetGid(gid) => gid.raw() >= SIZE,
        Step::SetGroups(groups) => groups.iter().any(|gid| gid.raw() >= SIZE),
        Step::RaiseEffective(_)
        | Step::KeepCaps
        | Step::ShareStdio(_)
        | Step::DropBounding(_)
        | Step::SetCaps(_)
        | Step::ClearAmbient
        | Step::RaiseAmbient(_)
        | Step::NoNewPrivs
        | Step::Subreaper
        | Step::Dumpable => false,
    }
}

/// The file's attributes as they are seen and count in the case's user namespace.
fn executable(case: &Case, file: &Attributes) -> Executable {
    // An id that is not mapped reads as 65534.
    let inside = |id: u32| {
        if case.user_namespace { id.checked_sub(FIRST).filter(|id| *id < 65536).unwrap_or(65534) } else { id }
    };
    let caps = file.caps.map(|caps| FileCaps {
        permitted: CapSet::from_bits(caps.permitted),
        inheritable: CapSet::from_bits(caps.inheritable),
        effective: caps.effective,
        foreign: caps.root.is_some_and(|root| !case.user_namespace || root != FIRST),
    });
    Executable {
        caps,
        set_uid: Uid::new(inside(file.owner)).filter(|_| file.set_id & 0o4000 != 0),
        set_gid: Gid::new(inside(file.group)).filter(|_| file.set_id & 0o2000 != 0),
    }
}
