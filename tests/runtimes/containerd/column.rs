//! containerd's column of the table in docs/runtimes.md.

use std::process::Command;

use super::manifest::parse;
use super::node::Node;
use crate::engines::modes::{By, Mode, column};
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
        By::NoFile => ("my-app:1.0", "[]", "", 1000, "IPC_LOCK"),
    };
    let (read_only, escalates) = (mode.read_only, !mode.no_new_privs);
    format!(
        "spec: {{ template: {{ spec: {{ containers: [{{ name: app, image: '{image}', command: {command}, \
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
    column("containerd", version.split_whitespace().nth(2).expect("a version"), |mode| {
        if mode.init || mode.terminal {
            return None;
        }
        let manifest = parse(&pod(mode)).remove(0);
        Some(node.pod(&manifest).run(&manifest.app()).expect("a start"))
    });
}
