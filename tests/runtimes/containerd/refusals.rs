//! Mistakes in a manifest: what the log, and so `kubectl describe`, says of them.

use std::fs;

use super::manifest::{Container, Workload, load};
use super::node::Node;
use super::termination_message;
use crate::container::Output;
use crate::engines::versions::{runc_cannot_execute, runc_keeps_nosuid};
use crate::needs_containerd;

/// The application's container of a manifest, changed.
fn changed(manifest: &Workload, change: impl FnOnce(&mut Container)) -> Container {
    let mut app = manifest.app();
    change(&mut app);
    app
}

/// It is refused with these words in the cause and in the hint, and the pod's status shows all of
/// it.
#[track_caller]
fn refused(output: &Output, cause: &str, hint: &str) {
    output.refuses_saying(77, cause);
    assert!(output.stderr.contains(hint), "{hint:?} not in: {}", output.stderr);
    assert_eq!(termination_message(output), output.stderr);
}

/// The list that a hint says to write.
fn add_of_hint(stderr: &str) -> Vec<String> {
    let (_, list) = stderr.split_once("securityContext.capabilities.add: ").expect("a list");
    let end = list.find(']').expect("its end");
    serde_json::from_str(&list[..=end]).expect("names")
}

#[test]
fn a_capability_that_was_not_granted_is_named_and_the_hint_s_list_is_the_cure() {
    needs_containerd!();
    let node = Node::start();
    for file in ["root-start.yaml", "stay-root.yaml", "non-root-image.yaml"] {
        let manifest = load(file);
        let pod = node.pod(&manifest);
        let app =
            changed(&manifest, |app| app.security_context.capabilities.add.retain(|name| name != "IPC_LOCK"));
        let output = pod.run(&app).expect("a start");
        refused(
            &output,
            "not granted to this container, not in its bounding set: IPC_LOCK",
            "(without CAP_: ",
        );

        let cured =
            changed(&manifest, |app| app.security_context.capabilities.add = add_of_hint(&output.stderr));
        let output = pod.run(&cured).expect("a start");
        assert_eq!(output.state().get("effective"), Some(&"IPC_LOCK"), "{}", output.stderr);
    }
}

#[test]
fn a_prefix_before_a_capability_s_name_is_not_granted_and_containerd_does_not_say_so() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("root-start.yaml");
    let app = changed(&manifest, |app| {
        app.env.iter_mut().find(|entry| entry.name == "CAPSHIM_CAPS").expect("a setting").value =
            "net_admin".into();
        app.security_context.capabilities.add =
            ["CAP_NET_ADMIN", "SETUID", "SETGID"].map(String::from).to_vec();
    });
    let output = node.pod(&manifest).run(&app).expect("a start");
    refused(
        &output,
        "not granted to this container, not in its bounding set: NET_ADMIN",
        "(without CAP_: containerd takes CAP_SETGID for an unknown capability and does not say so)",
    );
}

#[test]
fn file_capabilities_on_the_application_fail_without_a_name() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("file-capabilities.yaml");
    let app = changed(&manifest, |app| app.security_context.capabilities.add.clear());
    let output = node.pod(&manifest).run(&app).expect("a start");
    assert_eq!((output.code, output.stdout.as_str()), (runc_cannot_execute(), ""));
    assert_eq!(output.stderr, "exec /usr/local/bin/my-server: operation not permitted\n");
}

#[test]
fn a_shell_before_the_shim_hides_its_file_capabilities_under_no_new_privs() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("non-root-image.yaml");
    let pod = node.pod(&manifest);
    let behind_shell = |escalation| {
        changed(&manifest, |app| {
            app.command = ["sh", "-c", "exec /capshim my-server"].map(String::from).to_vec();
            app.security_context.allow_privilege_escalation = escalation;
        })
    };
    refused(
        &pod.run(&behind_shell(Some(false))).expect("a start"),
        "with no_new_privs on they count only in the container's first program",
        "make /capshim the first word of the container's command, without sh -c before it",
    );
    for escalation in [None, Some(true)] {
        let output = pod.run(&behind_shell(escalation)).expect("a start");
        output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    }
}

#[test]
fn a_volume_without_set_user_id_hides_the_shim_s_file_capabilities() {
    needs_containerd!();
    let node = Node::start();
    let mut manifest = load("non-root-init-container.yaml");
    manifest.spec.template.spec.volumes[0].empty_dir.as_mut().expect("an emptyDir").medium = "Memory".into();
    let pod = node.sandbox(&manifest);
    node.inside("mount", &["-o", "remount,nosuid", &pod.volume("shim").display().to_string()]);
    pod.init();
    // For a read-only mount of it, runc 1.1 makes the flags anew and forgets this one. Newer ones do so
    // for every mount of it.
    let app = changed(&manifest, |app| app.volume_mounts[0].read_only = false);
    if !runc_keeps_nosuid() {
        let server = pod.start(&app).expect("a start");
        server.holds("httpd").is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
        return;
    }
    refused(
        &pod.run(&app).expect("a start"),
        "/shim/capshim is on a nosuid mount, where they do not count",
        "run a copy that is in the image",
    );
}

#[test]
fn an_init_container_without_setfcap_is_told_so_and_installs_nothing() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("non-root-init-container.yaml");
    let pod = node.sandbox(&manifest);
    let mut init = manifest.spec.template.spec.init_containers[0].clone();
    init.security_context.capabilities.add.clear();
    let output = pod.run(&init).expect("a start");
    refused(&output, "this process does not have SETFCAP", "capabilities.add: [\"SETFCAP\"]");
    assert_eq!(fs::read_dir(pod.volume("shim")).expect("a folder").count(), 0);

    init.security_context.capabilities.add = add_of_hint(&output.stderr);
    assert_eq!(pod.run(&init).expect("a start").code, 0);
}

#[test]
fn an_image_that_starts_as_a_user_needs_run_as_user_0_for_a_root_start() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("root-start.yaml");
    let pod = node.pod(&manifest);
    let as_written = changed(&manifest, |app| app.image = "my-app-user:1.0".into());
    pod.run(&as_written).expect("a start").is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    let without = changed(&manifest, |app| {
        app.image = "my-app-user:1.0".into();
        app.security_context.run_as_user = None;
    });
    refused(
        &pod.run(&without).expect("a start"),
        "the container was started as uid 1000 and /capshim has no such file capabilities",
        "--install",
    );
}

/// What containerd tells a kubelet of an image's user is what decides. The decision is the
/// kubelet's, made here as its source has it.
#[test]
fn run_as_non_root_takes_an_image_whose_user_is_a_number() {
    needs_containerd!();
    let node = Node::start();
    let manifest = load("non-root-image.yaml");
    let pod = node.pod(&manifest);
    for (image, uid, name) in
        [("my-app:1.0", None, ""), ("my-app-user:1.0", None, "app"), ("my-app-non-root:1.0", Some(1000), "")]
    {
        let known = node.cri().image(image).expect(image);
        assert_eq!((known.uid.map(|uid| uid.value), known.username.as_str()), (uid, name), "{image}");
        let app = changed(&manifest, |app| app.image = image.into());
        assert_eq!(pod.run(&app).is_ok(), uid.is_some(), "{image}");
    }
}
