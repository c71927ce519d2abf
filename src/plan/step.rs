//! The steps of a plan, and why they come in this order.
//!
//! Pure: `process::apply` performs them.
#![forbid(unsafe_code)]

use std::fmt;

use crate::model::caps::{CapSet, ThreadCaps, name};
use crate::model::ids::{Gid, Uid, listed};

/// One step: one system call, except `ShareStdio`.
///
/// The kernel dictates the order:
///
/// * A start by file capabilities has them permitted but not effective. So effective comes first, or SETPCAP
///   and SETGID would not count.
/// * setresuid(2) away from 0 clears effective and ambient, and permitted too unless PR_SET_KEEPCAPS was set.
///   So all that needs SETGID or SETPCAP effective comes before it, and ambient after it.
/// * The stdio needs uid 0 and the new gid, so it comes between setresgid(2) and setresuid(2).
/// * Inheritable takes only what is permitted, and in the bounding set or inheritable already. So the
///   bounding set keeps the request.
/// * Ambient takes only what is permitted and inheritable, so capset(2) comes before ambient.
/// * no_new_privs hinders none of these and must hold at exec, so it is last.
///
/// Then everything is read back and compared (`process::apply`), and only then comes execve(2).
///
/// In init mode a fork(2) comes between, and a parent stays: `init` says where and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Effective = permitted; inheritable does not change.
    RaiseEffective(ThreadCaps),
    KeepCaps,
    SetGroups(Vec<Gid>),
    SetGid(Gid),
    /// Gives the application's group to the descriptors 0 to 2, if they are root's pipes or the application's
    /// own terminal. Otherwise it could not open /dev/stdout again. Not fatal.
    ShareStdio(Gid),
    DropBounding(u8),
    SetUid(Uid),
    /// Permitted = effective = inheritable = the request.
    SetCaps(CapSet),
    ClearAmbient,
    RaiseAmbient(u8),
    NoNewPrivs,
    /// The process that stays as init gets orphans even if it is not PID 1.
    Subreaper,
    /// The process's user owns its /proc/PID again.
    Dumpable,
}

/// The system call with its values.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Step::RaiseEffective(caps) => write!(f, "capset(effective = permitted = {})", caps.permitted),
            Step::KeepCaps => f.write_str("prctl(PR_SET_KEEPCAPS, 1)"),
            Step::SetGroups(groups) => write!(f, "setgroups({})", listed(groups)),
            Step::SetGid(gid) => write!(f, "setresgid({gid}, {gid}, {gid})"),
            Step::ShareStdio(gid) => write!(f, "fchown and fchmod of descriptors 0 to 2 for gid {gid}"),
            Step::DropBounding(cap) => write!(f, "prctl(PR_CAPBSET_DROP, {})", name(*cap)),
            Step::SetUid(uid) => write!(f, "setresuid({uid}, {uid}, {uid})"),
            Step::SetCaps(caps) => write!(f, "capset(permitted = effective = inheritable = {caps})"),
            Step::ClearAmbient => f.write_str("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)"),
            Step::RaiseAmbient(cap) => {
                write!(f, "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {})", name(*cap))
            }
            Step::NoNewPrivs => f.write_str("prctl(PR_SET_NO_NEW_PRIVS, 1)"),
            Step::Subreaper => f.write_str("prctl(PR_SET_CHILD_SUBREAPER, 1)"),
            Step::Dumpable => f.write_str("prctl(PR_SET_DUMPABLE, 1)"),
        }
    }
}
