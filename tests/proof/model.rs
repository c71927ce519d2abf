//! The model of the kernel in tests/every against the kernel: what it says of a case, without the
//! program's code, is what the kernel does.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::calls::Call;
use crate::case::{Case, Way};
use crate::kernel::{File, FileCaps, Ids, Process};
use crate::perform::{self, NOT_EXECUTED, Seen};
use crate::predict;
use crate::steps;
use crate::world::{Attributes, FIRST, World};

/// Calls for each case.
const CALLS: usize = 8;

/// The process that a case's start is.
fn start(case: &Case) -> Process {
    Process {
        uid: Ids::all(case.uid),
        gid: Ids::all(case.gid),
        groups: case.group_list(),
        permitted: case.permitted,
        effective: case.permitted,
        inheritable: case.inheritable,
        ambient: case.ambient,
        bounding: case.bounding,
        no_new_privs: case.no_new_privs,
        securebits: case.securebits,
        knows_ambient: true,
        mapped: if case.user_namespace { 65536 } else { u32::MAX },
    }
}

/// What counts of a file's attributes (get_vfs_caps_from_disk(), bprm_fill_uid()).
fn file(case: &Case, attributes: &Attributes) -> File {
    let counts = |root: Option<u32>| root.is_none_or(|root| case.user_namespace && root == FIRST);
    let caps = attributes.caps.filter(|caps| counts(caps.root)).map(|caps| FileCaps {
        permitted: caps.permitted,
        inheritable: caps.inheritable,
        effective: caps.effective,
    });
    let inside = |id: u32| {
        if case.user_namespace { id.checked_sub(FIRST).filter(|id| *id < 65536) } else { Some(id) }
    };
    match (inside(attributes.owner), inside(attributes.group)) {
        (Some(owner), Some(group)) => File {
            caps,
            set_uid: (attributes.set_id & 0o4000 != 0).then_some(owner),
            set_gid: (attributes.set_id & 0o2000 != 0).then_some(group),
        },
        _ => File { caps, ..File::default() },
    }
}

fn target(world: &World, case: &Case) -> File {
    if case.way == Way::Nosuid { File::default() } else { file(case, &world.targets[case.target]) }
}

/// The lines of /proc/self/status. An id of a file system follows the effective one.
fn status(process: &Process) -> BTreeMap<&'static str, String> {
    let ids = |ids: Ids| format!("{} {} {} {}", ids.real, ids.effective, ids.saved, ids.effective);
    let hex = |set: u64| format!("{set:016x}");
    BTreeMap::from([
        ("Uid", ids(process.uid)),
        ("Gid", ids(process.gid)),
        ("Groups", process.groups.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")),
        ("CapInh", hex(process.inheritable)),
        ("CapPrm", hex(process.permitted)),
        ("CapEff", hex(process.effective)),
        ("CapBnd", hex(process.bounding)),
        ("CapAmb", hex(process.ambient)),
        ("NoNewPrivs", u8::from(process.no_new_privs).to_string()),
    ])
}

/// What differs: in calls from the start on, in exec after them, or in the steps of the case's plan.
pub fn differs(world: &World, case: &Case, seed: u64, through_shim: &Seen) -> Option<String> {
    calls(world, case, seed).or_else(|| plan(world, case, through_shim))
}

fn calls(world: &World, case: &Case, seed: u64) -> Option<String> {
    let mut random = Rng::with_seed(seed);
    let mut process = start(case);
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let call = Call::random(&mut random, &process);
        let result = call.on_model(&mut process);
        results.push(result.map_or_else(|errno| format!("{errno:?}"), |()| "ok".to_owned()));
        calls.push(call);
    }
    let seen = perform::calls(world, case, &calls);
    let seen_results: Vec<&str> = seen.stdout.lines().take(CALLS).collect();
    let (before, after) = seen.stdout.split_once(perform::EXECUTED).unwrap_or_default();
    let differs = |what: &str, model: &dyn std::fmt::Debug| {
        let (code, now, then) = (seen.code, perform::state(before), perform::state(after));
        Some(format!(
            "{what}: {calls:?}\nthe model: {model:?}\nthe kernel: {seen_results:?}, {now:?}, exit code {code}, {then:?}"
        ))
    };
    if results != seen_results {
        return differs("a call", &results);
    }
    if perform::state(before) != status(&process) {
        return differs("the calls", &status(&process));
    }
    // The model has no rule for these.
    if process.uid.real != process.uid.effective || process.gid.real != process.gid.effective {
        return None;
    }
    exec(&process, &target(world, case), seen.code, after).and_then(|model| differs("exec", &model))
}

/// What the model says, where the kernel does something else.
fn exec(process: &Process, file: &File, code: i32, after: &str) -> Option<String> {
    let ids = process.ids_after(file);
    if ids != (process.uid.effective, process.gid.effective) {
        let is_so = |seen: BTreeMap<&str, String>| {
            let has = |field: &str, id: u32| seen[field].split(' ').nth(1) == Some(&id.to_string());
            has("Uid", ids.0) && has("Gid", ids.1)
        };
        return (code != NOT_EXECUTED && !is_so(perform::state(after))).then(|| format!("{ids:?}"));
    }
    match process.exec(file) {
        Err(error) => (code != NOT_EXECUTED).then(|| format!("{error:?}")),
        Ok(model) => (code == NOT_EXECUTED || perform::state(after) != status(&model))
            .then(|| format!("{:?}", status(&model))),
    }
}

/// The plan's steps. Where the shim refuses, nothing is to be seen of them.
fn plan(world: &World, case: &Case, seen: &Seen) -> Option<String> {
    let differs = |model: String| {
        let (code, state) = (seen.code, seen.state());
        Some(format!(
            "the plan: the model: {model}\nthe kernel: exit code {code}, {state:?}, {}",
            seen.stderr
        ))
    };
    let shim = &world.shims[case.shim];
    let Ok(mut process) = start(case).exec(&file(case, shim)) else {
        return (seen.code != NOT_EXECUTED).then(|| differs("exec of the shim fails".into())).flatten();
    };
    let Ok(plan) = predict::planned(case, &predict::start(case, shim)?) else { return None };
    match steps::perform_all(&plan.steps, &mut process) {
        Err(step) => (seen.code == 0).then(|| differs(step)).flatten(),
        Ok(()) if seen.code == 0 => {
            exec(&process, &target(world, case), seen.code, &seen.stdout).and_then(differs)
        }
        // A file that would leave other credentials is refused after the steps; no step has failed.
        Ok(()) => (seen.code == 71).then(|| differs("no step fails".into())).flatten(),
    }
}
