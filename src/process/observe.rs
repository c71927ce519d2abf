//! Reads from the kernel what this process is: its ids, groups and capability sets.
//!
//! It changes nothing but a pipe of its own. No decision rests on /proc, because it may not be mounted.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::prctl::get_no_new_privs;
use nix::unistd::{fchown, getresgid, getresuid};

use crate::model::caps::{Cap, CapSet};
use crate::model::credentials::{Credentials, Ids, OverflowGid, Securebits};
use crate::model::ids::{Gid, Id, OVERFLOW_ID, decimal};
use crate::process::failures;
use crate::system;

/// Reads everything except `bounding`, `own_file` and `overflow_gid`.
pub fn read() -> Result<Credentials> {
    let caps = system::capget().context("capget")?;
    // The buffers started with all 64 bits set, so the call did not fill them.
    if caps.permitted.bits() == u64::MAX {
        return Err(failures::call_lied("capget reported success but gave no sets").into());
    }
    let (has_ambient, ambient) = ambient(caps.permitted & caps.inheritable)?;
    let now = getresuid().context("getresuid")?;
    let uid = ids("getresuid", [now.real, now.effective, now.saved].map(|id| id.as_raw()))?;
    let now = getresgid().context("getresgid")?;
    let gid = ids("getresgid", [now.real, now.effective, now.saved].map(|id| id.as_raw()))?;
    Ok(Credentials {
        uid,
        gid,
        groups: groups()?,
        permitted: caps.permitted,
        effective: caps.effective,
        inheritable: caps.inheritable,
        ambient,
        no_new_privs: get_no_new_privs().context("prctl(PR_GET_NO_NEW_PRIVS)")?,
        securebits: securebits()?,
        has_ambient,
        bounding: None,
        own_file: None,
        overflow_gid: OverflowGid::Unknown,
    })
}

/// A sandbox that does not know securebits has none set.
fn securebits() -> Result<Securebits> {
    match system::securebits() {
        Ok(bits) => Ok(Securebits(bits)),
        Err(Errno::EINVAL) => Ok(Securebits::default()),
        Err(errno) => Err(errno).context("prctl(PR_GET_SECUREBITS)"),
    }
}

/// Whether this user namespace denies setgroups(2), for a hint; false if /proc does not say.
pub fn denies_setgroups() -> bool {
    proc_text(c"/proc/self/setgroups").is_some_and(|text| text.trim_ascii_end() == b"deny")
}

/// The content of a file in /proc; `None` if it cannot be read.
pub fn proc_text(path: &CStr) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    system::open(path).ok()?.read_to_end(&mut text).ok().map(|_| text)
}

/// The ranges of /proc/self/uid_map or gid_map: first id inside, first id in the parent namespace,
/// count (user_namespaces(7)).
fn id_ranges(map: &[u8]) -> impl Iterator<Item = [i64; 3]> {
    map.split(|&byte| byte == b'\n').filter_map(|line| {
        let mut numbers = line.split(u8::is_ascii_whitespace).filter_map(decimal);
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    })
}

/// Whether this user namespace maps only some ids, as most do but the initial one. One that maps every id is
/// not told. Does not ask /proc: a new process's first look there takes the kernel longer than setting all
/// credentials.
pub fn in_own_user_namespace() -> bool {
    const LAST: nix::unistd::Uid = nix::unistd::Uid::from_raw(u32::MAX - 1);
    // chown(2) refuses an id that is not mapped before anything else. Otherwise only this pipe may change.
    system::pipe().is_ok_and(|(own, _)| fchown(own, Some(LAST), None) == Err(Errno::EINVAL))
}

/// The map of the initial user namespace, and of each that maps every id to itself.
pub const WHOLE: [[i64; 3]; 1] = [[0, 0, u32::MAX as i64]];

/// The ranges of /proc/self/uid_map; `None` if it cannot be read.
pub fn uid_ranges() -> Option<Vec<[i64; 3]>> {
    proc_text(c"/proc/self/uid_map").map(|map| id_ranges(&map).collect())
}

/// What gid 65534 stands for, from /proc/self/gid_map.
pub fn overflow_gid() -> OverflowGid {
    let map = proc_text(c"/proc/self/gid_map").unwrap_or_default();
    let maps = |[first, _, count]: [i64; 3]| (first..first + count).contains(&OVERFLOW_ID.into());
    match id_ranges(&map).find(|range| maps(*range)) {
        Some([0, _, count]) if count == i64::from(u32::MAX) => OverflowGid::Certain,
        Some(_) => OverflowGid::Mapped,
        None => OverflowGid::Unknown,
    }
}

/// The mount id of an open file, from /proc/self/fdinfo (proc_pid_fdinfo(5)).
pub fn mount_id(file: &File) -> Option<i64> {
    let path = CString::new(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let text = proc_text(&path)?;
    let id = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"mnt_id:"));
    decimal(id?.trim_ascii())
}

/// Reads the bounding set: asks for each capability until the kernel knows no more.
pub fn bounding() -> Result<CapSet> {
    let mut bits = 0;
    for number in 0..64 {
        match system::bounding_contains(number) {
            Ok(true) => bits |= 1 << number,
            Ok(false) => {}
            Err(Errno::EINVAL) if number > 0 => break,
            Err(errno) => return Err(errno).context("prctl(PR_CAPBSET_READ)"),
        }
    }
    Ok(CapSet::from_bits(bits))
}

fn groups() -> Result<Vec<Gid>> {
    let raw = system::getgroups().context("getgroups")?;
    let mut groups = raw.into_iter().map(valid("getgroups")).collect::<Result<Vec<Gid>>>()?;
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

fn ids<T: Id>(call: &'static str, [real, effective, saved]: [u32; 3]) -> Result<Ids<T>> {
    let id = valid(call);
    Ok(Ids { real: id(real)?, effective: id(effective)?, saved: id(saved)? })
}

/// The buffers, nix's too, started with 4294967295, so the call did not fill them.
fn valid<T: Id>(call: &'static str) -> impl Fn(u32) -> Result<T> {
    move |raw| {
        T::new(raw)
            .ok_or_else(|| failures::call_lied(format!("{call} reported success but gave no ids")).into())
    }
}

/// Whether the kernel has an ambient set, and what it contains. `possible` is permitted & inheritable:
/// ambient is always a subset of that (capabilities(7)).
fn ambient(possible: CapSet) -> Result<(bool, CapSet)> {
    // If nothing is possible, any capability tells whether the kernel has an ambient set.
    let asked = if possible.is_empty() { CapSet::of(&[Cap::CAP_CHOWN]) } else { possible };
    let mut bits = 0;
    for number in asked.numbers() {
        match system::ambient_contains(number) {
            Ok(set) => bits |= u64::from(set) << number,
            Err(Errno::EINVAL) => return Ok((false, CapSet::EMPTY)),
            Err(errno) => return Err(errno).context("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET)"),
        }
    }
    Ok((true, CapSet::from_bits(bits)))
}
