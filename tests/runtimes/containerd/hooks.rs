//! Probes and hooks: what `exec` starts is, and what it may do to the application.

use super::has;
use super::manifest::{Workload, load};
use super::node::Node;
use super::pod::{Pod, Started};
use crate::container::Output;
use crate::needs_containerd;

const GROUPS: &str = "29, 1000, 1001";

/// The stand-in reports what it holds when it is ready for a signal.
fn ready<'a>(pod: &'a Pod, manifest: &Workload) -> Started<'a> {
    let server = pod.start(&manifest.app()).expect("a start");
    server.wait_for_line("no_new_privs: on");
    server
}

fn probe(manifest: &Workload) -> Vec<String> {
    manifest.app().liveness_probe.and_then(|probe| probe.exec).expect("a probe").command
}

fn hook(manifest: &Workload) -> Vec<String> {
    manifest.app().lifecycle.pre_stop.and_then(|hook| hook.exec).expect("a hook").command
}

fn exec(server: &Started, command: &[String]) -> Output {
    server.exec(&command.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn in_a_root_start_probes_and_hooks_need_the_shim() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("hooks-root-start.yaml");
    let pod = node.pod(&manifest);
    let server = ready(&pod, &manifest);

    // By itself: root, with the grant.
    let granted = "SETGID, SETUID, NET_BIND_SERVICE";
    has(&server.exec(&["/state"]), &[("uid", "0"), ("effective", granted), ("ambient", "none")]);
    for command in [probe(&manifest), hook(&manifest)] {
        assert_eq!(command[0], "/capshim");
        let output = exec(&server, &command[1..]);
        assert_eq!(output.code, 1);
        assert!(output.stderr.contains("Operation not permitted"), "{}", output.stderr);
    }

    // With the shim: the application's user, with what the application holds.
    server.exec(&["/capshim", "/state"]).is_exactly(1000, 1000, GROUPS, "NET_BIND_SERVICE");
    assert_eq!(exec(&server, &probe(&manifest)).code, 0);
    // The kernel ends what is left in the container with the server, the hook too: the server
    // says whether it was reached.
    exec(&server, &hook(&manifest));
    let output = server.wait();
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.ends_with("quit\n"), "{}", output.stdout);
}

#[test]
fn in_a_non_root_start_they_are_the_application_s_user_and_hold_nothing() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("hooks-non-root.yaml");
    let pod = node.pod(&manifest);
    let server = ready(&pod, &manifest);

    has(&server.exec(&["/state"]), &[("uid", "1000"), ("permitted", "none"), ("no_new_privs", "on")]);
    assert_eq!(exec(&server, &probe(&manifest)).code, 0);
    // With the shim they hold what the application does.
    server.exec(&["/capshim", "/state"]).is_exactly(1000, 1000, GROUPS, "NET_BIND_SERVICE");

    exec(&server, &hook(&manifest));
    let output = server.wait();
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.ends_with("quit\n"), "{}", output.stdout);
}
