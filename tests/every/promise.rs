//! What is promised of a start, from the settings and the model alone.
//!
//! The application holds exactly what was asked for: every required capability, and of the optional
//! ones those that can be had, in permitted, effective, inheritable and ambient; the bounding set
//! likewise where SETPCAP is held. Or there is an obstacle: then nothing starts, and the reason
//! names what is missing. `reach` checks that an obstacle is one for every sequence of calls.
//!
//! Three obstacles are the contract's and not the kernel's:
//!
//! * A change of user takes SETUID and SETGID, whatever the gid already is.
//! * Securebits stay as whoever set them meant them, although SETPCAP could change some.
//! * Without no_new_privs nothing may be regained by exec of the command or of the shim's own file. Where
//!   the file cannot be read, it may carry everything.

use crate::kernel::{
    File, FileCaps, Ids, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE, NO_SETUID_FIXUP, NOROOT, Process, SETPCAP,
    Set,
};
use crate::starts::{Groups, Kind, Sets, User};

/// What the application is to hold just before exec.
pub fn wish(kind: &Kind, sets: &Sets) -> Process {
    let start = kind.start(sets);
    let caps = sets.required | (sets.optional & available(kind, sets));
    let (uid, gid, groups) = match (kind.user, kind.groups) {
        (User::Other, Groups::Change) => (1000, 1000, vec![1000]),
        (User::Other, _) => (1000, 1000, vec![1000, 2000]),
        (User::RootSwitches, _) => (1000, 1000, vec![1000, 2000]),
        (_, Groups::Change) => (0, 0, vec![0]),
        (_, Groups::ChangeGid) => (0, 0, vec![0, 500, 2000]),
        (_, Groups::Stay) => (0, 0, vec![0, 2000]),
    };
    Process {
        uid: Ids::all(uid),
        gid: Ids::all(gid),
        groups,
        permitted: caps,
        effective: caps,
        inheritable: caps,
        ambient: caps,
        bounding: if sets.permitted & SETPCAP != 0 { sets.bounding & caps } else { sets.bounding },
        no_new_privs: kind.asks_no_new_privs,
        ..start
    }
}

/// What could be had in all four sets once the ids have changed.
pub fn available(kind: &Kind, sets: &Sets) -> Set {
    let fixes_up = kind.switches() && !kind.has(NO_SETUID_FIXUP);
    let kept = if fixes_up && kind.has(KEEP_CAPS_LOCKED) { 0 } else { sets.permitted };
    let ambient = if fixes_up { 0 } else { sets.ambient };
    match (kind.knows_ambient, kind.has(NO_CAP_AMBIENT_RAISE)) {
        (false, _) => 0,
        (true, true) => ambient,
        (true, false) => kept,
    }
}

/// Why a start cannot be had, in the order in which a user would mend it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    NoUser,
    NoNewPrivsIsOn,
    /// The kernel has no ambient set, and these are required.
    NoAmbient(Set),
    /// These are required, or needed for the change of ids, and not permitted.
    NotPermitted(Set),
    /// These are permitted and cannot be in all four sets.
    NotAvailable(Set),
    /// Exec of the command would give root these.
    RootRegains(Set),
    /// Exec of the shim's file would give the application these.
    FileRegains(Set),
}

/// Every obstacle of a start.
pub fn obstacles(kind: &Kind, sets: &Sets, wish: &Process) -> Vec<Obstacle> {
    let mut found = Vec::new();
    if kind.user == User::RootWithoutSetting {
        found.push(Obstacle::NoUser);
    }
    if kind.no_new_privs && !kind.asks_no_new_privs {
        found.push(Obstacle::NoNewPrivsIsOn);
    }
    let mut unless_empty = |set: Set, obstacle: fn(Set) -> Obstacle| {
        if set != 0 {
            found.push(obstacle(set));
        }
    };
    if !kind.knows_ambient {
        unless_empty(sets.required, Obstacle::NoAmbient);
    }
    unless_empty((sets.required | kind.needs()) & !sets.permitted, Obstacle::NotPermitted);
    unless_empty(sets.required & sets.permitted & !available(kind, sets), Obstacle::NotAvailable);
    if !kind.asks_no_new_privs {
        if kind.user == User::RootStays {
            let more = if kind.has(NOROOT) { 0 } else { wish.bounding & !wish.permitted };
            unless_empty(more, Obstacle::RootRegains);
        } else {
            unless_empty(regained(kind, sets, wish), Obstacle::FileRegains);
        }
    }
    found
}

/// What the application has more after exec of the shim's file.
fn regained(kind: &Kind, sets: &Sets, wish: &Process) -> Set {
    let caps = if kind.file.is_unknown() {
        Some(FileCaps { permitted: u64::MAX, ..FileCaps::default() })
    } else {
        // Where a file's capabilities do not count here, they may count elsewhere: it is taken to carry
        // them.
        let caps =
            FileCaps { permitted: sets.on_file, inheritable: sets.inheritable_on_file, effective: false };
        (sets.on_file | sets.inheritable_on_file != 0).then_some(caps)
    };
    let file = File { caps, ..File::default() };
    wish.exec(&file).map_or(0, |after| after.permitted & !wish.permitted)
}
