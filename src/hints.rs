//! What to type after a refusal, in Kubernetes and in Docker or Podman.
//!
//! Pure. The caller chooses the remedy; this module only words it.
//!
//! If the tools differ, a hint has both: `Kubernetes: ...; Docker/Podman: ...`. Tests type what a hint says.
#![forbid(unsafe_code)]

use crate::model::caps::{Cap, CapSet};
use crate::model::credentials::{Credentials, Place};
use crate::model::error::shown;
use crate::model::ids::{Gid, Uid};
use crate::settings::{arguments, names};

/// The path of capshim in its own images.
const INSTALLER: &str = "/capshim";

/// A longer list of groups is not written out.
const MOST_GROUPS: usize = 16;

/// Removes a custom seccomp filter.
pub const DEFAULT_PROFILE: &str = "use the runtime's default profile: Kubernetes: securityContext.seccompProfile.type: RuntimeDefault; \
     Docker/Podman: leave out --security-opt seccomp=FILE";

/// Runs the container on the node's own kernel.
pub const WITHOUT_SANDBOX: &str =
    "without that sandbox: Kubernetes: runtimeClassName; Docker/Podman: --runtime";

/// Grants these capabilities.
pub fn grant(caps: CapSet) -> String {
    let first = caps.names().next().unwrap_or_default();
    format!(
        "Kubernetes: {} (without CAP_: containerd takes CAP_{first} for an unknown capability and does not say so); Docker/Podman: {}",
        pod_field(caps),
        flags(caps)
    )
}

/// Grants exactly these capabilities.
pub fn grant_only(caps: CapSet) -> String {
    let (kubernetes, flag) =
        ("Kubernetes: securityContext.capabilities.drop: [\"ALL\"]", "Docker/Podman: --cap-drop ALL");
    if caps.is_empty() {
        format!("{kubernetes}; {flag}")
    } else {
        format!("{kubernetes} and {}; {flag} {}", pod_field(caps), flags(caps))
    }
}

/// Starts as root with these capabilities. `uid` is the user of the present start.
pub fn grant_to_root(caps: CapSet, uid: Uid) -> String {
    let in_dockerfile = "in a Dockerfile: USER 0 before it";
    match (uid == Uid::ROOT, caps.is_empty()) {
        (true, _) => grant(caps),
        (false, true) => {
            format!(
                "Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false; Docker/Podman: --user 0; {in_dockerfile}"
            )
        }
        (false, false) => format!(
            "Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false and {}; Docker/Podman: --user 0 {}; {in_dockerfile}",
            pod_field(caps),
            flags(caps)
        ),
    }
}

/// Two ways for a non-root start to get these capabilities. `user` is what a start as root sets to become the
/// same user.
pub fn non_root_start(caps: CapSet, start: &Credentials, user: &str) -> [String; 2] {
    let path = this_program(start);
    let on_file = match start.own_file.as_ref().map(|file| file.place) {
        Some(Place::Volume) => format!(
            "put them on the file where the volume is filled, as in an init container: {}",
            own_file_caps(caps, INSTALLER, &path)
        ),
        Some(Place::ImageVolume) => format!(
            "put them on the file as the image of its volume is built: {}",
            own_file_caps(caps, INSTALLER, INSTALLER)
        ),
        Some(Place::Image) | None => {
            format!("put them on the file as the image is built: {}", own_file_caps(caps, &path, &path))
        }
    };
    let all = caps | CapSet::of(&[Cap::CAP_SETUID, Cap::CAP_SETGID]);
    let as_root = format!(
        "start as root with {}={user}: Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false and {}; Docker/Podman: --user 0 {}",
        names::USER,
        pod_field(all),
        flags(all),
    );
    [on_file, as_root]
}

/// Removes this setting.
pub fn leave_out(setting: &str) -> String {
    format!("leave {setting} out")
}

/// The list as `CAPSHIM_CAPS` and `--file-caps` take it.
pub fn list(caps: CapSet) -> String {
    caps.names().collect::<Vec<_>>().join(",").to_ascii_lowercase()
}

/// Gives this program's file these capabilities: by `--install` if that accepts them, or by setcap(8).
fn own_file_caps(caps: CapSet, installer: &str, path: &str) -> String {
    let setcap = file_caps(caps, path);
    if (caps & arguments::NEVER_ON_A_FILE).is_empty() {
        format!("{installer} --install {path} --file-caps {} (or {setcap})", list(caps))
    } else {
        setcap
    }
}

/// The setcap(8) command that gives a file exactly these capabilities.
pub fn file_caps(caps: CapSet, path: &str) -> String {
    let names: Vec<String> = caps.names().map(|name| format!("cap_{}", name.to_ascii_lowercase())).collect();
    if names.is_empty() {
        format!("setcap -r {path}")
    } else {
        format!("setcap {}=p {path}", names.join(","))
    }
}

/// Lets the runtime give these groups.
pub fn runtime_groups(groups: &[Gid]) -> String {
    let gids = || groups.iter().map(Gid::to_string).collect::<Vec<_>>();
    match groups.len() {
        0 => "give none: Kubernetes: no fsGroup and no supplementalGroups in the pod's securityContext; \
              Docker/Podman: no --group-add"
            .to_owned(),
        1..=MOST_GROUPS => format!(
            "give them: Kubernetes: the pod's securityContext.supplementalGroups: [{}]; Docker/Podman: --group-add {}",
            gids().join(", "),
            gids().join(" --group-add ")
        ),
        _ => {
            "give them: Kubernetes: the pod's securityContext.supplementalGroups; Docker/Podman: --group-add"
                .to_owned()
        }
    }
}

/// The setting that lists these groups, at most `MOST_GROUPS`.
pub fn group_list(groups: &[Gid]) -> String {
    let list: Vec<String> = groups.iter().take(MOST_GROUPS).map(|gid| gid.to_string()).collect();
    if list.is_empty() {
        format!("{}=none", names::GROUPS)
    } else {
        format!("{}={}", names::GROUPS, list.join(","))
    }
}

/// Mounts this folder without nosuid, as a volume that keeps its files.
pub fn without_nosuid(folder: &str) -> String {
    format!(
        "mount its folder without nosuid, and put it there again: Kubernetes: an emptyDir; Docker/Podman: a named volume, \
         -v NAME:{folder} (under Podman -v NAME:{folder}:suid)"
    )
}

/// The path of this program's file, for a message.
pub fn this_program(start: &Credentials) -> String {
    start.own_file.as_ref().map_or("capshim".into(), |file| shown(&file.path))
}

fn pod_field(caps: CapSet) -> String {
    let names: Vec<String> = caps.names().map(|name| format!("\"{name}\"")).collect();
    format!("securityContext.capabilities.add: [{}]", names.join(", "))
}

/// The options of `docker run` or `podman run` that grant these capabilities.
pub fn flags(caps: CapSet) -> String {
    caps.names().map(|name| format!("--cap-add {name}")).collect::<Vec<_>>().join(" ")
}
