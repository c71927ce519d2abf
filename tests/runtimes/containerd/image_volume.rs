//! The shim by an image volume: a mount by an image's name, from containerd 2.1 on. Before that, the test
//! itself mounts the image's layers in the same place, read-only.

use super::has;
use super::manifest::{Container, Workload, load};
use super::node::Node;
use super::servers::binds_port_80;
use super::starts::with_and_without_groups;
use super::status::described;
use crate::images::CAPS;
use crate::needs_containerd;

/// The application's container with other grants, another request, and another command.
fn asking(manifest: &Workload, granted: &[String], asked: &str, command: &[&str]) -> Container {
    let mut app = manifest.app();
    app.security_context.capabilities.add = granted.to_vec();
    asked.clone_into(
        &mut app.env.iter_mut().find(|entry| entry.name == "CAPSHIM_CAPS").expect("a setting").value,
    );
    app.args = command.iter().map(|word| (*word).to_owned()).collect();
    app
}

#[test]
fn a_shim_from_an_image_volume_gives_an_unmodified_image_exactly_the_capability() {
    needs_containerd!();
    for (manifest, added) in with_and_without_groups("image-volume.yaml") {
        binds_port_80(&manifest, &format!("29, 1000, 1001{added}"));
    }
}

#[test]
fn an_image_volume_is_read_only_and_neither_nosuid_nor_noexec() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("image-volume.yaml");
    let pod = node.pod(&manifest);
    let server = pod.start(&manifest.app()).expect("a start");
    let mounts = server.exec(&["cat", "/proc/mounts"]).stdout;
    let mount = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/.capshim")).expect(&mounts);
    println!("{}: {mount}", node.cri().version());
    let fields: Vec<&str> = mount.split(' ').collect();
    let options: Vec<&str> = fields[3].split(',').collect();
    assert_eq!(fields[2], "overlay");
    assert!(
        options.contains(&"ro") && !options.contains(&"nosuid") && !options.contains(&"noexec"),
        "{mount}"
    );
    let output = server.exec(&["touch", "/.capshim/file"]);
    assert_eq!(output.stderr, "touch: /.capshim/file: Read-only file system\n");
}

/// With the pod's variables, as a session has them; in no other way than by the shim.
#[test]
fn a_session_gains_by_the_image_volume_what_the_pod_was_granted_and_no_more() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("image-volume.yaml");
    let pod = node.pod(&manifest);
    let granted = ["IPC_LOCK", "NET_RAW"].map(String::from);
    let server = pod.start(&asking(&manifest, &granted, "ipc_lock", &["sleep", "3600"])).expect("a start");
    let status = ["cat", "/proc/self/status"];
    described(server.exec(&[&["/.capshim/capshim"], &status[..]].concat())).is_exactly(
        1000,
        1000,
        "29, 1000, 1001",
        "IPC_LOCK",
    );
    let more = ["env", "CAPSHIM_CAPS=net_raw", "/.capshim/capshim", "cat", "/proc/self/status"];
    server.exec(&more).refuses_saying(77, "in the bounding set but not in permitted: NET_RAW");
    let other = ["/.capshim/capshim", "--check"];
    assert!(server.exec(&other).stdout.contains("SYS_TIME"), "what its file carries");
}

#[test]
fn one_image_volume_serves_each_pod_exactly_what_it_was_granted_and_asks_for() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("image-volume.yaml");
    let pod = node.pod(&manifest);
    let status = ["cat", "/proc/self/status"];
    for asked in CAPS.lines().chain(["net_admin,net_raw"]) {
        let names = asked.to_uppercase();
        let granted: Vec<String> = names.split(',').map(String::from).collect();
        let output = described(pod.run(&asking(&manifest, &granted, asked, &status)).expect("a start"));
        output.is_exactly(1000, 1000, "29, 1000, 1001", &granted.join(", "));
        has(&output, &[("bounding", &granted.join(", "))]);
    }
    let other = asking(&manifest, &["IPC_LOCK".to_owned()], "net_raw", &status);
    let refused = pod.run(&other).expect("a start");
    refused.refuses_saying(77, "not granted to this container, not in its bounding set: NET_RAW");
    let more = asking(&manifest, &["CHOWN".to_owned()], "chown", &status);
    let refused = pod.run(&more).expect("a start");
    refused.refuses_saying(77, "in the bounding set but not in permitted: CHOWN");
}

#[test]
fn a_containerd_without_image_volumes_does_not_start_the_container() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("image-volume.yaml");
    let pod = node.pod(&manifest).with_volumes_of(&manifest);
    match pod.start(&manifest.app()) {
        Ok(server) => {
            assert!(node.mounts_images());
            server.held("httpd");
        }
        Err(error) => {
            assert!(!node.mounts_images(), "{error}");
            let words = "failed to generate spec: failed to mkdir \"\": mkdir : no such file or directory";
            assert!(error.ends_with(words), "{error}");
        }
    }
}
