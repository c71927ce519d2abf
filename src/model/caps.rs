//! Capability names and sets (capabilities(7)).
//!
//! Pure. It must not ask the kernel anything.
#![forbid(unsafe_code)]

pub use caps::Capability as Cap;

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

/// The names without `CAP_`, by the kernel's number. A look-up in this table allocates nothing.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities, one bit each. One that a newer kernel has and that has no name here is kept and
/// shown by number.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct CapSet(u64);

impl CapSet {
    pub const EMPTY: CapSet = CapSet(0);

    /// These can be turned into root in the container or on the node.
    pub const ROOT_EQUIVALENT: CapSet = CapSet::of(&[
        Cap::CAP_SETUID,
        Cap::CAP_SETGID,
        Cap::CAP_SETPCAP,
        Cap::CAP_SETFCAP,
        Cap::CAP_SYS_ADMIN,
        Cap::CAP_SYS_PTRACE,
        Cap::CAP_SYS_MODULE,
        Cap::CAP_SYS_RAWIO,
        Cap::CAP_DAC_OVERRIDE,
        Cap::CAP_DAC_READ_SEARCH,
        Cap::CAP_CHOWN,
        Cap::CAP_FOWNER,
        Cap::CAP_MKNOD,
        Cap::CAP_BPF,
    ]);

    /// These count only, or almost only, in the initial user namespace: the kernel checks them with capable()
    /// and not with ns_capable() (user_namespaces(7)).
    pub const OF_INITIAL_NAMESPACE: CapSet = CapSet::of(&[
        Cap::CAP_LINUX_IMMUTABLE,
        Cap::CAP_IPC_LOCK,
        Cap::CAP_SYS_MODULE,
        Cap::CAP_SYS_RAWIO,
        Cap::CAP_SYS_PACCT,
        Cap::CAP_SYS_NICE,
        Cap::CAP_SYS_RESOURCE,
        Cap::CAP_SYS_TIME,
        Cap::CAP_SYS_TTY_CONFIG,
        Cap::CAP_MKNOD,
        Cap::CAP_LEASE,
        Cap::CAP_AUDIT_WRITE,
        Cap::CAP_AUDIT_CONTROL,
        Cap::CAP_SYSLOG,
        Cap::CAP_WAKE_ALARM,
        Cap::CAP_AUDIT_READ,
        Cap::CAP_PERFMON,
        Cap::CAP_BPF,
    ]);

    pub const fn from_bits(bits: u64) -> CapSet {
        CapSet(bits)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    pub const fn of(caps: &[Cap]) -> CapSet {
        let mut bits = 0;
        let mut i = 0;
        while i < caps.len() {
            bits |= 1 << caps[i] as u8;
            i += 1;
        }
        CapSet(bits)
    }

    pub fn contains(self, cap: Cap) -> bool {
        self.0 & cap.bitmask() != 0
    }

    pub fn is_subset_of(self, other: CapSet) -> bool {
        self.0 & !other.0 == 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it looks like what `--privileged` grants: everything that the node's root has.
    pub fn is_privileged(self) -> bool {
        const NOBODY_ASKS_FOR: CapSet =
            CapSet::of(&[Cap::CAP_SYS_ADMIN, Cap::CAP_SYS_BOOT, Cap::CAP_SYS_MODULE, Cap::CAP_SYS_RAWIO]);
        NOBODY_ASKS_FOR.is_subset_of(self)
    }

    /// The members' numbers, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |n| self.0 & (1 << n) != 0)
    }

    /// The members' names without `CAP_`, in the order of their numbers.
    pub fn names(self) -> impl Iterator<Item = String> {
        self.numbers().map(name)
    }
}

impl BitOr for CapSet {
    type Output = CapSet;
    fn bitor(self, other: CapSet) -> CapSet {
        CapSet(self.0 | other.0)
    }
}

impl BitAnd for CapSet {
    type Output = CapSet;
    fn bitand(self, other: CapSet) -> CapSet {
        CapSet(self.0 & other.0)
    }
}

impl Sub for CapSet {
    type Output = CapSet;
    fn sub(self, other: CapSet) -> CapSet {
        CapSet(self.0 & !other.0)
    }
}

/// The three sets of capget(2) and capset(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadCaps {
    pub effective: CapSet,
    pub permitted: CapSet,
    pub inheritable: CapSet,
}

impl ThreadCaps {
    pub fn all(set: CapSet) -> ThreadCaps {
        ThreadCaps { effective: set, permitted: set, inheritable: set }
    }
}

/// `IPC_LOCK, NET_RAW`, or `none`.
impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// The name of capability `number` without its prefix, or the number if it has no name here.
pub fn name(number: u8) -> String {
    match NAMES.get(number as usize) {
        Some(name) => (*name).to_owned(),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_by_kernel_number() {
        assert_eq!(caps::all().len(), NAMES.len());
        for cap in caps::all() {
            assert_eq!(cap.to_string(), format!("CAP_{}", NAMES[cap.index() as usize]));
        }
        assert_eq!(name(40), "CHECKPOINT_RESTORE");
        assert_eq!(name(41), "41");
    }

    #[test]
    fn what_docker_grants_by_itself_is_not_privileged_and_all_is() {
        assert!(CapSet::from_bits(u64::MAX >> 23).is_privileged());
        assert!(!CapSet::from_bits(0xa80425fb).is_privileged());
        assert!(!(CapSet::from_bits(u64::MAX >> 23) - CapSet::of(&[Cap::CAP_SYS_BOOT])).is_privileged());
    }
}
