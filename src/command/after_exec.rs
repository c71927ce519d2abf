//! The kernel's rule for the capability sets at exec.
//!
//! Pure. This is a diagnosis and no guard, because the file can change before exec. The application never
//! gets more because of no_new_privs and the bounding set.
#![forbid(unsafe_code)]

use crate::model::caps::CapSet;
use crate::model::credentials::Securebits;
use crate::model::file_caps::FileCaps;
use crate::model::ids::{Gid, Uid};

/// What an executable file contributes at exec, on its mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Executable {
    pub caps: Option<FileCaps>,
    /// The owner, if the file is set-user-ID.
    pub set_uid: Option<Uid>,
    /// The group, if the file is set-group-ID.
    pub set_gid: Option<Gid>,
}

/// The credentials that count at exec. Real, effective and saved ids are equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Before {
    pub uid: Uid,
    pub gid: Gid,
    pub permitted: CapSet,
    pub inheritable: CapSet,
    pub ambient: CapSet,
    pub bounding: CapSet,
    pub no_new_privs: bool,
    pub securebits: Securebits,
}

/// What the program holds after exec. Its ids, inheritable and bounding set do not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct After {
    pub permitted: CapSet,
    pub effective: CapSet,
    pub ambient: CapSet,
}

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// exec would give these effective ids. Its other effects depend on the kernel's version, so capshim
    /// refuses them.
    ChangesIds { uid: Uid, gid: Gid },
    /// exec fails with EPERM: the file has the effective bit, and capabilities that it cannot get.
    NotPermitted,
}

/// The kernel's rule (capabilities(7), "Transformation of capabilities during execve()").
///
/// ```text
/// P' = (I & fI) | (fP & B) | A'
/// E' = fE ? P' : A'
/// A' = the file has capabilities ? none : A
/// ```
/// For root, fI, fP and fE are all set. With no_new_privs, the file gives nothing beyond P.
pub fn after_exec(before: &Before, file: &Executable) -> Result<After, Obstacle> {
    let uid = file.set_uid.filter(|_| !before.no_new_privs).unwrap_or(before.uid);
    let gid = file.set_gid.filter(|_| !before.no_new_privs).unwrap_or(before.gid);
    if (uid, gid) != (before.uid, before.gid) {
        return Err(Obstacle::ChangesIds { uid, gid });
    }
    let caps = file.caps.unwrap_or_default();
    let mut given = (before.inheritable & caps.inheritable) | (before.bounding & caps.permitted);
    let mut effective = caps.effective;
    if effective && !caps.permitted.is_subset_of(given) {
        return Err(Obstacle::NotPermitted);
    }
    if uid == Uid::ROOT && !before.securebits.has(Securebits::NOROOT) {
        given = before.bounding | before.inheritable;
        effective = true;
    }
    if before.no_new_privs {
        given = given & before.permitted;
    }
    let ambient = if file.caps.is_some() { CapSet::EMPTY } else { before.ambient };
    let permitted = given | ambient;
    Ok(After { permitted, effective: if effective { permitted } else { ambient }, ambient })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caps::Cap;

    use crate::model::ids::Id;

    const LOCK: CapSet = CapSet::of(&[Cap::CAP_IPC_LOCK]);
    const RAW: CapSet = CapSet::of(&[Cap::CAP_NET_RAW]);

    fn before() -> Before {
        Before {
            uid: Uid::new(1000).unwrap(),
            gid: Gid::new(1000).unwrap(),
            permitted: LOCK,
            inheritable: LOCK,
            ambient: LOCK,
            bounding: LOCK | RAW,
            no_new_privs: true,
            securebits: Securebits::default(),
        }
    }

    fn with_caps(permitted: CapSet, inheritable: CapSet, effective: bool) -> Executable {
        Executable {
            caps: Some(FileCaps { permitted, inheritable, effective, foreign: false }),
            ..Executable::default()
        }
    }

    #[test]
    fn a_plain_file_keeps_everything() {
        let after = after_exec(&before(), &Executable::default()).unwrap();
        assert_eq!((after.permitted, after.effective, after.ambient), (LOCK, LOCK, LOCK));
    }

    #[test]
    fn file_capabilities_clear_ambient_even_when_they_are_empty() {
        let after = after_exec(&before(), &with_caps(CapSet::EMPTY, CapSet::EMPTY, false)).unwrap();
        assert_eq!(
            (after.permitted, after.effective, after.ambient),
            (CapSet::EMPTY, CapSet::EMPTY, CapSet::EMPTY)
        );
        let after = after_exec(&before(), &with_caps(LOCK, CapSet::EMPTY, true)).unwrap();
        assert_eq!((after.permitted, after.effective, after.ambient), (LOCK, LOCK, CapSet::EMPTY));
        let after = after_exec(&before(), &with_caps(CapSet::EMPTY, LOCK, true)).unwrap();
        assert_eq!((after.permitted, after.effective, after.ambient), (LOCK, LOCK, CapSet::EMPTY));
    }

    #[test]
    fn file_capabilities_add_up_to_the_bounding_set_unless_no_new_privs_is_on() {
        let file = with_caps(LOCK | RAW, CapSet::EMPTY, true);
        assert_eq!(after_exec(&before(), &file).unwrap().permitted, LOCK);
        let off = Before { no_new_privs: false, ..before() };
        assert_eq!(after_exec(&off, &file).unwrap().permitted, LOCK | RAW);
    }

    #[test]
    fn an_effective_file_beyond_the_bounding_set_cannot_be_executed() {
        let admin = CapSet::of(&[Cap::CAP_SYS_ADMIN]);
        assert_eq!(
            after_exec(&before(), &with_caps(admin, CapSet::EMPTY, true)),
            Err(Obstacle::NotPermitted)
        );
        assert!(after_exec(&before(), &with_caps(admin, CapSet::EMPTY, false)).is_ok());
    }

    #[test]
    fn root_gets_the_bounding_set_unless_no_new_privs_is_on() {
        let root = Before { uid: Uid::ROOT, gid: Gid::ROOT, ..before() };
        assert_eq!(after_exec(&root, &Executable::default()).unwrap().effective, LOCK);
        let off = Before { no_new_privs: false, ..root };
        assert_eq!(after_exec(&off, &Executable::default()).unwrap().effective, LOCK | RAW);
        let noroot = Before { securebits: Securebits(Securebits::NOROOT), ..off };
        assert_eq!(after_exec(&noroot, &Executable::default()).unwrap().effective, LOCK);
    }

    #[test]
    fn set_id_bits_count_only_without_no_new_privs_and_where_they_change_an_id() {
        let file = Executable { set_uid: Some(Uid::ROOT), ..Executable::default() };
        assert!(after_exec(&before(), &file).is_ok());
        let off = Before { no_new_privs: false, ..before() };
        let changed = Obstacle::ChangesIds { uid: Uid::ROOT, gid: before().gid };
        assert_eq!(after_exec(&off, &file), Err(changed));
        let own = Executable { set_uid: Some(off.uid), set_gid: Some(off.gid), ..file };
        assert_eq!(after_exec(&off, &own).unwrap().ambient, LOCK);
    }

    #[test]
    fn root_makes_a_files_permitted_capabilities_effective() {
        let root = Before { uid: Uid::ROOT, gid: Gid::ROOT, ..before() };
        let after = after_exec(&root, &with_caps(LOCK, CapSet::EMPTY, false)).unwrap();
        assert_eq!((after.permitted, after.effective, after.ambient), (LOCK, LOCK, CapSet::EMPTY));
    }
}
