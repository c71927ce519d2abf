//! Cells of the table in docs/approaches.md that no other test has: what sessions and children
//! hold, and what is missing or lost without a word.

use super::has;
use super::manifest::{Container, Workload, load};
use super::node::Node;
use super::status::described;
use crate::needs_containerd;

/// The application's container with another command behind the shim, if it has one.
fn running(manifest: &Workload, command: &[&str]) -> Container {
    let mut app = manifest.app();
    let words = command.iter().map(|word| (*word).to_owned()).collect();
    match (app.image.as_str(), app.command.first().map(String::as_str)) {
        ("my-app-file-caps:1.0", _) => app.command = words,
        (_, None | Some("/shim/capshim" | "/.capshim/capshim")) => app.args = words,
        other => panic!("{other:?}"),
    }
    app
}

#[test]
fn a_session_is_root_with_all_that_is_granted_or_the_user_with_nothing() {
    needs_containerd!();
    let node = Node::start();
    for (file, uid, held) in [
        ("root-start.yaml", "0", "SETGID, SETUID, IPC_LOCK"),
        ("stay-root.yaml", "0", "IPC_LOCK"),
        ("file-capabilities.yaml", "1000", "none"),
        ("non-root-image.yaml", "1000", "none"),
        ("non-root-init-container.yaml", "1000", "none"),
        ("image-volume.yaml", "1000", "none"),
    ] {
        let manifest = load(file);
        let pod = node.pod(&manifest);
        let server = pod.start(&running(&manifest, &["sleep", "3600"])).expect("a start");
        let session = described(server.exec(&["cat", "/proc/self/status"]));
        has(&session, &[("uid", uid), ("permitted", held), ("effective", held), ("ambient", "none")]);
    }
}

#[test]
fn a_child_of_the_application_holds_what_it_holds() {
    needs_containerd!();
    let node = Node::start();
    for (file, uid, gid, groups, held) in [
        ("root-start.yaml", 1000, 1000, "29, 1000, 1001", "IPC_LOCK"),
        ("stay-root.yaml", 0, 0, "0, 1, 2, 3, 4, 6, 10, 11, 20, 26, 27", "IPC_LOCK"),
        ("non-root-image.yaml", 1000, 1000, "29, 1000, 1001", "IPC_LOCK"),
        ("non-root-init-container.yaml", 1000, 1000, "29, 1000, 1001", "IPC_LOCK"),
        ("image-volume.yaml", 1000, 1000, "29, 1000, 1001", "NET_BIND_SERVICE"),
    ] {
        let manifest = load(file);
        let parent = running(&manifest, &["sh", "-c", "cat /proc/self/status; exit"]);
        let child = node.pod(&manifest).run(&parent).expect("a start");
        described(child).is_exactly(uid, gid, groups, held);
    }
}

#[test]
fn root_without_the_shim_runs_without_a_capability_that_is_missing_and_nobody_says_so() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("stay-root.yaml");
    let mut app = manifest.app().without_shim();
    app.security_context.capabilities.add.clear();
    let output = node.pod(&manifest).run(&app).expect("a start");
    has(&output, &[("uid", "0"), ("permitted", "none"), ("effective", "none")]);
    assert_eq!(output.stderr, "");
}

#[test]
fn a_script_before_a_program_with_file_capabilities_loses_them_under_no_new_privs_and_nobody_says_so() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("file-capabilities.yaml");
    let pod = node.pod(&manifest);
    for (escalation, held) in [(Some(false), "none"), (Some(true), "IPC_LOCK")] {
        let mut app = running(&manifest, &["sh", "-c", "exec my-server"]);
        app.security_context.allow_privilege_escalation = escalation;
        let output = pod.run(&app).expect("a start");
        has(&output, &[("uid", "1000"), ("permitted", held), ("effective", held)]);
        assert_eq!(output.stderr, "");
    }
}
