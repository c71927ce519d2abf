//! containerd's column of the table in docs/runtimes.md.

use std::process::Command;

use super::manifest::parse;
use super::node::Node;
use crate::engines::modes::{By, Mode, column};
use crate::engines::versions::numbers;
use crate::images::output;
use crate::needs_containerd;

/// The pod of a way to start the application.
fn pod(mode: &Mode) -> String {
    let (image, command, variables, user, add) = match mode.by {
        By::Itself => ("my-app:1.0", "[my-server]", "", 1000, "IPC_LOCK"),
        By::Root => {
            ("my-app:1.0", "[]", "{ name: CAPSHIM_USER, value: app }, ", 0, "IPC_LOCK, SETUID, SETGID")
        }
        By::StayingRoot => ("my-app:1.0", "[]", "{ name: CAPSHIM_USER, value: root }, ", 0, "IPC_LOCK"),
        By::File => ("my-app-non-root:1.0", "[]", "", 1000, "IPC_LOCK"),
        By::ImageVolume => ("my-app:1.0", "[/shim/capshim, my-server]", "", 1000, "IPC_LOCK"),
        By::NoFile => ("my-app:1.0", "[]", "", 1000, "IPC_LOCK"),
    };
    let (mounts, volumes) = match mode.by {
        By::ImageVolume => (
            "{ name: shim, mountPath: /shim }",
            "{ name: shim, image: { reference: 'my-app-non-root:1.0' } }",
        ),
        _ => ("", ""),
    };
    let (read_only, escalates, host_users) = (mode.read_only, !mode.no_new_privs, !mode.user_namespace);
    format!(
        "spec: {{ template: {{ spec: {{ hostUsers: {host_users}, volumes: [{volumes}], containers: [{{ name: app, \
         image: '{image}', command: {command}, volumeMounts: [{mounts}], \
         env: [{variables}{{ name: CAPSHIM_CAPS, value: ipc_lock }}], \
         securityContext: {{ runAsUser: {user}, runAsGroup: {user}, allowPrivilegeEscalation: {escalates}, \
         readOnlyRootFilesystem: {read_only}, capabilities: {{ drop: [ALL], add: [{add}] }} }} }}] }} }} }}"
    )
}

#[test]
fn containerd_does_what_the_table_says() {
    needs_containerd!();
    let node = Node::start();
    let said = output(Command::new("containerd").arg("--version").output().expect("containerd"));
    let version = String::from_utf8(said).expect("text");
    let version = version.split_whitespace().nth(2).expect("a version");
    column("containerd", version, |mode| {
        // What containerd 1.6 does not know it leaves out, and so do 1.7 and 2.0 with an image volume.
        let since = match mode {
            Mode { user_namespace: true, .. } => [1, 7, 0],
            Mode { by: By::ImageVolume, .. } => [2, 1, 0],
            _ => [0; 3],
        };
        if mode.init || mode.terminal || numbers(version) < since {
            return None;
        }
        let manifest = parse(&pod(mode)).remove(0);
        let pod = node.pod(&manifest);
        if mode.user_namespace {
            let mut look = manifest.app();
            look.command = ["cat", "/proc/self/uid_map"].map(String::from).to_vec();
            let seen = pod.run(&look).expect("a start").stdout;
            assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", "200000", "65536"]);
        }
        let output = pod.run(&manifest.app()).expect("a start");
        if mode.user_namespace && mode.by == By::File && output.code != 0 {
            // What the document says of containerd 1.7.
            output.refuses_saying(77, "/capshim has no such file capabilities");
        }
        Some(output)
    });
}
