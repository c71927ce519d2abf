//! The `security.capability` attribute of a file (capabilities(7), "File capabilities").
//!
//! Pure.
#![forbid(unsafe_code)]

use std::fmt;

use crate::model::caps::CapSet;

/// The file capabilities of a program (capabilities(7), "File capabilities").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileCaps {
    pub permitted: CapSet,
    pub inheritable: CapSet,
    pub effective: bool,
    /// They belong to the root of a user namespace that may be another one.
    pub foreign: bool,
}

/// In the notation of setcap(8) and getcap(8), `IPC_LOCK=ep`, and whose they are if that is uncertain.
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

impl FileCaps {
    /// Only permitted (`=p`), for a program that raises them itself. With the effective bit, exec would fail
    /// if one of them was not granted.
    pub const fn only_permitted(permitted: CapSet) -> FileCaps {
        FileCaps { permitted, inheritable: CapSet::EMPTY, effective: false, foreign: false }
    }

    /// What either file may have.
    pub fn either(one: Option<FileCaps>, other: Option<FileCaps>) -> Option<FileCaps> {
        let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
        Some(FileCaps {
            permitted: a.permitted | b.permitted,
            inheritable: a.inheritable | b.inheritable,
            effective: a.effective | b.effective,
            foreign: a.foreign | b.foreign,
        })
    }

    /// The attribute for setxattr(2), in revision 2. In a user namespace the kernel turns it into revision 3,
    /// with that namespace's root.
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

    /// Reads the attribute as getxattr(2) returns it: revision 2, or revision 3 with the uid of a user
    /// namespace's root.
    ///
    /// Uid 0 is this namespace's root. Any other uid is another namespace's root, and the attribute counts
    /// for that namespace's descendants too. This process cannot tell whether it is in one, so the attribute
    /// is taken to count. Then a program is refused, rather than run with less than was asked.
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

/// An attribute with which the kernel refuses to execute the file (EINVAL).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// VFS_CAP_REVISION_2 and _3 (linux/capability.h).
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caps::Cap;

    const RAW: CapSet = CapSet::of(&[Cap::CAP_NET_RAW]);

    fn xattr(magic: u32, words: &[u32]) -> Vec<u8> {
        [magic].iter().chain(words).flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn either_file_counts_with_all_that_it_has() {
        let chown = CapSet::of(&[Cap::CAP_CHOWN]);
        let one = FileCaps { permitted: RAW, inheritable: chown, effective: true, foreign: false };
        let other = FileCaps { permitted: RAW | chown, inheritable: RAW, effective: false, foreign: true };
        let both =
            FileCaps { permitted: RAW | chown, inheritable: RAW | chown, effective: true, foreign: true };
        assert_eq!(FileCaps::either(Some(one), Some(other)), Some(both));
        assert_eq!(FileCaps::either(Some(both), Some(both)), Some(both));
        assert_eq!(FileCaps::either(Some(one), None), Some(one));
        assert_eq!(FileCaps::either(None, Some(other)), Some(other));
        assert_eq!(FileCaps::either(None, None), None);
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
}
