//! The calls that change credentials, made for real and on the model: also those that fail.

use fastrand::Rng;
use nix::Result;
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::case::POOL;
use crate::kernel::{self, Ids, Process, Set};
use crate::perform::{capset, prctl};

#[derive(Clone, Debug)]
pub enum Call {
    /// Effective, permitted, inheritable.
    Capset(Set, Set, Set),
    KeepCaps,
    DropBounding(u8),
    ClearAmbient,
    RaiseAmbient(u8),
    SetGroups(Vec<u32>),
    SetResGid(Ids),
    SetResUid(Ids),
    NoNewPrivs,
}

impl Call {
    /// One that often succeeds for such a process.
    pub fn random(random: &mut Rng, now: &Process) -> Call {
        let cap = *random.choice(&POOL).unwrap_or(&0);
        // 70000 is not mapped in the user namespace.
        let mut id = || *random.choice(&[0, 0, 1000, 1000, 4242, 70000]).unwrap_or(&0);
        let ids = Ids { real: id(), effective: id(), saved: id() };
        let some: Set = POOL.iter().filter(|_| random.u8(0..4) == 0).map(|cap| 1 << cap).sum();
        match random.u8(0..12) {
            0 => Call::Capset(now.permitted, now.permitted, now.inheritable),
            1 => Call::Capset(now.permitted & !some, now.permitted & !some, now.permitted),
            2 => Call::Capset(now.effective, now.permitted, now.inheritable ^ some),
            3 => Call::Capset(now.permitted ^ some, now.permitted, now.inheritable),
            4 => Call::Capset(now.effective & some, now.permitted ^ some, now.inheritable & some),
            5 => Call::KeepCaps,
            6 => Call::DropBounding(cap),
            7 if random.bool() => Call::ClearAmbient,
            7 | 8 => Call::RaiseAmbient(cap),
            9 if random.bool() => Call::SetGroups(vec![ids.real, ids.saved]),
            9 => Call::SetResGid(ids),
            10 if random.u8(0..3) == 0 => Call::NoNewPrivs,
            10 => Call::SetResUid(Ids::all(ids.real)),
            _ => Call::SetResUid(ids),
        }
    }

    pub fn make(&self) -> Result<()> {
        let ambient = |operation: i32, cap: u8| prctl(libc::PR_CAP_AMBIENT, operation as u64, cap.into());
        match self {
            Call::Capset(effective, permitted, inheritable) => capset(*effective, *permitted, *inheritable),
            Call::KeepCaps => prctl(libc::PR_SET_KEEPCAPS, 1, 0),
            Call::DropBounding(cap) => prctl(libc::PR_CAPBSET_DROP, (*cap).into(), 0),
            Call::ClearAmbient => ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0),
            Call::RaiseAmbient(cap) => ambient(libc::PR_CAP_AMBIENT_RAISE, *cap),
            Call::SetGroups(groups) => {
                setgroups(&groups.iter().copied().map(Gid::from_raw).collect::<Vec<_>>())
            }
            Call::SetResGid(ids) => {
                let [real, effective, saved] = [ids.real, ids.effective, ids.saved].map(Gid::from_raw);
                setresgid(real, effective, saved)
            }
            Call::SetResUid(ids) => {
                let [real, effective, saved] = [ids.real, ids.effective, ids.saved].map(Uid::from_raw);
                setresuid(real, effective, saved)
            }
            Call::NoNewPrivs => prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0),
        }
    }

    pub fn on_model(&self, process: &mut Process) -> Result<()> {
        let done = match self {
            Call::Capset(effective, permitted, inheritable) => {
                process.capset(*effective, *permitted, *inheritable)
            }
            Call::KeepCaps => process.keep_caps(),
            Call::DropBounding(cap) => process.drop_bounding(1 << cap),
            Call::ClearAmbient => process.clear_ambient(),
            Call::RaiseAmbient(cap) => process.raise_ambient(1 << cap),
            Call::SetGroups(groups) => process.setgroups(groups),
            Call::SetResGid(ids) => process.setresgid(*ids),
            Call::SetResUid(ids) => process.setresuid(*ids),
            Call::NoNewPrivs => process.set_no_new_privs(),
        };
        done.map_err(|error| match error {
            kernel::Error::Eperm => Errno::EPERM,
            kernel::Error::Einval => Errno::EINVAL,
        })
    }
}
