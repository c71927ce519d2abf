//! The credentials of a process: ids, groups, capability sets (credentials(7)).
//!
//! Pure: `process::observe` reads them.
#![forbid(unsafe_code)]

use std::fmt;

use nix::errno::Errno;

use crate::model::caps::CapSet;
use crate::model::file_caps::FileCaps;
use crate::model::ids::{Gid, Id, OVERFLOW_ID, Uid};

/// Real, effective and saved id (credentials(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids<T> {
    pub real: T,
    pub effective: T,
    pub saved: T,
}

impl<T: Copy> Ids<T> {
    pub fn all(id: T) -> Ids<T> {
        Ids { real: id, effective: id, saved: id }
    }
}

impl<T: fmt::Display> fmt::Display for Ids<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}/{}", self.real, self.effective, self.saved)
    }
}

/// Securebits (capabilities(7)): which capabilities a change of uid or an exec gives and takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Securebits(pub u32);

impl Securebits {
    pub const NOROOT: u32 = 1 << 0;
    pub const NO_SETUID_FIXUP: u32 = 1 << 2;
    pub const KEEP_CAPS_LOCKED: u32 = 1 << 5;
    pub const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;

    pub fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }
}

/// `NOROOT, NOROOT_LOCKED`, or `none`.
impl fmt::Display for Securebits {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const NAMES: [&str; 4] = ["NOROOT", "NO_SETUID_FIXUP", "KEEP_CAPS", "NO_CAP_AMBIENT_RAISE"];
        // The bit after each is its lock.
        let names = (0..32).filter(|bit| self.has(1 << bit)).map(|bit| match (NAMES.get(bit / 2), bit % 2) {
            (Some(name), 0) => (*name).to_owned(),
            (Some(name), _) => format!("{name}_LOCKED"),
            (None, _) => format!("bit {bit}"),
        });
        let names: Vec<String> = names.collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(", "))
    }
}

/// The credentials of this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    pub uid: Ids<Uid>,
    pub gid: Ids<Gid>,
    /// Supplementary groups, sorted, each once.
    pub groups: Vec<Gid>,
    pub permitted: CapSet,
    pub effective: CapSet,
    pub inheritable: CapSet,
    pub ambient: CapSet,
    pub no_new_privs: bool,
    pub securebits: Securebits,
    /// False if the kernel or sandbox does not know ambient capabilities.
    pub has_ambient: bool,
    /// Needs one call per capability, so it is read only if a step or a message needs it.
    pub bounding: Option<CapSet>,
    /// Read only if a decision or message needs it.
    pub own_file: Option<OwnFile>,
    /// The meaning of gid 65534. Read only if this process has it or asks for it.
    pub overflow_gid: OverflowGid,
}

impl Credentials {
    /// The credentials of a container that starts with this uid, and a gid of the same number.
    #[cfg(test)]
    pub fn started(id: u32, granted: CapSet) -> Credentials {
        Credentials {
            uid: Ids::all(Uid::new(id).unwrap()),
            gid: Ids::all(Gid::new(id).unwrap()),
            groups: Vec::new(),
            permitted: granted,
            effective: granted,
            inheritable: CapSet::EMPTY,
            ambient: CapSet::EMPTY,
            no_new_privs: false,
            securebits: Securebits::default(),
            has_ambient: true,
            bounding: Some(granted),
            own_file: None,
            overflow_gid: OverflowGid::Unknown,
        }
    }

    /// Whether this gid is a group of this user namespace and can be asked for.
    pub fn is_mapped(&self, gid: Gid) -> bool {
        gid.raw() != OVERFLOW_ID || self.overflow_gid != OverflowGid::Unknown
    }

    /// Whether this gid, read from the kernel, stands for no other group.
    pub fn is_certain(&self, gid: Gid) -> bool {
        gid.raw() != OVERFLOW_ID || self.overflow_gid == OverflowGid::Certain
    }

    /// The capabilities that this program's file is known to permit; none if it was not read.
    pub fn carried(&self) -> CapSet {
        self.own_file.as_ref().and_then(OwnFile::known_caps).map_or(CapSet::EMPTY, |caps| caps.permitted)
    }

    /// The same, but all capabilities if the file's are unknown.
    pub fn may_carry(&self) -> CapSet {
        match &self.own_file {
            Some(OwnFile { caps: Err(_), .. }) => CapSet::from_bits(u64::MAX),
            _ => self.carried(),
        }
    }
}

/// The meaning of gid 65534. Every group that the user namespace does not map reads as 65534, which can also
/// be a group of its own (user_namespaces(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverflowGid {
    /// It is not mapped, or /proc does not say.
    Unknown,
    /// It is a group here, but some others are not mapped and read as the same number.
    Mapped,
    /// Every group is mapped.
    Certain,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnFile {
    pub path: Vec<u8>,
    pub caps: Result<Option<FileCaps>, Unknown>,
    pub nosuid: bool,
    pub place: Place,
}

/// Where a file lies, for a hint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the container's image, or unknown.
    Image,
    /// On a volume that something fills.
    Volume,
    /// On a read-only volume that is an image of its own.
    ImageVolume,
}

impl OwnFile {
    /// The file capabilities; `None` if there are none or they are unknown.
    pub fn known_caps(&self) -> Option<FileCaps> {
        self.caps.ok().flatten()
    }
}

/// The call whose failure leaves them unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unknown(pub &'static str, pub Errno);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "are not known, {}: {}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_has_the_name_of_capabilities_7() {
        for (bits, shown) in [
            (0, "none"),
            (Securebits::NOROOT, "NOROOT"),
            (Securebits::NO_SETUID_FIXUP, "NO_SETUID_FIXUP"),
            (1 << 4 | Securebits::KEEP_CAPS_LOCKED, "KEEP_CAPS, KEEP_CAPS_LOCKED"),
            (Securebits::NO_CAP_AMBIENT_RAISE, "NO_CAP_AMBIENT_RAISE"),
            (
                0b1010_1011,
                "NOROOT, NOROOT_LOCKED, NO_SETUID_FIXUP_LOCKED, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE_LOCKED",
            ),
            (1 << 8 | 1 << 31, "bit 8, bit 31"),
        ] {
            assert_eq!(Securebits(bits).to_string(), shown);
        }
    }

    #[test]
    fn ids_and_what_is_unknown_are_shown_whole() {
        assert_eq!(Ids { real: 1, effective: 2, saved: 3 }.to_string(), "1/2/3");
        let unknown = Unknown("getxattr", Errno::EPERM).to_string();
        assert!(unknown.starts_with("are not known, getxattr: EPERM"), "{unknown}");
    }
}
