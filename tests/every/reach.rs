//! An obstacle is one for every sequence of calls, and where there is none, some sequence gets there.
//!
//! The model's calls make a graph over all states of three capabilities, the user ids and KEEP_CAPS. From
//! which states the goal can be reached is found backwards, and compared with `promise`.
//!
//! The calls are those that change credentials, with all their values: capset(2) one bit at a time, of
//! which every other one is made, setresuid(2) with every triple. No call is PR_SET_SECUREBITS, and
//! none exec.

use crate::kernel::{
    Ids, KEEP_CAPS, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE, NO_SETUID_FIXUP, Process, SETPCAP, SETUID, Set,
};
use crate::promise::{self, Obstacle};
use crate::starts::{Groups, Kind, OwnFile, REQUIRED, Sets, User};

const CAPS: [Set; 3] = [SETUID, SETPCAP, REQUIRED];
/// Of each capability: permitted, effective, inheritable, ambient, bounding. And three user ids,
/// and KEEP_CAPS.
const BITS: usize = 5 * CAPS.len() + 4;

pub fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for user in [User::RootSwitches, User::RootStays] {
        for flags in 0..16 {
            let bit = |flag: u32, bit: u32| if flags & flag != 0 { bit } else { 0 };
            kinds.push(Kind {
                user,
                groups: Groups::Stay,
                no_new_privs: false,
                asks_no_new_privs: true,
                securebits: bit(1, NO_CAP_AMBIENT_RAISE) | bit(2, NO_SETUID_FIXUP) | bit(4, KEEP_CAPS_LOCKED),
                knows_ambient: flags & 8 == 0,
                file: OwnFile::Plain,
            });
        }
    }
    kinds
}

/// None where no process can be like this.
fn process(kind: &Kind, number: usize) -> Option<Process> {
    let set = |from: usize| {
        let has = |at: &usize| number & (1 << (from + at)) != 0;
        (0..CAPS.len()).filter(has).map(|at| CAPS[at]).sum::<Set>()
    };
    let id = |at: usize| if number & (1 << (5 * CAPS.len() + at)) != 0 { 1000 } else { 0 };
    let keep = if number & (1 << (BITS - 1)) != 0 { KEEP_CAPS } else { 0 };
    let process = Process {
        uid: Ids { real: id(0), effective: id(1), saved: id(2) },
        permitted: set(0),
        effective: set(CAPS.len()),
        inheritable: set(2 * CAPS.len()),
        ambient: set(3 * CAPS.len()),
        bounding: set(4 * CAPS.len()),
        securebits: kind.securebits | keep,
        groups: Vec::new(),
        ..kind.process()
    };
    let is_possible = process.effective & !process.permitted == 0
        && process.ambient & !(process.permitted & process.inheritable) == 0
        && (kind.knows_ambient || process.ambient == 0);
    is_possible.then_some(process)
}

fn number(process: &Process) -> usize {
    let sets = [process.permitted, process.effective, process.inheritable, process.ambient, process.bounding];
    let bits = sets.iter().flat_map(|set| CAPS.map(|cap| set & cap != 0));
    let ids = [process.uid.real, process.uid.effective, process.uid.saved].map(|id| id != 0);
    let all = bits.chain(ids).chain([process.securebits & KEEP_CAPS != 0]);
    all.enumerate().filter(|(_, is)| *is).map(|(at, _)| 1 << at).sum()
}

/// What one call makes of a process.
fn next(process: &Process) -> Vec<Process> {
    let mut all = Vec::new();
    let mut call = |call: &dyn Fn(&mut Process) -> Result<(), crate::kernel::Error>| {
        let mut next = process.clone();
        if call(&mut next).is_ok() {
            all.push(next);
        }
    };
    let Process { effective, permitted, inheritable, .. } = *process;
    for cap in CAPS {
        call(&|process| process.capset(effective ^ cap, permitted, inheritable));
        call(&|process| process.capset(effective & !cap, permitted & !cap, inheritable));
        call(&|process| process.capset(effective, permitted, inheritable ^ cap));
        call(&|process| process.drop_bounding(cap));
        call(&|process| process.raise_ambient(cap));
    }
    call(&Process::clear_ambient);
    call(&Process::keep_caps);
    for ids in 0..8 {
        let id = |bit: u32| if ids & bit != 0 { 1000 } else { 0 };
        call(&|process| process.setresuid(Ids { real: id(1), effective: id(2), saved: id(4) }));
    }
    all
}

/// Whether the application's state can be reached, by the number of the state from which.
fn reachable(kind: &Kind) -> Vec<bool> {
    let mut before = vec![Vec::new(); 1 << BITS];
    let mut reachable = vec![false; 1 << BITS];
    let mut found = Vec::new();
    let target = Ids::all(if kind.switches() { 1000 } else { 0 });
    for (at, reachable) in reachable.iter_mut().enumerate() {
        let Some(process) = process(kind, at) else { continue };
        let Process { permitted, effective, inheritable, ambient, .. } = process;
        if process.uid == target && [permitted, effective, inheritable, ambient] == [REQUIRED; 4] {
            *reachable = true;
            found.push(at);
        }
        for next in next(&process) {
            before[number(&next)].push(at as u32);
        }
    }
    while let Some(at) = found.pop() {
        for from in &before[at] {
            if !std::mem::replace(&mut reachable[*from as usize], true) {
                found.push(*from as usize);
            }
        }
    }
    reachable
}

/// How many starts were compared; or what differs.
pub fn check(kind: &Kind) -> Result<usize, String> {
    let reachable = reachable(kind);
    let mut compared = 0;
    for (at, is_reachable) in reachable.into_iter().enumerate() {
        let Some(start) = process(kind, at) else { continue };
        if start.uid != Ids::all(0) || start.securebits != kind.securebits {
            continue;
        }
        // No exec leaves permitted what is neither in the bounding set nor inheritable. It could not
        // become inheritable, even with SETPCAP.
        if start.permitted & !(start.bounding | start.inheritable) & REQUIRED != 0 {
            if is_reachable {
                return Err(format!("{kind:?} {start:x?}: inheritable beyond the bounding set"));
            }
            continue;
        }
        let sets = Sets {
            permitted: start.permitted,
            effective: start.effective,
            inheritable: start.inheritable,
            ambient: start.ambient,
            bounding: start.bounding,
            required: REQUIRED,
            ..Sets::default()
        };
        let obstacles = promise::obstacles(kind, &sets, &promise::wish(kind, &sets));
        // SETGID is not in the graph; the contract asks for it with SETUID.
        let counts = |obstacle: &Obstacle| match obstacle {
            Obstacle::NotPermitted(set) => set & (SETUID | REQUIRED) != 0,
            _ => true,
        };
        let is_free = !obstacles.iter().any(counts);
        if is_free != is_reachable {
            return Err(format!("{kind:?} {start:x?}: {obstacles:x?}, reachable: {is_reachable}"));
        }
        compared += 1;
    }
    Ok(compared)
}
