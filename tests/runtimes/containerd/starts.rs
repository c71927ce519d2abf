//! Each manifest as it is pasted, and without the shim: what the application holds, which its
//! log says.

use super::has;
use super::manifest::{Container, Workload, load};
use super::node::Node;
use super::schema::files;
use super::status::described;
use super::termination_message;
use crate::needs_containerd;

/// A manifest as written, and with the groups that a volume needs. The second word of each is
/// what that adds to the application's groups.
pub fn with_and_without_groups(file: &str) -> [(Workload, &'static str); 2] {
    let (written, mut grouped) = (load(file), load(file));
    let security = &mut grouped.spec.template.spec.security_context;
    security.fs_group = Some(2000);
    security.supplemental_groups = vec![3000];
    [(written, ""), (grouped, ", 2000, 3000")]
}

/// Every container of every manifest, as the kernel sees it where no shim comes before.
#[test]
fn every_container_is_filtered_and_cannot_gain_privileges() {
    needs_containerd!();
    let node = Node::start();
    for file in files() {
        let manifest = load(&file);
        let spec = &manifest.spec.template.spec;
        let pod = node.sandbox(&manifest);
        for container in spec.init_containers.iter().chain(&spec.containers) {
            let mut container = container.clone();
            if ["capshim:0.1.0", "lock-memory:1.0"].contains(&container.image.as_str()) {
                container.image = "busybox:1.36".into();
            }
            container.command = ["cat", "/proc/self/status"].map(String::from).to_vec();
            container.args.clear();
            let output = described(pod.run(&container).expect("a start"));
            // deployment.yaml is what was there before the component.
            let escalates = if file.contains('/') { "off" } else { "on" };
            has(&output, &[("seccomp", "on"), ("no_new_privs", escalates)]);
        }
    }
}

fn as_user_1000(container: Container) -> Container {
    let mut container = container;
    container.security_context.run_as_user = Some(1000);
    container
}

#[test]
fn a_root_start_gives_the_application_exactly_the_capability() {
    needs_containerd!();
    let node = Node::start();
    for (manifest, added) in with_and_without_groups("root-start.yaml") {
        let (pod, app) = (node.pod(&manifest), manifest.app());
        let output = pod.run(&app).expect("a start");
        output.is_exactly(1000, 1000, &format!("29, 1000, 1001{added}"), "IPC_LOCK");
        has(&output, &[("bounding", "SETGID, SETUID, IPC_LOCK")]);

        // Without the shim: root with all that is granted, or a user with nothing.
        let granted = "SETGID, SETUID, IPC_LOCK";
        has(
            &pod.run(&app.without_shim()).expect("a start"),
            &[("uid", "0"), ("permitted", granted), ("effective", granted), ("ambient", "none")],
        );
        has(
            &pod.run(&as_user_1000(app.without_shim())).expect("a start"),
            &[("uid", "1000"), ("permitted", "none"), ("bounding", granted), ("ambient", "none")],
        );
    }
}

#[test]
fn root_that_stays_root_holds_exactly_the_capability() {
    needs_containerd!();
    let node = Node::start();
    for (manifest, added) in with_and_without_groups("stay-root.yaml") {
        let (pod, app) = (node.pod(&manifest), manifest.app());
        let groups = format!("0, 1, 2, 3, 4, 6, 10, 11, 20, 26, 27{added}");
        pod.run(&app).expect("a start").is_exactly(0, 0, &groups, "IPC_LOCK");
        // Root holds it without the shim, too: what the shim adds is said in the manifest.
        has(
            &pod.run(&app.without_shim()).expect("a start"),
            &[("uid", "0"), ("groups", &groups), ("permitted", "IPC_LOCK"), ("effective", "IPC_LOCK")],
        );
    }
}

#[test]
fn a_program_with_file_capabilities_holds_the_capability_and_no_child_of_it_would() {
    needs_containerd!();
    let node = Node::start();
    for (manifest, added) in with_and_without_groups("file-capabilities.yaml") {
        let (pod, app) = (node.pod(&manifest), manifest.app());
        let groups = format!("29, 1000, 1001{added}");
        let sets = [
            ("permitted", "IPC_LOCK"),
            ("effective", "IPC_LOCK"),
            ("inheritable", "none"),
            ("ambient", "none"),
        ];
        let output = pod.run(&app).expect("a start");
        has(&output, &[("uid", "1000"), ("gid", "1000"), ("groups", &groups), ("no_new_privs", "on")]);
        has(&output, &sets);

        // The same program without them.
        let plain = Container { image: "my-app:1.0".into(), ..as_user_1000(app) };
        has(
            &pod.run(&plain.without_shim()).expect("a start"),
            &[("permitted", "none"), ("bounding", "IPC_LOCK")],
        );
    }
}

#[test]
fn a_non_root_start_from_the_image_gives_the_application_exactly_the_capability() {
    needs_containerd!();
    let node = Node::start();
    for (manifest, added) in with_and_without_groups("non-root-image.yaml") {
        let (pod, app) = (node.pod(&manifest), manifest.app());
        let groups = format!("29, 1000, 1001{added}");
        let output = pod.run(&app).expect("a start");
        output.is_exactly(1000, 1000, &groups, "IPC_LOCK");
        has(&output, &[("bounding", "IPC_LOCK")]);
        has(
            &pod.run(&app.without_shim()).expect("a start"),
            &[("uid", "1000"), ("groups", &groups), ("permitted", "none"), ("bounding", "IPC_LOCK")],
        );
    }
}

#[test]
fn a_preflight_job_ends_as_the_application_would_start() {
    needs_containerd!();
    let node = Node::start();
    let (job, deployment) = (load("preflight-job.yaml"), load("root-start.yaml"));
    let pod = node.pod(&job);
    let (check, app) = (job.app(), deployment.app());
    assert_eq!((&check.image, &check.env), (&app.image, &app.env));
    assert_eq!(check.security_context, app.security_context);

    pod.run(&check).expect("a start").foretells(&pod.run(&app).expect("a start"));
    // And as it would not.
    let without = |mut container: Container| {
        container.security_context.capabilities.add.retain(|name| name != "IPC_LOCK");
        container
    };
    let refused = pod.run(&without(app)).expect("a start");
    assert_eq!(refused.code, 77);
    let report = pod.run(&without(check)).expect("a start");
    report.foretells(&refused);
    // A report is longer than what a pod's status shows, but ends with what matters.
    let message = termination_message(&report);
    assert!(message.contains("\n  cause: ") && message.contains("\n  hint:  "), "{message}");
}
