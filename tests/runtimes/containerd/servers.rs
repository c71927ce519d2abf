//! Manifests whose application is a server that runs until it is stopped: what it holds, which
//! the container's /proc/1/status says.

use super::has;
use super::manifest::{Variable, Workload, load, of_document, parse};
use super::node::Node;
use super::starts::with_and_without_groups;
use crate::needs_containerd;

#[test]
fn a_shim_from_an_init_container_gives_an_unmodified_image_exactly_the_capability() {
    needs_containerd!();
    let node = Node::start();
    for (manifest, added) in with_and_without_groups("non-root-init-container.yaml") {
        for manifest in [manifest.clone(), in_memory(manifest)] {
            let (pod, app) = (node.pod(&manifest), manifest.app());
            let groups = format!("29, 1000, 1001{added}");
            let server = pod.start(&app).expect("a start");
            for file in ["/file", "/shim/file"] {
                let output = server.exec(&["touch", file]);
                assert_eq!(output.stderr, format!("touch: {file}: Read-only file system\n"));
            }
            let output = server.held("httpd");
            output.is_exactly(1000, 1000, &groups, "IPC_LOCK");
            has(&output, &[("bounding", "IPC_LOCK"), ("seccomp", "on")]);
            has(
                &pod.start(&app.without_shim()).expect("a start").held("httpd"),
                &[("uid", "1000"), ("groups", &groups), ("permitted", "none"), ("bounding", "IPC_LOCK")],
            );
        }
    }
}

fn in_memory(mut manifest: Workload) -> Workload {
    for volume in &mut manifest.spec.template.spec.volumes {
        volume.empty_dir.as_mut().expect("an emptyDir").medium = "Memory".into();
    }
    manifest
}

#[test]
fn the_pod_in_the_document_is_the_manifest_in_short() {
    needs_containerd!();
    let node = Node::start();
    let mut short = parse(&of_document()).remove(0);
    let spec = &mut short.spec.template.spec;
    let written = load("non-root-init-container.yaml").spec.template.spec;

    // What installs the shim is the same; its command is written in one field there, in two here.
    let mut init = spec.init_containers[0].clone();
    assert_eq!(init.command.remove(0), "/capshim");
    init.args = std::mem::take(&mut init.command);
    assert_eq!(init, written.init_containers[0]);

    let app = &mut spec.containers[0];
    assert_eq!(app.command, ["/shim/capshim", "their-entrypoint", "their-argument"]);
    assert_eq!(
        (&app.env, &app.volume_mounts),
        (&written.containers[0].env, &written.containers[0].volume_mounts)
    );
    // An image that is here, for theirs.
    app.image.clone_from(&written.containers[0].image);
    app.command.truncate(1);
    app.args.clone_from(&written.containers[0].args);

    let (pod, app) = (node.pod(&short), short.app());
    pod.start(&app).expect("a start").held("httpd").is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    has(&pod.start(&app.without_shim()).expect("a start").held("httpd"), &[("permitted", "none")]);
}

#[test]
fn port_80_of_the_node_is_bound_without_root() {
    needs_containerd!();
    for (manifest, added) in with_and_without_groups("host-network-daemonset.yaml") {
        assert!(manifest.spec.template.spec.host_network);
        binds_port_80(&manifest, &format!("29, 1000, 1001{added}"));
    }
}

#[test]
fn port_80_is_bound_within_the_level_restricted() {
    needs_containerd!();
    for (manifest, added) in with_and_without_groups("restricted.yaml") {
        binds_port_80(&manifest, &format!("29, 1000, 1001{added}"));
    }
}

pub fn binds_port_80(manifest: &Workload, groups: &str) {
    let node = Node::start();
    let (pod, app) = (node.pod(manifest), manifest.app());
    let alone = pod.run(&app.without_shim()).expect("a start");
    assert_eq!((alone.code, alone.stderr.as_str()), (1, "httpd: bind: Permission denied\n"));

    let server = pod.start(&app).expect("a start");
    let output = server.holds("httpd");
    output.is_exactly(1000, 1000, groups, "NET_BIND_SERVICE");
    has(&output, &[("bounding", "NET_BIND_SERVICE"), ("seccomp", "on")]);
    // It answers, if only that the folder is not its own.
    let asked = server.exec(&["wget", "-O", "-", "127.0.0.1:80"]);
    assert!(asked.stderr.contains("server returned error: HTTP/1."), "{}", asked.stderr);
}

/// With PIDs of its own the shim is PID 1; with the pod's, the sandbox's first process is.
#[test]
fn a_stop_reaches_the_application_behind_the_shim_as_init() {
    needs_containerd!();
    let server = "trap 'echo told to stop; exit 3' TERM; echo parent $PPID; echo ready; \
                  while :; do sleep 3600 & wait $!; done";
    let node = Node::start();
    for file in ["root-start.yaml", "non-root-image.yaml"] {
        for shared in [false, true] {
            let mut manifest = load(file);
            manifest.spec.template.spec.share_process_namespace = shared;
            let mut app = manifest.app();
            app.args = ["sh", "-c", server].map(String::from).to_vec();
            app.env.push(Variable { name: "CAPSHIM_INIT".into(), value: "1".into() });
            let pod = node.pod(&manifest);
            let started = pod.start(&app).expect("a start");
            started.wait_for_line("ready");
            let output = started.stop();
            assert_eq!((output.code, output.stderr.as_str()), (3, ""), "{file}");
            let (parent, rest) = output.stdout.split_once('\n').expect("lines");
            assert_eq!(rest, "ready\ntold to stop\n", "{file}");
            assert_eq!(parent == "parent 1", !shared, "{file}: {parent}");
        }
    }
}
