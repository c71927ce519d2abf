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
use crate::file_caps::{After, Before, FileCaps};
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

/// Requested capabilities, or the means of a change of ids, are not in the permitted set.
pub fn lacking(
    lacking: CapSet,
    required: CapSet,
    means: CapSet,
    uid: Uid,
    config: &Config,
    start: &Credentials,
) -> Refusal {
    let bounding = start.bounding.unwrap_or_default();
    let switches = start.uid.effective != uid;
    if !switches && (lacking & required).is_empty() {
        return change_without_switch(config, start);
    }
    let ungranted = lacking - bounding;
    if start.uid.effective == Uid::ROOT {
        if ungranted.is_empty() {
            return given_up(lacking, start.securebits);
        }
        let purpose = match (ungranted & means).is_empty() {
            true => String::new(),
            false => format!(" ({} to become uid {uid})", ungranted & means),
        };
        return Refusal::new(
            Exit::NotGranted,
            format!("not granted to this container, not in its bounding set: {ungranted}{purpose}"),
        )
        .hint(grant(required | means));
    }
    let own = start.own_file.as_ref();
    let carried = own.and_then(|file| file.caps).map_or(CapSet::EMPTY, |caps| caps.permitted);
    let path = own.map_or("capshim".into(), |file| shown(&file.path));
    if !ungranted.is_empty() {
        let also = match lacking.is_subset_of(carried) {
            true => String::new(),
            false => format!(
                "; then, for a start as uid {}, {}",
                start.uid.effective,
                means_of_non_root_start(required, &path, start)
            ),
        };
        return Refusal::new(
            Exit::NotGranted,
            format!("not granted to this container, not in its bounding set: {ungranted}"),
        )
        .hint(grant(required) + &also);
    }
    let in_bounding = format!("in the bounding set but not permitted: {lacking}");
    if !lacking.is_subset_of(carried) {
        let cause = format!(
            "{in_bounding}; the container was started as uid {} and {path} has no such file capabilities",
            start.uid.effective
        );
        return Refusal::new(Exit::NotGranted, cause).hint(means_of_non_root_start(required, &path, start));
    }
    let (cause, hint) = match own {
        Some(file) if file.nosuid => (
            "is on a nosuid mount, where they do not count",
            "put the program on a mount without nosuid".to_string(),
        ),
        _ if start.no_new_privs => (
            "has them, but with no_new_privs on they count only in the container's first program, and another one ran before",
            format!(
                "make {path} the first word of the container's command, without sh -c before it; or Kubernetes: \
                 securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt no-new-privileges"
            ),
        ),
        _ => (
            "has them, but the kernel did not apply them",
            "write them again inside this user namespace: setcap, or a build of the image there".to_string(),
        ),
    };
    Refusal::new(Exit::NotGranted, format!("{in_bounding}; {path} {cause}")).hint(hint)
}

/// Two ways to a capability for a user who is not root.
fn means_of_non_root_start(required: CapSet, path: &str, start: &Credentials) -> String {
    let names: Vec<String> = required.names().map(|name| format!("cap_{}", name.to_lowercase())).collect();
    let all = required | CapSet::of(&[Cap::CAP_SETUID, Cap::CAP_SETGID]);
    let (uid, gid) = (start.uid.effective, start.gid.effective);
    format!(
        "put them on the file when the image is built: setcap {}=p {path}; or start as root with {}={uid}:{gid}: Kubernetes: \
         securityContext.runAsUser: 0 and {}; Docker/Podman: --user 0 {}",
        names.join(","),
        config::USER,
        pod_field(all),
        flags(all),
    )
}

/// Groups or gid are to change, but not the user, and SETGID is missing.
fn change_without_switch(config: &Config, start: &Credentials) -> Refusal {
    let user = config.user.as_ref().map_or("unset".to_string(), |user| format!("'{user}'"));
    Refusal::new(
        Exit::NotGranted,
        format!(
            "{}='{}' with {}={user} changes the groups of a start as uid {} gid {}, which needs SETGID",
            config::GROUPS,
            shown(config.groups.to_string().as_bytes()),
            config::USER,
            start.uid.effective,
            start.gid.effective
        ),
    )
    .hint(
        "leave CAPSHIM_GROUPS out and let the runtime set them: Kubernetes: securityContext.runAsGroup, fsGroup, supplementalGroups; \
         Docker/Podman: --user uid:gid --group-add",
    )
}

/// Root has it in the bounding set but not permitted.
fn given_up(lacking: CapSet, securebits: Securebits) -> Refusal {
    let cause = match securebits.has(Securebits::NOROOT) {
        true => "securebits has SECBIT_NOROOT",
        false => "a program that ran before has given it up",
    };
    Refusal::new(
        Exit::NotGranted,
        format!("in the bounding set but not permitted: {lacking}; started as root, but {cause}"),
    )
    .hint("make capshim the first word of the container's command")
}

/// The ambient set cannot take what is asked for.
pub fn no_ambient(wanted: CapSet, start: &Credentials) -> Refusal {
    if !start.has_ambient {
        return Refusal::new(
            Exit::NotGranted,
            format!("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {wanted}): EINVAL: this kernel or sandbox has no ambient capabilities"),
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
    .hint("start the container without that securebit; nothing inside it can take it back")
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
    .hint("start the container without that securebit; nothing inside it can take it back")
}

/// Root without no_new_privs gets the whole bounding set again at exec.
pub fn root_would_regain(more: CapSet, request: CapSet) -> Refusal {
    Refusal::new(
        Exit::Setting,
        format!("{}='0' would give root the whole bounding set at exec, which has {more} beyond CAPSHIM_CAPS", config::NO_NEW_PRIVS),
    )
    .hint(format!("leave {} out; or grant no more than is asked for: Kubernetes: capabilities.drop: [\"ALL\"] and {}; Docker/Podman: --cap-drop ALL {}",
        config::NO_NEW_PRIVS, pod_field(request), flags(request)))
}

/// The command's file has the effective bit and capabilities that it cannot get.
pub fn file_demands(name: &str, caps: FileCaps, bounding: CapSet) -> Refusal {
    let lacking = caps.permitted - bounding;
    let cause = format!(
        "{name}: its file capabilities demand {lacking}, not granted to this container, so it cannot be executed"
    );
    Refusal::new(Exit::CannotExecute, cause).hint(without_file_capabilities(name))
}

/// The command's file would leave the application with more or less than was asked.
pub fn file_differs(name: &str, caps: FileCaps, after: &After, request: CapSet) -> Refusal {
    let cause = format!(
        "{name}: its file capabilities would leave the application permitted {} and effective {}, and {} asks for {request}",
        after.permitted,
        after.effective,
        config::CAPS
    );
    let instead = match caps.effective && !caps.permitted.is_empty() {
        true => format!(
            "; or ask for what the file gives: {}={}",
            config::CAPS,
            caps.permitted.to_string().replace(", ", ",").to_lowercase()
        ),
        false => String::new(),
    };
    Refusal::new(Exit::CannotExecute, cause).hint(without_file_capabilities(name) + &instead)
}

/// The command's set-id bits would change an id.
pub fn file_changes_ids(name: &str, before: &Before, uid: Uid, gid: Gid) -> Refusal {
    let cause = format!(
        "{name}: with {}=0 its set-id bits would change uid {} gid {} to uid {} gid {}",
        config::NO_NEW_PRIVS,
        before.uid,
        before.gid,
        uid,
        gid
    );
    Refusal::new(Exit::CannotExecute, cause).hint(format!(
        "remove the bits: chmod u-s,g-s {name}; or leave {} out: they do not count then",
        config::NO_NEW_PRIVS
    ))
}

/// The kernel refuses to execute the command's file, with EINVAL.
pub fn malformed_attribute(name: &str) -> Refusal {
    let cause = format!("{name}: its security.capability attribute is malformed, so it cannot be executed");
    Refusal::new(Exit::CannotExecute, cause).hint(without_file_capabilities(name))
}

fn without_file_capabilities(name: &str) -> String {
    format!("remove them when the image is built, capshim gives the capabilities instead: setcap -r {name}")
}

/// A step's call failed.
pub fn step_failed(step: &Step, errno: Errno, start: &Credentials) -> Refusal {
    let holds_setgid = start.permitted.contains(Cap::CAP_SETGID);
    let call = format!("{step}: {errno}");
    let unmapped = |what: &str, hint: &str| {
        Refusal::new(Exit::NotGranted, format!("{call}: {what} not mapped in this user namespace")).hint(hint)
    };
    match (step, errno) {
        (Step::SetUid(uid), Errno::EINVAL) => unmapped(
            &format!("uid {uid} is"),
            "choose a uid that /proc/self/uid_map lists, or map it: Kubernetes: hostUsers: true; Podman: --uidmap or --userns",
        ),
        (Step::SetGid(gid), Errno::EINVAL) => unmapped(
            &format!("gid {gid} is"),
            "choose a gid that /proc/self/gid_map lists, or map it: Kubernetes: hostUsers: true; Podman: --gidmap or --userns",
        ),
        (Step::SetGroups(groups), Errno::EINVAL) => unmapped(
            &format!("one of {} is", shown(listed(groups).as_bytes())),
            "choose gids that /proc/self/gid_map lists, or map them: Kubernetes: hostUsers: true; Podman: --gidmap or --userns",
        ),
        (Step::SetGroups(_), Errno::EPERM) if holds_setgid => {
            Refusal::new(Exit::NotGranted, format!("{call}: SETGID is held, but this user namespace denies setgroups"))
                .hint("make the namespace with newuidmap and newgidmap (Podman does where /etc/subgid lists the user), or start it as root")
        }
        _ => Refusal::new(Exit::System, call),
    }
}

/// The credentials read back are not the planned ones.
pub fn differs(differences: &[String]) -> Refusal {
    Refusal::new(Exit::System, format!("the credentials read back differ from the plan: {}", differences.join("; ")))
        .hint("a sandbox or seccomp filter may report success for calls that it does not make: try the node's default runtime and profile")
}

fn grant(caps: CapSet) -> String {
    let first = caps.names().next().unwrap_or_default();
    format!(
        "Kubernetes: {} (without CAP_: containerd takes CAP_{first} for an unknown capability and does not say so); Docker/Podman: {}",
        pod_field(caps),
        flags(caps)
    )
}

fn pod_field(caps: CapSet) -> String {
    let names: Vec<String> = caps.names().map(|name| format!("\"{name}\"")).collect();
    format!("securityContext.capabilities.add: [{}]", names.join(", "))
}

fn flags(caps: CapSet) -> String {
    caps.names().map(|name| format!("--cap-add {name}")).collect::<Vec<_>>().join(" ")
}
