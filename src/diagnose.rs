//! What to change: the cause and the cure of a refusal, chosen from what was observed and
//! not from errno alone.
//!
//! Pure.
#![forbid(unsafe_code)]

use nix::errno::Errno;

use crate::capset::{Cap, CapSet};
use crate::config::{self, Config};
use crate::credentials::{Credentials, Securebits};
use crate::error::{Exit, Refusal, shown};
use crate::identity::{Gid, Uid};
use crate::plan::{Step, listed};

/// Started as root without `CAPSHIM_USER`.
pub fn no_user() -> Refusal {
    Refusal::new(Exit::Setting, "started as root and CAPSHIM_USER is not set").hint(
        "set CAPSHIM_USER=app (or uid:gid) in the pod's env: or with docker run -e; CAPSHIM_USER=root stays root on purpose",
    )
}

/// `CAPSHIM_NO_NEW_PRIVS=0`, but it is on and cannot be turned off.
pub fn no_new_privs_is_on() -> Refusal {
    Refusal::new(
        Exit::NotGranted,
        format!(
            "{}='0' cannot be had: the runtime has set no_new_privs for this container",
            config::NO_NEW_PRIVS
        ),
    )
    .hint(
        "Kubernetes: securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt \
         no-new-privileges; or leave CAPSHIM_NO_NEW_PRIVS out",
    )
}

/// Requested capabilities, or the means of a change to these ids, are not permitted.
pub fn lacking(
    lacking: CapSet,
    required: CapSet,
    means: CapSet,
    (uid, gid): (Uid, Gid),
    config: &Config,
    start: &Credentials,
) -> Refusal {
    if start.uid.effective == uid && !(lacking & means).is_empty() {
        return change_without_switch(gid, config, start);
    }
    let ungranted = lacking - start.bounding.unwrap_or_default();
    match start.uid.effective == Uid::ROOT {
        true if ungranted.is_empty() => given_up(lacking, start.securebits),
        true => {
            let purpose = match (ungranted & means).is_empty() {
                true => String::new(),
                false => format!(" ({} to become uid {uid})", ungranted & means),
            };
            not_granted(&format!("{ungranted}{purpose}")).hint(grant(required | means))
        }
        false => non_root_lacking(lacking, ungranted, required, start),
    }
}

/// A start as another user than root: its capabilities can come only from this program's file.
fn non_root_lacking(lacking: CapSet, ungranted: CapSet, required: CapSet, start: &Credentials) -> Refusal {
    let own = start.own_file.as_ref();
    let path = own.map_or("capshim".into(), |file| shown(&file.path));
    let carries = lacking.is_subset_of(start.carried());
    let uid = start.uid.effective;
    if !ungranted.is_empty() {
        let also = match carries {
            true => String::new(),
            false => format!(
                "; then, for a start as uid {uid}, {}",
                means_of_non_root_start(required, &path, start)
            ),
        };
        return not_granted(&ungranted.to_string()).hint(grant(required) + &also);
    }
    let because = |cause: String| {
        Refusal::new(Exit::NotGranted, format!("in the bounding set but not permitted: {lacking}; {cause}"))
    };
    if !carries {
        return because(format!(
            "the container was started as uid {uid} and {path} has no such file capabilities"
        ))
        .hint(means_of_non_root_start(required, &path, start));
    }
    if own.is_some_and(|file| file.nosuid) {
        return because(format!("{path} is on a nosuid mount, where they do not count"))
            .hint("put the program on a mount without nosuid");
    }
    if start.no_new_privs {
        return because(format!(
            "{path} has them, but with no_new_privs on they count only in the container's first program, and another one ran before"
        ))
        .hint(format!(
            "make {path} the first word of the container's command, without sh -c before it; or Kubernetes: \
             securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt no-new-privileges"
        ));
    }
    because(format!(
        "{path} has them, but the kernel did not apply them: they belong to another user namespace"
    ))
    .hint(format!(
        "write them again from inside this user namespace: setcap {}=p {path}",
        file_words(required)
    ))
}

fn not_granted(what: &str) -> Refusal {
    Refusal::new(Exit::NotGranted, format!("not granted to this container, not in its bounding set: {what}"))
}

/// Two ways to a capability for a user who is not root.
fn means_of_non_root_start(required: CapSet, path: &str, start: &Credentials) -> String {
    let all = required | CapSet::of(&[Cap::CAP_SETUID, Cap::CAP_SETGID]);
    let (uid, gid) = (start.uid.effective, start.gid.effective);
    format!(
        "put them on the file when the image is built: setcap {}=p {path}; or start as root with {}={uid}:{gid}: Kubernetes: \
         securityContext.runAsUser: 0 and {}; Docker/Podman: --user 0 {}",
        file_words(required),
        config::USER,
        pod_field(all),
        flags(all),
    )
}

/// As setcap(8) wants them.
pub fn file_words(caps: CapSet) -> String {
    caps.names().map(|name| format!("cap_{}", name.to_lowercase())).collect::<Vec<_>>().join(",")
}

/// Groups or gid are to change, but not the user, and SETGID is missing.
fn change_without_switch(gid: Gid, config: &Config, start: &Credentials) -> Refusal {
    let (uid, now) = (start.uid.effective, start.gid.effective);
    let refusal = |cause: String| Refusal::new(Exit::NotGranted, format!("{cause}, which needs SETGID"));
    if gid != now {
        let user = config.user.as_ref().map_or(String::new(), |user| user.to_string());
        return refusal(format!("{}='{user}' changes gid {now} of a start as uid {uid} to {gid}", config::USER)).hint(format!(
            "Kubernetes: securityContext.runAsGroup: {gid}; Docker/Podman: --user {uid}:{gid}; or write {}={uid}:{now}",
            config::USER
        ));
    }
    let policy = shown(config.groups.to_string().as_bytes());
    refusal(format!("{}='{policy}' changes the groups of a start as uid {uid}", config::GROUPS)).hint(
        "leave CAPSHIM_GROUPS out and let the runtime set them: Kubernetes: securityContext.fsGroup, supplementalGroups; \
         Docker/Podman: --group-add",
    )
}

/// Root has it in the bounding set but not permitted.
fn given_up(lacking: CapSet, securebits: Securebits) -> Refusal {
    let (cause, hint) = match securebits.has(Securebits::NOROOT) {
        true => ("securebits has SECBIT_NOROOT", WITHOUT_SECUREBIT),
        false => (
            "a program that ran before has given it up",
            "make capshim the first word of the container's command",
        ),
    };
    Refusal::new(
        Exit::NotGranted,
        format!("in the bounding set but not permitted: {lacking}; started as root, but {cause}"),
    )
    .hint(hint)
}

const WITHOUT_SECUREBIT: &str =
    "start the container without that securebit; nothing inside it can take it back";

/// The ambient set cannot take what is asked for.
pub fn no_ambient(wanted: CapSet, start: &Credentials) -> Refusal {
    if !start.has_ambient {
        return Refusal::new(
            Exit::NotGranted,
            format!("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET): EINVAL: this kernel or sandbox has no ambient capabilities, by which {wanted} would be kept"),
        )
        .hint("run on a node with Linux 4.3 or newer, or with a runtime class whose sandbox has them");
    }
    Refusal::new(
        Exit::NotGranted,
        format!(
            "securebits {:#x} has SECBIT_NO_CAP_AMBIENT_RAISE: ambient cannot take {wanted}",
            start.securebits.0
        ),
    )
    .hint(WITHOUT_SECUREBIT)
}

/// Permitted cannot survive the change of uid.
pub fn keepcaps_locked(request: CapSet, securebits: Securebits) -> Refusal {
    Refusal::new(
        Exit::NotGranted,
        format!(
            "securebits {:#x} has SECBIT_KEEP_CAPS_LOCKED: {request} cannot be kept in a change of user",
            securebits.0
        ),
    )
    .hint(WITHOUT_SECUREBIT)
}

/// Root without no_new_privs gets the whole bounding set again at exec.
pub fn root_would_regain(more: CapSet, request: CapSet) -> Refusal {
    Refusal::new(
        Exit::Setting,
        format!(
            "{}='0' would give root the whole bounding set at exec, which has {more} beyond CAPSHIM_CAPS",
            config::NO_NEW_PRIVS
        ),
    )
    .hint(format!(
        "leave {} out; or grant no more than is asked for: {}",
        config::NO_NEW_PRIVS,
        grant_only(request)
    ))
}

/// This program's file carries more than the request, and could be executed again.
pub fn file_would_regain(more: CapSet) -> Refusal {
    Refusal::new(
        Exit::Setting,
        format!("{}='0' would let the application run this program again and take {more} from its file capabilities", config::NO_NEW_PRIVS),
    )
    .hint(format!("leave {} at 1, or give the file no more than {} asks for", config::NO_NEW_PRIVS, config::CAPS))
}

/// A step's call failed. `denies_setgroups` is what this user namespace says.
pub fn step_failed(step: &Step, errno: Errno, denies_setgroups: bool) -> Refusal {
    let call = format!("{step}: {errno}");
    let unmapped = |what: String, file: &str, flag: &str| {
        let hint = format!(
            "choose one that /proc/self/{file} lists, or map it: Kubernetes: hostUsers: true; Podman: {flag} or --userns"
        );
        Refusal::new(Exit::NotGranted, format!("{call}: {what} not mapped in this user namespace")).hint(hint)
    };
    match (step, errno) {
        (Step::SetUid(uid), Errno::EINVAL) => unmapped(format!("uid {uid} is"), "uid_map", "--uidmap"),
        (Step::SetGid(gid), Errno::EINVAL) => unmapped(format!("gid {gid} is"), "gid_map", "--gidmap"),
        (Step::SetGroups(groups), Errno::EINVAL) => {
            unmapped(format!("one of {} is", listed(groups)), "gid_map", "--gidmap")
        }
        (Step::SetGroups(_), Errno::EPERM) if denies_setgroups => {
            Refusal::new(Exit::NotGranted, format!("{call}: SETGID is held, but this user namespace denies setgroups"))
                .hint("make the namespace with newuidmap and newgidmap (Podman does where /etc/subgid lists the user), or start it as root")
        }
        (_, Errno::EPERM) => Refusal::new(Exit::System, call).hint(
            "everything that it needs is held: a seccomp filter or security module forbids the call; try the runtime's default profile",
        ),
        _ => Refusal::new(Exit::System, call),
    }
}

/// The credentials read back are not the planned ones.
pub fn differs(differences: &[String]) -> Refusal {
    Refusal::new(
        Exit::System,
        format!("the credentials read back differ from the plan: {}", differences.join("; ")),
    )
    .hint(LIES)
}

/// A call that succeeded and changed nothing.
pub const LIES: &str = "a sandbox or seccomp filter may report success for calls that it does not make: try the node's default runtime and profile";

/// A start as root with these capabilities, for one that was started as this user.
pub fn grant_to_root(caps: CapSet, uid: Uid) -> String {
    let in_dockerfile = "in a Dockerfile: USER 0 before it";
    match (uid == Uid::ROOT, caps.is_empty()) {
        (true, _) => grant(caps),
        (false, true) => {
            format!("Kubernetes: securityContext.runAsUser: 0; Docker/Podman: --user 0; {in_dockerfile}")
        }
        (false, false) => format!(
            "Kubernetes: securityContext.runAsUser: 0 and {}; Docker/Podman: --user 0 {}; {in_dockerfile}",
            pod_field(caps),
            flags(caps)
        ),
    }
}

fn grant(caps: CapSet) -> String {
    let first = caps.names().next().unwrap_or_default();
    format!(
        "Kubernetes: {} (without CAP_: containerd takes CAP_{first} for an unknown capability and does not say so); Docker/Podman: {}",
        pod_field(caps),
        flags(caps)
    )
}

fn grant_only(caps: CapSet) -> String {
    let (kubernetes, flag) =
        ("Kubernetes: securityContext.capabilities.drop: [\"ALL\"]", "Docker/Podman: --cap-drop ALL");
    match caps.is_empty() {
        true => format!("{kubernetes}; {flag}"),
        false => format!("{kubernetes} and {}; {flag} {}", pod_field(caps), flags(caps)),
    }
}

fn pod_field(caps: CapSet) -> String {
    let names: Vec<String> = caps.names().map(|name| format!("\"{name}\"")).collect();
    format!("securityContext.capabilities.add: [{}]", names.join(", "))
}

fn flags(caps: CapSet) -> String {
    caps.names().map(|name| format!("--cap-add {name}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Id;

    #[test]
    fn a_gid_that_is_not_mapped_is_named() {
        // In a real start setgroups, whose list has the gid, comes first and fails.
        let refusal = step_failed(&Step::SetGid(Gid::new(70000).unwrap()), Errno::EINVAL, false);
        assert_eq!(refusal.exit, Exit::NotGranted);
        assert!(
            refusal.cause.ends_with(": gid 70000 is not mapped in this user namespace"),
            "{}",
            refusal.cause
        );
        assert!(refusal.hint.unwrap().contains("/proc/self/gid_map"));
    }
}
