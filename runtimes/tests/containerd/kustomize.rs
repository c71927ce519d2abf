//! The kustomize component: what it makes of a Deployment, and that it fails where it cannot.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::has;
use super::manifest::{Workload, folder, parse};
use super::node::Node;
use crate::{needs, needs_containerd};

/// A copy of the component and its example, in which this word of the Deployment is another.
fn kustomize(from: &str, to: &str) -> Output {
    let copy = TempDir::with_prefix("capshim-kustomize-").expect("a temporary folder");
    let copied = Command::new("cp").arg("-r").arg(folder().join("kustomize")).arg(copy.path()).status();
    assert!(copied.expect("cp").success());
    let example = copy.path().join("kustomize/example");
    let deployment = fs::read_to_string(example.join("deployment.yaml")).expect("a file");
    assert!(from.is_empty() || deployment.contains(from), "{from}");
    fs::write(example.join("deployment.yaml"), deployment.replacen(from, to, 1)).expect("a file");
    Command::new("kubectl").arg("kustomize").arg(example).output().expect("kubectl")
}

pub fn example() -> String {
    let output = kustomize("", "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
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
fn the_component_fails_where_command_or_args_are_missing_or_the_container_is_another() {
    needs!("kubectl");
    for (from, to, says) in [
        ("          command: [\"httpd\"]\n", "", "doc is missing path"),
        ("          args: [", "          # [", "error in move for path: 'args'"),
        (
            "        - name: my-app\n",
            "        - name: other\n",
            "testing value /spec/template/spec/containers/0/name failed",
        ),
    ] {
        let output = kustomize(from, to);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{to:?}");
        assert!(stderr.contains(says), "{says:?} not in: {stderr}");
    }
}
