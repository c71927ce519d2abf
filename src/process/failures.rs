//! Words for calls that failed, or that reported success and did nothing. What was observed decides the hint,
//! and not errno alone.
//!
//! It decides nothing else.
#![forbid(unsafe_code)]

use std::fmt::Display;

use nix::errno::Errno;

use crate::hints;
use crate::model::error::{Exit, Refusal};
use crate::model::ids::listed;
use crate::plan::step::Step;

/// A step's call failed. `denies_setgroups`: this user namespace denies setgroups(2).
pub fn step_failed(step: &Step, errno: Errno, denies_setgroups: bool) -> Refusal {
    let unmapped = |what: String, file: &str| {
        let cause = format!("{step}: {errno}: {what} not mapped in this user namespace");
        Refusal::new(Exit::NotGranted, cause)
            .hint(format!("choose one that /proc/self/{file} lists"))
            .or("map it: Kubernetes: hostUsers: true; Docker/Podman: --userns host (rootless: list more ids in /etc/subuid and /etc/subgid)")
    };
    match (step, errno) {
        (Step::SetUid(uid), Errno::EINVAL) => unmapped(format!("uid {uid} is"), "uid_map"),
        (Step::SetGid(gid), Errno::EINVAL) => unmapped(format!("gid {gid} is"), "gid_map"),
        (Step::SetGroups(groups), Errno::EINVAL) => {
            unmapped(format!("one of {} is", listed(groups)), "gid_map")
        }
        (Step::SetGroups(_), Errno::EPERM) if denies_setgroups => {
            let cause = format!("{step}: {errno}: SETGID is held, but this user namespace denies setgroups");
            Refusal::new(Exit::NotGranted, cause).hint(
                "make the namespace with newuidmap and newgidmap, as Podman does where /etc/subuid and /etc/subgid list the user; \
                 or start the container as the node's root, without one",
            )
        }
        _ => call_failed(step, errno),
    }
}

/// The refusal for any error. An error that is no refusal is a call that failed with an errno.
pub fn refusal(error: anyhow::Error) -> Refusal {
    error.downcast().unwrap_or_else(|error| {
        let errno = error.downcast_ref().copied().unwrap_or(Errno::UnknownErrno);
        failed(format!("{error:#}"), errno)
    })
}

/// A call failed that needs no capability, or whose capabilities are held.
pub fn call_failed(call: impl Display, errno: Errno) -> Refusal {
    failed(format!("{call}: {errno}"), errno)
}

fn failed(cause: String, errno: Errno) -> Refusal {
    let refusal = Refusal::new(Exit::System, cause);
    match errno {
        Errno::EPERM | Errno::ENOSYS => refusal.hint(format!(
            "capshim holds every capability that the call needs, so a seccomp filter or security module forbids it: {}",
            hints::DEFAULT_PROFILE
        )),
        _ => refusal,
    }
}

/// fork(2) failed. Init mode needs one process more than a run without it.
pub fn fork_failed(errno: Errno) -> Refusal {
    let refusal = call_failed("fork", errno);
    match errno {
        Errno::EAGAIN => refusal.hint(
            "init mode needs one more process, so raise the limit: Kubernetes: podPidsLimit in the kubelet's configuration; \
             Docker/Podman: --pids-limit -1 --ulimit nproc=-1",
        ),
        _ => refusal,
    }
}

/// The credentials read back differ from the plan.
pub fn differs(differences: &[String]) -> Refusal {
    call_lied(format!("the credentials read back differ from the plan: {}", differences.join("; ")))
}

/// A call reported success and did nothing.
pub fn call_lied(cause: impl Into<String>) -> Refusal {
    Refusal::new(Exit::System, cause).hint(format!(
        "a seccomp filter or sandbox reports success for a call that it does not make: {}",
        hints::DEFAULT_PROFILE
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Gid, Id};

    #[test]
    fn a_gid_that_is_not_mapped_is_named() {
        // In a real start setgroups(2) fails first, because its list contains this gid.
        let refusal = step_failed(&Step::SetGid(Gid::new(70000).unwrap()), Errno::EINVAL, false);
        assert_eq!(refusal.exit, Exit::NotGranted);
        assert!(
            refusal.cause.ends_with(": gid 70000 is not mapped in this user namespace"),
            "{}",
            refusal.cause
        );
        assert!(refusal.ways[0].contains("/proc/self/gid_map"));
    }
}
