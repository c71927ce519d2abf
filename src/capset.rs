//! Capability names and sets (capabilities(7)).
//!
//! Pure: what a capability is called and which ones a setting lists. It must not ask the
//! kernel anything.
#![forbid(unsafe_code)]

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};
use std::str::FromStr;

pub use caps::Capability as Cap;

use crate::error::{Complaint, shown};
use crate::words::{self, nearest};

/// Every capability that has a name here, by its number in the kernel.
pub const ALL: [Cap; 41] = [
    Cap::CAP_CHOWN,
    Cap::CAP_DAC_OVERRIDE,
    Cap::CAP_DAC_READ_SEARCH,
    Cap::CAP_FOWNER,
    Cap::CAP_FSETID,
    Cap::CAP_KILL,
    Cap::CAP_SETGID,
    Cap::CAP_SETUID,
    Cap::CAP_SETPCAP,
    Cap::CAP_LINUX_IMMUTABLE,
    Cap::CAP_NET_BIND_SERVICE,
    Cap::CAP_NET_BROADCAST,
    Cap::CAP_NET_ADMIN,
    Cap::CAP_NET_RAW,
    Cap::CAP_IPC_LOCK,
    Cap::CAP_IPC_OWNER,
    Cap::CAP_SYS_MODULE,
    Cap::CAP_SYS_RAWIO,
    Cap::CAP_SYS_CHROOT,
    Cap::CAP_SYS_PTRACE,
    Cap::CAP_SYS_PACCT,
    Cap::CAP_SYS_ADMIN,
    Cap::CAP_SYS_BOOT,
    Cap::CAP_SYS_NICE,
    Cap::CAP_SYS_RESOURCE,
    Cap::CAP_SYS_TIME,
    Cap::CAP_SYS_TTY_CONFIG,
    Cap::CAP_MKNOD,
    Cap::CAP_LEASE,
    Cap::CAP_AUDIT_WRITE,
    Cap::CAP_AUDIT_CONTROL,
    Cap::CAP_SETFCAP,
    Cap::CAP_MAC_OVERRIDE,
    Cap::CAP_MAC_ADMIN,
    Cap::CAP_SYSLOG,
    Cap::CAP_WAKE_ALARM,
    Cap::CAP_BLOCK_SUSPEND,
    Cap::CAP_AUDIT_READ,
    Cap::CAP_PERFMON,
    Cap::CAP_BPF,
    Cap::CAP_CHECKPOINT_RESTORE,
];

/// A set of capabilities, one bit each. A newer kernel may have some that have no name
/// here; they are kept and shown by number.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct CapSet(u64);

impl CapSet {
    pub const EMPTY: CapSet = CapSet(0);

    /// The ones that can be turned into root in the container or on the node.
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

    /// The numbers of the members, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |n| self.0 & (1 << n) != 0)
    }

    /// The members' names, each once, by number; without the `CAP_` prefix.
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

/// The three sets that capget(2) and capset(2) deal in.
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
    match ALL.get(number as usize) {
        Some(cap) => cap.to_string()[4..].to_owned(),
        None => number.to_string(),
    }
}

/// What `CAPSHIM_CAPS` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Request {
    pub required: CapSet,
    /// Written with a trailing `?`: left out, with a warning, where it is not to be had.
    pub optional: CapSet,
}

impl FromStr for Request {
    type Err = Complaint;

    /// Names separated by commas or spaces, or `none`.
    fn from_str(text: &str) -> Result<Request, Complaint> {
        let mut request = Request::default();
        let mut none = false;
        for word in words::list(text)? {
            if word.eq_ignore_ascii_case("none") {
                none = true;
                continue;
            }
            let (name, set) = match word.strip_suffix('?') {
                Some(name) => (name, &mut request.optional),
                None => (word, &mut request.required),
            };
            *set = *set | CapSet::of(&[parse_cap(name)?]);
        }
        let both = request.required & request.optional;
        if !both.is_empty() {
            return Err(Complaint::new(format!("lists {both} with and without ?"))
                .hint("write it once: with ? if the application can do without; or without ? if it cannot"));
        }
        if none && !(request.required | request.optional).is_empty() {
            return Err(Complaint::new("lists none beside capabilities")
                .hint("write none alone; or leave none out of the list"));
        }
        Ok(request)
    }
}

/// The text that parses to the same request again.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let required = self.required.names();
        let optional = self.optional.names().map(|name| name + "?");
        let all: Vec<String> = required.chain(optional).collect();
        f.write_str(if all.is_empty() { "none" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

fn parse_cap(word: &str) -> Result<Cap, Complaint> {
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == "ALL" {
        return Err(Complaint::new("asks for all capabilities")
            .hint("list the ones that the application needs: it gets exactly those"));
    }
    Cap::from_str(&format!("CAP_{name}")).map_err(|_| {
        let names: Vec<String> = (0..ALL.len() as u8).map(self::name).collect();
        let near = nearest(name, names.iter().map(String::as_str));
        Complaint::new(format!("has an unknown capability '{}'", shown(word.as_bytes())))
            .hint(format!("the nearest one is {near}; capabilities(7) lists them all"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(text: &str) -> String {
        text.parse::<Request>().unwrap().to_string()
    }

    #[test]
    fn the_table_is_ordered_by_kernel_number() {
        for (number, cap) in ALL.iter().enumerate() {
            assert_eq!(cap.index() as usize, number);
        }
        assert_eq!(name(40), "CHECKPOINT_RESTORE");
        assert_eq!(name(41), "41");
    }

    #[test]
    fn any_case_prefix_and_separator_is_understood() {
        for text in ["ipc_lock,NET_RAW", "CAP_IPC_LOCK net_raw", "Cap_Net_Raw,  ipc_lock", "net_raw ipc_lock"]
        {
            assert_eq!(required(text), "NET_RAW, IPC_LOCK", "{text}");
        }
        assert_eq!(required("none"), "none");
        assert_eq!(required("NONE"), "none");
        assert_eq!(required("perfmon?,ipc_lock"), "IPC_LOCK, PERFMON?");
        assert_eq!(required("net_raw,net_raw"), "NET_RAW");
    }

    #[test]
    fn printing_and_parsing_again_is_the_identity() {
        for bits in [0, 1, 1 << 40, (1 << 41) - 1, 0x1555_5555_5555 & ((1 << 41) - 1)] {
            let request =
                Request { required: CapSet(bits), optional: CapSet(!bits & ((1 << 41) - 1) & 0xff00) };
            assert_eq!(request.to_string().parse::<Request>().unwrap(), request);
        }
    }

    #[test]
    fn anything_that_is_not_a_list_of_capabilities_is_an_error() {
        for text in [
            "",
            " ",
            ",",
            "net_raw,",
            ",net_raw",
            "net_raw,,ipc_lock",
            "net_raw, ,ipc_lock",
            "all",
            "CAP_ALL",
            "all?",
            "none,net_raw",
            "none net_raw?",
            "none?",
            "net_raw,net_raw?",
            "?",
            "cap_",
            "CAP_CAP_NET_RAW",
            "net_raw??",
            "+net_raw",
            "=ep",
            "net_raw=p",
            "14",
            "0x4000",
            "net_raw;ipc_lock",
            "net_raw\tipc_lock",
        ] {
            assert!(text.parse::<Request>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_misspelt_capability_is_answered_with_the_nearest_one() {
        let complaint = "ipc_lok".parse::<Request>().unwrap_err();
        assert_eq!(complaint.why, "has an unknown capability 'ipc_lok'");
        assert!(complaint.hint.unwrap().starts_with("the nearest one is IPC_LOCK"));
    }
}
