//! The words to type in a hint, for Kubernetes and for Docker or Podman.
//!
//! Pure. It does not choose between ways.
//!
//! Where a way differs by who starts the container, it has both, `Kubernetes: ...; Docker/Podman: ...`;
//! the rest of it is for either. The tests type what stands there.
#![forbid(unsafe_code)]

use crate::model::caps::{Cap, CapSet};
use crate::model::credentials::{Credentials, Place};
use crate::model::error::shown;
use crate::model::ids::{Gid, Uid};
use crate::settings::{arguments, names};

/// Where images of capshim have it.
const INSTALLER: &str = "/capshim";

/// No more groups than this are written out.
const MOST_GROUPS: usize = 16;

/// Without the seccomp filter that is in the way.
pub const DEFAULT_PROFILE: &str = "use the runtime's default profile: Kubernetes: securityContext.seccompProfile.type: RuntimeDefault; \
     Docker/Podman: leave out --security-opt seccomp=FILE";

/// On the node's own kernel.
pub const WITHOUT_SANDBOX: &str =
    "without that sandbox: Kubernetes: runtimeClassName; Docker/Podman: --runtime";

/// To grant these.
pub fn grant(caps: CapSet) -> String {
    let first = caps.names().next().unwrap_or_default();
    format!(
        "Kubernetes: {} (without CAP_: containerd takes CAP_{first} for an unknown capability and does not say so); Docker/Podman: {}",
        pod_field(caps),
        flags(caps)
    )
}

/// To grant these and nothing else.
pub fn grant_only(caps: CapSet) -> String {
    let (kubernetes, flag) =
        ("Kubernetes: securityContext.capabilities.drop: [\"ALL\"]", "Docker/Podman: --cap-drop ALL");
    if caps.is_empty() {
        format!("{kubernetes}; {flag}")
    } else {
        format!("{kubernetes} and {}; {flag} {}", pod_field(caps), flags(caps))
    }
}

/// A start as root with these, for one that was started as this user.
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

/// Two ways to these for a user who is not root.
pub fn non_root_start(caps: CapSet, start: &Credentials) -> [String; 2] {
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
        "start as root with {}={}:{}: Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false and {}; Docker/Podman: --user 0 {}",
        names::USER,
        start.uid.effective,
        start.gid.effective,
        pod_field(all),
        flags(all),
    );
    [on_file, as_root]
}

/// Without this setting.
pub fn leave_out(setting: &str) -> String {
    format!("leave {setting} out")
}

/// As `CAPSHIM_CAPS` and `--file-caps` take them.
pub fn list(caps: CapSet) -> String {
    caps.names().collect::<Vec<_>>().join(",").to_ascii_lowercase()
}

/// To give this program's file these, without setcap(8) where `--install` takes them.
fn own_file_caps(caps: CapSet, installer: &str, path: &str) -> String {
    let setcap = file_caps(caps, path);
    if (caps & arguments::NEVER_ON_A_FILE).is_empty() {
        format!("{installer} --install {path} --file-caps {} (or {setcap})", list(caps))
    } else {
        setcap
    }
}

/// To give a file these and nothing else, in setcap(8)'s words.
pub fn file_caps(caps: CapSet, path: &str) -> String {
    let names: Vec<String> = caps.names().map(|name| format!("cap_{}", name.to_ascii_lowercase())).collect();
    if names.is_empty() {
        format!("setcap -r {path}")
    } else {
        format!("setcap {}=p {path}", names.join(","))
    }
}

/// To have the runtime give these groups.
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

/// To have these groups, as far as they can be written out.
pub fn group_list(groups: &[Gid]) -> String {
    let list: Vec<String> = groups.iter().take(MOST_GROUPS).map(|gid| gid.to_string()).collect();
    if list.is_empty() {
        format!("{}=none", names::GROUPS)
    } else {
        format!("{}={}", names::GROUPS, list.join(","))
    }
}

/// The folder of this file, on a volume that keeps what is put there.
pub fn named_volume(path: &str) -> String {
    let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
    format!("-v NAME:{folder} (under Podman -v NAME:{folder}:suid)")
}

/// This program, as it was executed.
pub fn this_program(start: &Credentials) -> String {
    start.own_file.as_ref().map_or("capshim".into(), |file| shown(&file.path))
}

fn pod_field(caps: CapSet) -> String {
    let names: Vec<String> = caps.names().map(|name| format!("\"{name}\"")).collect();
    format!("securityContext.capabilities.add: [{}]", names.join(", "))
}

/// To grant these by docker run or podman run.
pub fn flags(caps: CapSet) -> String {
    caps.names().map(|name| format!("--cap-add {name}")).collect::<Vec<_>>().join(" ")
}
