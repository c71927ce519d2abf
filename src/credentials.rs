//! What this process is: its ids, groups and capability sets, read from the kernel.
//!
//! It only reads. No decision rests on /proc, which need not be mounted.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use crate::capset::{Cap, CapSet};
use crate::diagnose;
use crate::error::Refusal;
use crate::identity::{Gid, Id, OVERFLOW_ID, Uid, decimal};
use crate::own_file::OwnFile;
use crate::sys;

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

/// Securebits (capabilities(7)): who may gain what by changing uid or by exec.
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

/// As in `NOROOT, NOROOT_LOCKED`, or `none`.
impl fmt::Display for Securebits {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const NAMES: [&str; 4] = ["NOROOT", "NO_SETUID_FIXUP", "KEEP_CAPS", "NO_CAP_AMBIENT_RAISE"];
        // Each bit has its lock beside it.
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
    /// False on a kernel or sandbox that does not know ambient capabilities.
    pub has_ambient: bool,
    /// Takes a call for each capability: read only where a step or a message needs it.
    pub bounding: Option<CapSet>,
    /// Read only where a message needs it.
    pub own_file: Option<OwnFile>,
    /// What the gid 65534 stands for; read only where this process has it or asks for it.
    pub overflow_gid: OverflowGid,
}

impl Credentials {
    /// Whether this gid is a group of this user namespace and can be asked for.
    pub fn is_mapped(&self, gid: Gid) -> bool {
        gid.raw() != OVERFLOW_ID || self.overflow_gid != OverflowGid::Unknown
    }

    /// Whether this gid, read from the kernel, stands for no other one.
    pub fn is_certain(&self, gid: Gid) -> bool {
        gid.raw() != OVERFLOW_ID || self.overflow_gid == OverflowGid::Certain
    }

    /// What this program's own file is known to permit; nothing where it was not read.
    pub fn carried(&self) -> CapSet {
        self.own_file.as_ref().and_then(OwnFile::known_caps).map_or(CapSet::EMPTY, |caps| caps.permitted)
    }

    /// The same, and all there is where nobody can tell.
    pub fn may_carry(&self) -> CapSet {
        match &self.own_file {
            Some(OwnFile { caps: Err(_), .. }) => CapSet::from_bits(u64::MAX),
            _ => self.carried(),
        }
    }
}

/// What 65534 stands for. Every group that the user namespace does not map reads as that, and it
/// can be a group of its own (user_namespaces(7)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverflowGid {
    /// It is not mapped, or /proc does not tell.
    Unknown,
    /// It is a group here, but some others are not mapped and read the same.
    Mapped,
    /// Every group is mapped.
    Certain,
}

/// Reads everything but the last three.
pub fn read() -> Result<Credentials, Refusal> {
    let caps = sys::capget().map_err(failed("capget"))?;
    // All 64 bits are what the buffers held before the call: it did not fill them.
    if caps.permitted.bits() == u64::MAX {
        return Err(diagnose::call_lied("capget reported success but gave no sets"));
    }
    let (has_ambient, ambient) = ambient(caps.permitted & caps.inheritable)?;
    Ok(Credentials {
        uid: ids("getresuid", sys::getresuid())?,
        gid: ids("getresgid", sys::getresgid())?,
        groups: groups()?,
        permitted: caps.permitted,
        effective: caps.effective,
        inheritable: caps.inheritable,
        ambient,
        no_new_privs: sys::no_new_privs().map_err(failed("prctl(PR_GET_NO_NEW_PRIVS)"))?,
        securebits: securebits()?,
        has_ambient,
        bounding: None,
        own_file: None,
        overflow_gid: OverflowGid::Unknown,
    })
}

/// A sandbox that does not know securebits has none set.
fn securebits() -> Result<Securebits, Refusal> {
    match sys::securebits() {
        Ok(bits) => Ok(Securebits(bits)),
        Err(Errno::EINVAL) => Ok(Securebits::default()),
        Err(errno) => Err(failed("prctl(PR_GET_SECUREBITS)")(errno)),
    }
}

/// Whether this user namespace denies setgroups(2), for the wording of a hint; false where
/// /proc does not tell.
pub fn denies_setgroups() -> bool {
    proc_text(c"/proc/self/setgroups").is_some_and(|text| text.trim_ascii_end() == b"deny")
}

/// What a file of /proc says; `None` where it cannot be read.
pub fn proc_text(path: &CStr) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    sys::open(path).ok()?.read_to_end(&mut text).ok().map(|_| text)
}

/// The ranges of /proc/self/uid_map or gid_map: first id inside, first id in the parent namespace,
/// count (user_namespaces(7)).
pub fn id_ranges(map: &[u8]) -> impl Iterator<Item = [i64; 3]> {
    map.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut numbers = line.split(u8::is_ascii_whitespace).filter_map(decimal);
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    })
}

/// By /proc/self/gid_map.
pub fn overflow_gid() -> OverflowGid {
    let map = proc_text(c"/proc/self/gid_map").unwrap_or_default();
    let maps = |[first, _, count]: [i64; 3]| (first..first + count).contains(&OVERFLOW_ID.into());
    match id_ranges(&map).find(|range| maps(*range)) {
        Some([0, _, count]) if count == u32::MAX.into() => OverflowGid::Certain,
        Some(_) => OverflowGid::Mapped,
        None => OverflowGid::Unknown,
    }
}

/// Which mount an open file is on, as /proc/self/fdinfo has it (proc_pid_fdinfo(5)).
pub fn mount_id(file: &File) -> Option<i64> {
    let path = CString::new(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let text = proc_text(&path)?;
    let id = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"));
    decimal(id?.trim_ascii())
}

/// Reads the bounding set, by asking for each capability until the kernel knows no more.
pub fn bounding() -> Result<CapSet, Refusal> {
    let mut bits = 0;
    for number in 0..64 {
        match sys::bounding_contains(number) {
            Ok(true) => bits |= 1 << number,
            Ok(false) => {}
            Err(Errno::EINVAL) if number > 0 => break,
            Err(errno) => return Err(failed("prctl(PR_CAPBSET_READ)")(errno)),
        }
    }
    Ok(CapSet::from_bits(bits))
}

fn groups() -> Result<Vec<Gid>, Refusal> {
    let raw = sys::getgroups().map_err(failed("getgroups"))?;
    let mut groups = raw.into_iter().map(valid("getgroups")).collect::<Result<Vec<Gid>, Refusal>>()?;
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

fn ids<T: Id>(call: &'static str, raw: Result<[u32; 3], Errno>) -> Result<Ids<T>, Refusal> {
    let [real, effective, saved] = raw.map_err(failed(call))?;
    let id = valid(call);
    Ok(Ids { real: id(real)?, effective: id(effective)?, saved: id(saved)? })
}

/// 4294967295 is what the buffers held before the call: it did not fill them.
fn valid<T: Id>(call: &'static str) -> impl Fn(u32) -> Result<T, Refusal> {
    move |raw| {
        T::new(raw).ok_or_else(|| diagnose::call_lied(format!("{call} reported success but gave no ids")))
    }
}

/// Whether there are ambient capabilities at all, and which. `possible` is what is permitted
/// and inheritable, of which ambient is always a subset (capabilities(7)).
fn ambient(possible: CapSet) -> Result<(bool, CapSet), Refusal> {
    // With nothing to ask for, any capability tells whether the question is understood.
    let asked = if possible.is_empty() { CapSet::of(&[Cap::CAP_CHOWN]) } else { possible };
    let mut bits = 0;
    for number in asked.numbers() {
        match sys::ambient_contains(number) {
            Ok(set) => bits |= u64::from(set) << number,
            Err(Errno::EINVAL) => return Ok((false, CapSet::EMPTY)),
            Err(errno) => return Err(failed("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET)")(errno)),
        }
    }
    Ok((true, CapSet::from_bits(bits)))
}

fn failed(call: &'static str) -> impl Fn(Errno) -> Refusal {
    move |errno| diagnose::call_failed(call, errno)
}
