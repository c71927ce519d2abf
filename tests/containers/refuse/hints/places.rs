//! Hints that depend on where the shim lies, and on what started it.

use std::path::Path;

use crate::harness::container::{Container, Output};
use crate::harness::start::Start;
use crate::harness::starts::{GRANTED, GROUPS, user_lock};
use crate::refuse::hints::{Way::*, exactly, hint, performs};

const IN_VOLUME: [&str; 2] = ["/shim/capshim", "/state"];

fn as_user(output: &Output) {
    output.is_exactly(1000, 1000, "none", "IPC_LOCK");
}

/// Uid 1000 with the grant, whose shim is in `/volume` of the image.
fn user() -> Container {
    user_lock().capabilities(&["IPC_LOCK"]).copy("/capshim", "/volume/capshim")
}

impl Container {
    /// As a kubelet mounts an image volume: an overlay of the image's layers, read-only.
    fn image_volume(self, layer: &str, destination: &str) -> Container {
        let empty = self.folder("/empty");
        let lower = format!("lowerdir={}:{}", empty.path(layer).display(), empty.path("/empty").display());
        empty.mount(destination, "overlay", Path::new("overlay"), &["ro", &lower])
    }
}

#[test]
fn a_shim_in_a_volume_is_installed_there() {
    let start = || Start::new(user().bind("/volume", "/shim", &["ro"]), &IN_VOLUME);
    let as_root = exactly(1000, 1000, "1000", "IPC_LOCK");
    performs("plan/refusals::HasNone", start, &[Typed(&as_user), Typed(&as_root)]);
    let said = hint(&start().run());
    let begin = "put them on the file where the volume is filled, as in an init container: /capshim --install /shim/capshim ";
    assert!(said.starts_with(begin), "{said}");
    // What the file has already is told.
    let other = user().file_caps("/volume/capshim", "cap_net_raw=p").bind("/volume", "/shim", &["ro"]);
    other.run(&IN_VOLUME).refuses_saying(
        77,
        "started as uid 1000 and /shim/capshim has no such file capabilities, only NET_RAW=p",
    );
}

#[test]
fn an_image_volume_is_read_only_and_comes_from_another_image() {
    let start = || Start::new(user().image_volume("/volume", "/shim"), &IN_VOLUME);
    let image = "put them on the file as the image of its volume is built: /capshim --install /capshim --file-caps ipc_lock";
    let rebuilt: [fn(Start) -> Start; 1] =
        [|start| start.with(|container| container.file_caps("/volume/capshim", "cap_ipc_lock=p"))];
    let as_root = exactly(1000, 1000, "1000", "IPC_LOCK");
    performs("plan/refusals::HasNone", start, &[ByHand(image, &rebuilt, &as_user), Typed(&as_root)]);
}

/// Root becomes `app` with NET_RAW, and a script starts another capshim that asks for IPC_LOCK.
fn nested(granted: &[&str]) -> Start {
    let container = Container::root()
        .capabilities(granted)
        .env("CAPSHIM_USER", "app")
        .env("CAPSHIM_CAPS", "net_raw")
        .script("/services", "#!/bin/sh\nCAPSHIM_CAPS=ipc_lock exec /capshim /state\n");
    // Not by the name at which a check comes first: that looks no further than the first shim.
    Start::new(container.link("capshim", "/first"), &["/first", "/services"])
}

#[test]
fn an_inner_capshim_asks_the_outer_one() {
    for granted in [&["NET_RAW", "SETGID", "SETUID"][..], &["NET_RAW", "IPC_LOCK", "SETGID", "SETUID"]] {
        let inner = exactly(1000, 1000, GROUPS, "IPC_LOCK");
        // The list does not take away what the outer one has; what else it needs is its own hint's.
        let both: [fn(Start) -> Start; 1] = [|start| {
            let start = start.env("CAPSHIM_CAPS", "net_raw,ipc_lock");
            start.with(|container| container.capabilities(&[&GRANTED[..], &["NET_RAW"]].concat()))
        }];
        performs(
            "plan/refusals::OnlyAmbient",
            || nested(granted),
            &[
                ByHand("securityContext.capabilities.add: [\"NET_RAW\", \"IPC_LOCK\"]", &both, &inner),
                ByHand("ask for them there, too: CAPSHIM_CAPS=net_raw,ipc_lock", &both, &inner),
            ],
        );
    }
}

/// As Podman grants to a user: ambient, too.
fn podman(container: Container, granted: &[&str]) -> Container {
    ["inheritable", "ambient"]
        .into_iter()
        .fold(container.capabilities(granted), |container, set| container.set(set, granted))
}

#[test]
fn what_podman_grants_to_a_user_is_added_to() {
    let start = || Start::new(podman(user_lock(), &["NET_RAW"]), &["/capshim", "/state"]);
    let cause = "the program or runtime that started capshim passed on only NET_RAW, and not IPC_LOCK";
    start().run().refuses_saying(77, cause);
    let added: [fn(Start) -> Start; 1] =
        [|start| start.with(|container| podman(container, &["NET_RAW", "IPC_LOCK"]))];
    performs(
        "plan/refusals::OnlyAmbient",
        start,
        &[
            ByHand("Docker/Podman: --cap-add NET_RAW --cap-add IPC_LOCK", &added, &as_user),
            ByHand("where another capshim runs first", &added, &as_user),
        ],
    );
}

#[test]
fn podman_privileged_gives_a_user_less_than_one_capability() {
    const PRIVILEGED: [&str; 5] = ["IPC_LOCK", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_RAWIO"];
    let start = || Start::new(user_lock().capabilities(&PRIVILEGED), &["/capshim", "/state"]);
    let in_its_place: [fn(Start) -> Start; 1] =
        [|start| start.with(|container| podman(container, &["IPC_LOCK"]))];
    let as_root = exactly(1000, 1000, "1000", "IPC_LOCK");
    performs(
        "plan/refusals::HasNone",
        start,
        &[
            Typed(&as_user),
            Typed(&as_root),
            ByHand("under Podman, in place of --privileged: --cap-add IPC_LOCK", &in_its_place, &as_user),
        ],
    );
}
