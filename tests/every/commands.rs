//! Every command: what its file does to an application that is about to be executed.
//!
//! The plan knows nothing of the command, and exec nothing of the start but what the plan ends in: the
//! user, the request in four sets, the bounding set, no_new_privs and NOROOT. So each of these ends
//! meets each file, and no start has to. All capabilities are alike here; the six are more than it takes.

use capshim::command::after_exec::{After, Before, Executable, Obstacle};
use capshim::command::outcome::{self, Unfit};
use capshim::model::caps::CapSet;
use capshim::model::credentials::Securebits;
use capshim::model::expected::Expected;
use capshim::model::file_caps;
use capshim::model::ids::{Gid, Id, Uid};

use crate::kernel::{File, FileCaps, Ids, NOROOT, Process, Set};
use crate::starts::UNIVERSE;

/// The subset of the universe with this number.
fn subset(number: usize) -> Set {
    UNIVERSE.iter().enumerate().filter(|(bit, _)| number & (1 << bit) != 0).map(|(_, cap)| cap).sum()
}

const SUBSETS: usize = 1 << UNIVERSE.len();
pub const ENDS: usize = SUBSETS * SUBSETS * 8;

/// What a plan ends in.
pub fn end(number: usize) -> Process {
    let [caps, bounding] = [number % SUBSETS, number / SUBSETS % SUBSETS].map(subset);
    let flags = number / SUBSETS / SUBSETS;
    let id = if flags & 1 != 0 { 1000 } else { 0 };
    Process {
        uid: Ids::all(id),
        gid: Ids::all(id),
        groups: Vec::new(),
        permitted: caps,
        effective: caps,
        inheritable: caps,
        ambient: caps,
        bounding,
        no_new_privs: flags & 2 != 0,
        securebits: if flags & 4 != 0 { NOROOT } else { 0 },
        knows_ambient: true,
        mapped: u32::MAX,
    }
}

pub fn files() -> Vec<File> {
    let mut files = Vec::new();
    for set_uid in [None, Some(0), Some(1000)] {
        for set_gid in [None, Some(0), Some(1000)] {
            files.push(File { caps: None, set_uid, set_gid });
        }
    }
    for number in 0..SUBSETS * SUBSETS * 2 {
        let caps = FileCaps {
            permitted: subset(number % SUBSETS),
            inheritable: subset(number / SUBSETS % SUBSETS),
            effective: number >= SUBSETS * SUBSETS,
        };
        files.push(File { caps: Some(caps), ..File::default() });
        // The ids decide by themselves.
        if number % 61 == 0 {
            files.push(File { caps: Some(caps), set_uid: Some(0), set_gid: None });
            files.push(File { caps: Some(caps), set_uid: None, set_gid: Some(1000) });
        }
    }
    files
}

/// What the shim reads of the file.
fn executable(file: &File) -> Executable {
    let set = CapSet::from_bits;
    let caps = file.caps.map(|caps| file_caps::FileCaps {
        permitted: set(caps.permitted),
        inheritable: set(caps.inheritable),
        effective: caps.effective,
        foreign: false,
    });
    Executable { caps, set_uid: file.set_uid.and_then(Uid::new), set_gid: file.set_gid.and_then(Gid::new) }
}

/// As `command::file` makes it: the bounding set is read where no plan has it.
fn before(process: &Process, knows_bounding: bool) -> Before {
    let bounding = CapSet::from_bits(process.bounding);
    let expected = Expected {
        uid: Uid::new(process.uid.effective).unwrap(),
        gid: Gid::new(process.gid.effective).unwrap(),
        groups: Vec::new(),
        caps: CapSet::from_bits(process.permitted),
        bounding: knows_bounding.then_some(bounding),
        no_new_privs: process.no_new_privs,
    };
    let before = outcome::before_exec(&expected, Securebits(process.securebits));
    Before { bounding, ..before }
}

/// One end with all files; says what is wrong. An unread file matters exactly where one of these would.
pub fn check(process: &Process, files: &[File]) -> Result<(), String> {
    let before = before(process, true);
    let mut matters = false;
    for file in files {
        let judged = outcome::judge(&before, &executable(file));
        let wrong = |kernel: &str| Err(format!("{process:x?}\n{file:x?}: {judged:?}, and {kernel}"));
        let ids = process.ids_after(file);
        if ids != (process.uid.effective, process.gid.effective) {
            matters = true;
            match judged {
                Err(Unfit::Exec(Obstacle::ChangesIds { uid, gid })) if (uid.raw(), gid.raw()) == ids => {}
                _ => return wrong("the kernel changes the ids"),
            }
            continue;
        }
        let Ok(after) = process.exec(file) else {
            if judged != Err(Unfit::Exec(Obstacle::NotPermitted)) {
                return wrong("the kernel says EPERM");
            }
            continue;
        };
        let set = CapSet::from_bits;
        let would = After {
            permitted: set(after.permitted),
            effective: set(after.effective),
            ambient: set(after.ambient),
        };
        let is_exact = [after.permitted, after.effective] == [process.permitted; 2];
        matters |= !is_exact;
        if judged != if is_exact { Ok(would) } else { Err(Unfit::Differs(would)) } {
            return wrong(&format!("the kernel leaves {would:?}"));
        }
    }
    let depends = outcome::depends_on_file(&before);
    if depends != matters {
        return Err(format!("{process:x?}: an unread file matters: {matters}, and it is said: {depends}"));
    }
    plain(process)
}

/// A plain file, judged without the bounding set where the plan has none: with no_new_privs.
fn plain(process: &Process) -> Result<(), String> {
    if !process.no_new_privs {
        return Ok(());
    }
    let expected = Before { bounding: CapSet::from_bits(process.permitted), ..before(process, false) };
    let unread = outcome::judge(&expected, &Executable::default());
    let read = outcome::judge(&before(process, false), &Executable::default());
    if unread != read {
        Err(format!("{process:x?}: {unread:?} without the bounding set, {read:?}"))
    } else {
        Ok(())
    }
}
