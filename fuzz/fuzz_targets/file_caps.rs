//! `security.capability` and the kernel's rule at exec.
//!
//! The input: sets, ids and switches of the process (43 bytes), then the attribute.
#![no_main]

use capshim::command::after_exec::{After, Before, Executable, Obstacle, after_exec};
use capshim::model::caps::CapSet;
use capshim::model::credentials::Securebits;
use capshim::model::file_caps::FileCaps;
use capshim::model::ids::{Gid, Id, Uid};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((head, xattr)) = data.split_at_checked(43) else {
        let _ = FileCaps::parse(data);
        return;
    };
    let caps = FileCaps::parse(xattr).ok();
    if let Some(caps) = caps {
        assert!(matches!(xattr.len(), 20 | 24));
        // Whose they are is in the third revision alone; what is written is always one's own.
        let own = FileCaps { foreign: false, ..caps };
        assert_eq!(FileCaps::parse(&caps.to_xattr()), Ok(own));
    }
    let before = before(head);
    let id = |at: usize| u32::from(head[at] % 3);
    let file = Executable {
        caps,
        set_uid: Uid::new(id(40)).filter(|_| head[42] & 4 != 0),
        set_gid: Gid::new(id(41)).filter(|_| head[42] & 8 != 0),
    };
    match after_exec(&before, &file) {
        Ok(after) => holds(&before, &file, &after),
        Err(Obstacle::ChangesIds { uid, gid }) => {
            assert!(!before.no_new_privs && (uid, gid) != (before.uid, before.gid));
            assert!(uid == before.uid || Some(uid) == file.set_uid);
            assert!(gid == before.gid || Some(gid) == file.set_gid);
        }
        Err(Obstacle::NotPermitted) => assert!(file.caps.is_some_and(|caps| caps.effective)),
    }
});

fn before(head: &[u8]) -> Before {
    let set = |at: usize| {
        CapSet::from_bits(head[at..at + 8].iter().fold(0, |bits, &byte| bits << 8 | u64::from(byte)))
    };
    let (permitted, inheritable) = (set(0), set(8));
    Before {
        uid: Uid::new((head[32] % 3).into()).expect("a uid"),
        gid: Gid::new((head[33] % 3).into()).expect("a gid"),
        permitted,
        inheritable,
        // The kernel keeps ambient within both.
        ambient: set(16) & permitted & inheritable,
        bounding: set(24),
        no_new_privs: head[42] & 1 != 0,
        securebits: Securebits(if head[42] & 2 != 0 { Securebits::NOROOT } else { 0 }),
    }
}

fn holds(before: &Before, file: &Executable, after: &After) {
    assert!(after.effective.is_subset_of(after.permitted));
    assert!(after.ambient.is_subset_of(after.permitted & before.ambient));
    assert!(after.permitted.is_subset_of(before.bounding | before.inheritable | before.ambient));
    if before.no_new_privs {
        assert!(after.permitted.is_subset_of(before.permitted));
    }
    let root = before.uid == Uid::ROOT && !before.securebits.has(Securebits::NOROOT);
    if file.caps.is_none() && !root {
        assert_eq!([after.permitted, after.effective, after.ambient], [before.ambient; 3]);
    }
    if file.caps.is_some() {
        assert!(after.ambient.is_empty());
    }
}
