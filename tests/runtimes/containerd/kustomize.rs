//! The kustomize component: what it makes of a Deployment, and that it fails where it cannot.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::has;
use super::manifest::{Workload, folder, parse};
use super::node::Node;
use crate::{needs, needs_containerd};

/// A file of the example, and words of it that are others here.
type Change<'a> = (&'a str, &'a str, &'a str);
const DEPLOYMENT: &str = "example/deployment.yaml";
const COMPONENT: &str = "component/kustomization.yaml";

/// What kubectl makes of a copy of the component and its example, changed.
fn kustomize(changes: &[Change]) -> Output {
    let copy = TempDir::with_prefix("capshim-kustomize-").expect("a temporary folder");
    let copied = Command::new("cp").arg("-r").arg(folder().join("kustomize")).arg(copy.path()).status();
    assert!(copied.expect("cp").success());
    let folder = copy.path().join("kustomize");
    for (file, from, to) in changes {
        let text = fs::read_to_string(folder.join(file)).expect("a file");
        assert!(text.contains(from), "{file}: {from}");
        fs::write(folder.join(file), text.replace(from, to)).expect("a file");
    }
    Command::new("kubectl").arg("kustomize").arg(folder.join("example")).output().expect("kubectl")
}

#[track_caller]
pub fn made(changes: &[Change]) -> String {
    let output = kustomize(changes);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

pub fn example() -> String {
    made(&[])
}

fn component() -> Workload {
    parse(&example()).remove(0)
}

#[test]
fn the_component_puts_the_shim_before_the_command_and_changes_nothing_else_of_it() {
    needs!("kubectl");
    let app = component().app();
    assert_eq!(app.command, ["/shim/capshim", "httpd"]);
    assert_eq!(app.args, ["-f", "-p", "8080", "-h", "/data"]);
    let names: Vec<&str> = app.env.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["CAPSHIM_CAPS", "LANG"]);
    let mounts: Vec<&str> = app.volume_mounts.iter().map(|mount| mount.mount_path.as_str()).collect();
    assert_eq!(mounts, ["/shim", "/data"]);
    assert_eq!(component().spec.min_ready_seconds, Some(5));
}

#[test]
fn the_component_s_deployment_holds_exactly_the_capability() {
    needs!("kubectl");
    needs_containerd!();
    let node = Node::start();
    let manifest = component();
    let (pod, app) = (node.pod(&manifest), manifest.app());
    pod.start(&app).expect("a start").held("httpd").is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    has(&pod.start(&app.without_shim()).expect("a start").held("httpd"), &[("permitted", "none")]);
}

#[test]
fn the_component_fails_where_it_does_not_find_what_it_is_for() {
    needs!("kubectl");
    let nothing = "no matches for Id Deployment.v1.apps/my-app.[noNs]";
    let stated = "metadata:\n  name: my-app\n  namespace: prod\nspec:";
    for (from, to, says) in [
        ("          command: [\"httpd\"]\n", "", "doc is missing path"),
        ("          args: [", "          # [", "error in move for path: 'args'"),
        (
            "        - name: my-app\n",
            "        - name: other\n",
            "testing value /spec/template/spec/containers/0/name failed",
        ),
        ("metadata:\n  name: my-app\n", "metadata:\n  name: other\n", nothing),
        ("kind: Deployment\n", "kind: StatefulSet\n", nothing),
        ("metadata:\n  name: my-app\nspec:", stated, nothing),
    ] {
        let output = kustomize(&[(DEPLOYMENT, from, to)]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{to:?}");
        assert!(stderr.contains(says), "{says:?} not in: {stderr}");
    }
    made(&[
        (DEPLOYMENT, "metadata:\n  name: my-app\nspec:", stated),
        (
            COMPONENT,
            "        name: my-app\n      spec:",
            "        name: my-app\n        namespace: prod\n      spec:",
        ),
    ]);
}

#[test]
fn the_component_is_for_other_kinds_too_where_it_names_them() {
    needs!("kubectl");
    let deployment = example();
    for kind in ["DaemonSet", "StatefulSet"] {
        let named = format!("kind: {kind}\n");
        let changes =
            [(DEPLOYMENT, "kind: Deployment\n", &*named), (COMPONENT, "kind: Deployment\n", &named)];
        assert_eq!(made(&changes), deployment.replace("kind: Deployment\n", &named));
    }
}

#[test]
fn the_component_replaces_the_lists_of_capabilities_and_sets_no_user() {
    needs!("kubectl");
    let own = "          securityContext: { capabilities: { add: [CHOWN] } }\n          env:";
    let made = made(&[
        (DEPLOYMENT, "          env:", own),
        (DEPLOYMENT, "        runAsUser: 1000\n        runAsGroup: 1000\n", ""),
    ]);
    let manifest = parse(&made).remove(0);
    let security = manifest.app().security_context;
    assert_eq!(security.capabilities.add, ["IPC_LOCK"]);
    assert_eq!(security.run_as_non_root, Some(true));
    assert_eq!(
        (security.run_as_user, manifest.spec.template.spec.security_context.run_as_user),
        (None, None)
    );
}
