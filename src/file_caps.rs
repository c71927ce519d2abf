//! What a file does to credentials when it is executed: its `security.capability` attribute,
//! set-id bits and `#!` line, and the kernel's rule for the capability sets.
//!
//! Pure. The rule is a diagnosis and not a guard, since the file can change before exec:
//! that the application never gets more rests on no_new_privs and the bounding set.
#![forbid(unsafe_code)]

use std::fmt;

use crate::capset::CapSet;
use crate::credentials::Securebits;
use crate::identity::{Gid, Uid};

/// The file capabilities of a program (capabilities(7), "File capabilities").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileCaps {
    pub permitted: CapSet,
    pub inheritable: CapSet,
    pub effective: bool,
    /// They belong to the root of a user namespace that may not be this one.
    pub foreign: bool,
}

/// As setcap(8) and getcap(8) have it, `IPC_LOCK=ep`, and whose they are if that is not plain.
impl fmt::Display for FileCaps {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let effective = if self.effective { "e" } else { "" };
        match (self.permitted, self.inheritable) {
            (permitted, CapSet::EMPTY) => write!(f, "{permitted}={effective}p"),
            (CapSet::EMPTY, inheritable) => write!(f, "{inheritable}={effective}i"),
            (permitted, inheritable) => write!(f, "{permitted}={effective}p, {inheritable}={effective}i"),
        }?;
        f.write_str(if self.foreign { " of another user namespace's root" } else { "" })
    }
}

/// An attribute that the kernel refuses to execute, with EINVAL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// VFS_CAP_REVISION_2 and _3 (linux/capability.h).
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;

impl FileCaps {
    /// These and no others, for whoever executes the file to raise (`=p`): with the effective
    /// bit, exec would fail where one of them was not granted.
    pub const fn only_permitted(permitted: CapSet) -> FileCaps {
        FileCaps { permitted, inheritable: CapSet::EMPTY, effective: false, foreign: false }
    }

    /// What one file or the other may have.
    pub fn either(one: Option<FileCaps>, other: Option<FileCaps>) -> Option<FileCaps> {
        let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
        Some(FileCaps {
            permitted: a.permitted | b.permitted,
            inheritable: a.inheritable | b.inheritable,
            effective: a.effective | b.effective,
            foreign: a.foreign | b.foreign,
        })
    }

    /// The attribute as setxattr(2) takes it, in revision 2. In a user namespace the kernel
    /// makes revision 3 of it, with that namespace's root.
    pub fn to_xattr(self) -> [u8; 20] {
        let low = |set: CapSet| set.bits() as u32;
        let high = |set: CapSet| (set.bits() >> 32) as u32;
        let magic = REVISION_2 | u32::from(self.effective);
        let words =
            [magic, low(self.permitted), low(self.inheritable), high(self.permitted), high(self.inheritable)];
        let mut bytes = [0; 20];
        for (four, word) in bytes.chunks_exact_mut(4).zip(words) {
            four.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads the attribute as getxattr(2) hands it out: revision 2, or revision 3 with the
    /// uid of the user namespace's root that it belongs to.
    ///
    /// 0 would be this namespace's root; another one is the root of some other namespace, for
    /// whose descendants the attribute counts too. Whether this is one cannot be told from
    /// inside, so it is taken to count, and a program is refused rather than run with less
    /// than was asked.
    pub fn parse(xattr: &[u8]) -> Result<FileCaps, Malformed> {
        let word = |at: usize| {
            xattr
                .get(4 * at..4 * at + 4)
                .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let magic = word(0).ok_or(Malformed)?;
        let length = match magic & 0xff00_0000 {
            REVISION_2 => 20,
            REVISION_3 => 24,
            _ => return Err(Malformed),
        };
        // Pairs of (permitted, inheritable), the low 32 bits first.
        let (Some(low), Some(low_i), Some(high), Some(high_i), true) =
            (word(1), word(2), word(3), word(4), xattr.len() == length)
        else {
            return Err(Malformed);
        };
        let set = |low: u32, high: u32| CapSet::from_bits(u64::from(high) << 32 | u64::from(low));
        Ok(FileCaps {
            permitted: set(low, high),
            inheritable: set(low_i, high_i),
            effective: magic & 1 != 0,
            foreign: word(5).is_some_and(|root| root != 0),
        })
    }
}

/// What an executable file brings into exec, on the mount where it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Executable {
    pub caps: Option<FileCaps>,
    /// The owner of a set-user-ID file.
    pub set_uid: Option<Uid>,
    /// The group of a set-group-ID file.
    pub set_gid: Option<Gid>,
}

/// What of the credentials counts at exec. Real, effective and saved ids are equal.
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

/// What the program holds after exec. Its ids, inheritable and bounding set stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct After {
    pub permitted: CapSet,
    pub effective: CapSet,
    pub ambient: CapSet,
}

/// Why there is nothing to compute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// exec would give these effective ids. What else it would do depends on the kernel's
    /// version, and nobody who wants exactly what was asked wants that.
    ChangesIds { uid: Uid, gid: Gid },
    /// exec fails with EPERM: the file has the effective bit and capabilities that it cannot
    /// get.
    NotPermitted,
}

/// The kernel's rule (capabilities(7), "Transformation of capabilities during execve()").
///
/// ```text
/// P' = (I & fI) | (fP & B) | A'
/// E' = fE ? P' : A'
/// A' = the file has capabilities ? none : A
/// ```
/// For root all of fI, fP and fE are set; with no_new_privs what the file gives is cut to P.
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

/// The first bytes of a file, as execve(2) reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head<'a> {
    /// `#!` and the path of an interpreter, which may be relative to the working directory.
    Script(&'a [u8]),
    /// `#!` without an interpreter, or with one that does not fit: ENOEXEC.
    BadScript,
    Other,
}

/// As much of a file's beginning as the kernel looks at (BINPRM_BUF_SIZE).
pub const HEAD: usize = 256;

/// How many interpreters of interpreters the kernel follows before it says ELOOP.
pub const MOST_INTERPRETERS: usize = 5;

/// Reads a `#!` line as the kernel does (fs/binfmt_script.c): spaces and tabs around the
/// path are skipped, and a path that may have been cut off is refused.
pub fn head(bytes: &[u8]) -> Head<'_> {
    let bytes = &bytes[..bytes.len().min(HEAD)];
    let Some(line) = bytes.strip_prefix(b"#!") else { return Head::Other };
    let end = line.iter().position(|&byte| byte == b'\n');
    let (line, whole) = match end {
        Some(end) => (&line[..end], true),
        // A file shorter than the buffer is followed by NUL bytes there.
        None => (line, bytes.len() < HEAD),
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = line.iter().position(|byte| !blank(byte)) else { return Head::BadScript };
    let path = &line[start..];
    match path.iter().position(|byte| blank(byte) || *byte == 0) {
        Some(0) => Head::BadScript,
        Some(length) => Head::Script(&path[..length]),
        None if whole => Head::Script(path),
        None => Head::BadScript,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capset::Cap;
    use crate::identity::Id;

    const LOCK: CapSet = CapSet::of(&[Cap::CAP_IPC_LOCK]);
    const RAW: CapSet = CapSet::of(&[Cap::CAP_NET_RAW]);

    fn xattr(magic: u32, words: &[u32]) -> Vec<u8> {
        [magic].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
    }

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
    fn both_revisions_that_the_kernel_hands_out_are_read() {
        let caps = FileCaps {
            permitted: CapSet::from_bits(1 << 40 | 1 << 14),
            inheritable: RAW,
            ..FileCaps::default()
        };
        assert_eq!(FileCaps::parse(&xattr(0x0200_0000, &[1 << 14, 1 << 13, 1 << 8, 0])), Ok(caps));
        assert_eq!(FileCaps::parse(&xattr(0x0300_0000, &[1 << 14, 1 << 13, 1 << 8, 0, 0])), Ok(caps));
        let effective = FileCaps { effective: true, foreign: true, ..caps };
        assert_eq!(
            FileCaps::parse(&xattr(0x0300_0001, &[1 << 14, 1 << 13, 1 << 8, 0, 100_000])),
            Ok(effective)
        );
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for bits in [1, 1 << 14, 1 << 31, 1 << 32, 1 << 40 | 1 << 14, (1 << 41) - 1] {
            let caps = FileCaps::only_permitted(CapSet::from_bits(bits));
            assert_eq!(FileCaps::parse(&caps.to_xattr()), Ok(caps));
            let all = FileCaps { inheritable: CapSet::from_bits(bits ^ u64::MAX), effective: true, ..caps };
            assert_eq!(FileCaps::parse(&all.to_xattr()), Ok(all));
        }
    }

    #[test]
    fn permitted_alone_is_written_in_revision_2_without_the_effective_bit() {
        let caps = FileCaps::only_permitted(CapSet::from_bits(1 << 40 | 1 << 14));
        assert_eq!(caps.to_xattr().to_vec(), xattr(0x0200_0000, &[1 << 14, 0, 1 << 8, 0]));
        assert_eq!(caps.to_string(), "IPC_LOCK, CHECKPOINT_RESTORE=p");
    }

    #[test]
    fn an_attribute_that_the_kernel_refuses_is_malformed() {
        for bytes in [
            &b""[..],
            b"\0\0\0",
            &xattr(0, &[0, 0]),
            &xattr(0x0200_0000, &[0, 0]),
            &xattr(0x0200_0000, &[0; 5]),
            &xattr(0x0100_0000, &[0, 0]),
            &xattr(0x0400_0000, &[0; 5]),
        ] {
            assert_eq!(FileCaps::parse(bytes), Err(Malformed), "{bytes:?}");
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

    #[test]
    fn script_lines_are_read_as_the_kernel_reads_them() {
        assert_eq!(head(b"#!/bin/sh\necho"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#! \t/bin/sh -e\n"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#!/bin/sh"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#!/bin/sh\0x\n"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#!/bin/sh\r\n"), Head::Script(b"/bin/sh\r"));
        assert_eq!(head(b"#!\n/bin/sh"), Head::BadScript);
        assert_eq!(head(b"#!   \t "), Head::BadScript);
        assert_eq!(head(b"#!"), Head::BadScript);
        assert_eq!(head(b"\x7fELF"), Head::Other);
        assert_eq!(head(b""), Head::Other);
        let mut long = b"#!/".to_vec();
        long.resize(300, b'a');
        assert_eq!(head(&long), Head::BadScript);
        long[254] = b' ';
        assert!(matches!(head(&long), Head::Script(path) if path.len() == 252));
    }
}
