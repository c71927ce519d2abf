//! Calls that read and change credentials. nix lacks them, or makes more than one call for each.
//!
//! The calls that change ids and groups are made directly, because capshim has one thread. libc's wrappers
//! act on all threads, block signals meanwhile and may replace the errno.

use std::ffi::{c_int, c_long};

use nix::Result;
use nix::errno::Errno;

use crate::model::caps::{CapSet, ThreadCaps};

/// `_LINUX_CAPABILITY_VERSION_3`: 64 bits in two data structures.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// capget(2) for this thread. The buffers start with all bits set, so a faked call is noticed.
pub fn capget() -> Result<ThreadCaps> {
    let mut header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [CapData { effective: !0, permitted: !0, inheritable: !0 }; 2];
    // SAFETY: version 3 writes at most the header and two data structures.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &mut header, data.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| CapSet::from_bits(u64::from(high) << 32 | u64::from(low));
    let [low, high] = data;
    Ok(ThreadCaps {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// capset(2) for this thread.
pub fn capset(caps: ThreadCaps) -> Result<()> {
    let header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| CapData {
        effective: (caps.effective.bits() >> shift) as u32,
        permitted: (caps.permitted.bits() >> shift) as u32,
        inheritable: (caps.inheritable.bits() >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads the header and two data structures.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) }).map(drop)
}

/// prctl(2) with up to two numbers. Newer options require the unused arguments to be 0.
fn prctl(option: c_int, arg2: c_long, arg3: c_long) -> Result<c_int> {
    // SAFETY: the options used in this file take numbers only.
    Errno::result(unsafe { libc::prctl(option, arg2, arg3, 0 as c_long, 0 as c_long) })
}

/// PR_CAPBSET_READ; EINVAL if the kernel does not know this capability.
pub fn bounding_contains(number: u8) -> Result<bool> {
    prctl(libc::PR_CAPBSET_READ, number.into(), 0).map(|set| set == 1)
}

/// PR_CAPBSET_DROP; needs SETPCAP effective.
pub fn bounding_drop(number: u8) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, number.into(), 0).map(drop)
}

/// PR_CAP_AMBIENT_IS_SET; EINVAL if the kernel has no ambient set.
pub fn ambient_contains(number: u8) -> Result<bool> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET.into(), number.into()).map(|set| set == 1)
}

/// PR_CAP_AMBIENT_RAISE.
pub fn ambient_raise(number: u8) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE.into(), number.into()).map(drop)
}

/// PR_CAP_AMBIENT_CLEAR_ALL.
pub fn ambient_clear_all() -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL.into(), 0).map(drop)
}

/// PR_GET_SECUREBITS.
pub fn securebits() -> Result<u32> {
    prctl(libc::PR_GET_SECUREBITS, 0, 0).map(|bits| bits as u32)
}

/// PR_GET_SECCOMP: 0 means off, 2 means a filter.
pub fn seccomp() -> Result<u32> {
    prctl(libc::PR_GET_SECCOMP, 0, 0).map(|mode| mode as u32)
}

/// setresuid(2): sets all three ids.
pub fn setresuid(uid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// setresgid(2): sets all three ids.
pub fn setresgid(gid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// getgroups(2), in one call where nix makes two. The buffer starts with 4294967295, which is no valid id, so
/// a faked call is noticed.
pub fn getgroups() -> Result<Vec<u32>> {
    // 64 suffice for most processes, so that one call is enough. NGROUPS_MAX suffices for all.
    match getgroups_into(&mut [u32::MAX; 64]) {
        Err(Errno::EINVAL) => getgroups_into(&mut vec![u32::MAX; 65536]),
        result => result,
    }
}

fn getgroups_into(buffer: &mut [u32]) -> Result<Vec<u32>> {
    // SAFETY: at most `buffer.len()` ids are written.
    let count = Errno::result(unsafe { libc::getgroups(buffer.len() as c_int, buffer.as_mut_ptr()) })?;
    Ok(buffer[..count as usize].to_vec())
}

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    // SAFETY: reads `groups.len()` ids.
    Errno::result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capget_fills_both_halves() {
        let caps = capget().unwrap();
        for set in [caps.effective, caps.permitted, caps.inheritable] {
            assert_eq!(set.bits() >> 63, 0, "a bit of the buffer's first content is left");
        }
    }

    #[test]
    fn setting_what_is_already_there_changes_nothing_on_either_side_of_bit_32() {
        let before = capget().unwrap();
        capset(before).unwrap();
        assert_eq!(capget().unwrap(), before);
    }
}
