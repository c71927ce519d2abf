//! The stored pods' containers under containerd, as the other manifests are started.

use serde::Deserialize;
use serde_json::{Value, json};

use super::pods::{CASES, stored};
use super::{CONTAINERS, LABEL, WAYS};
use crate::containerd::has;
use crate::containerd::manifest::{Container, Workload};
use crate::containerd::node::Node;
use crate::containerd::pod_security::{self, Level, broken};
use crate::images::CAPS;
use crate::needs_containerd;

/// What the API server adds to a pod and no runtime is asked for.
const OF_THE_SERVER: [&str; 7] = [
    "enableServiceLinks",
    "preemptionPolicy",
    "priority",
    "schedulerName",
    "serviceAccount",
    "serviceAccountName",
    "volumes",
];
const OF_A_CONTAINER: [&str; 3] = ["imagePullPolicy", "resources", "terminationMessagePath"];

/// A stored pod, as the manifests are read. A projected volume is an empty folder.
pub fn workload(pod: &Value) -> Workload {
    let mut spec = pod["spec"].clone();
    let without = |object: &mut Value, fields: &[&str]| {
        object.as_object_mut().expect("an object").retain(|name, _| !fields.contains(&name.as_str()));
    };
    let volumes = pod["spec"]["volumes"].as_array().expect("volumes").iter();
    let volumes = volumes.map(|volume| match volume["image"]["reference"].as_str() {
        Some(image) => json!({ "name": volume["name"], "image": { "reference": image } }),
        None => json!({ "name": volume["name"], "emptyDir": {} }),
    });
    let volumes: Vec<Value> = volumes.collect();
    without(&mut spec, &OF_THE_SERVER);
    spec["volumes"] = json!(volumes);
    for kind in ["initContainers", "containers"] {
        for container in spec.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            without(container, &OF_A_CONTAINER);
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                without(port, &["protocol"]);
            }
        }
    }
    Workload::deserialize(json!({ "spec": { "template": { "spec": spec } } }))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The containers that the label is for.
fn chosen(pod: &Value) -> Vec<&str> {
    match pod["metadata"]["annotations"][CONTAINERS].as_str() {
        Some(names) => names.split(',').collect(),
        None => vec![pod["spec"]["containers"][0]["name"].as_str().expect("a name")],
    }
}

#[test]
fn a_labelled_pod_s_containers_hold_exactly_what_the_label_says_and_the_others_nothing() {
    needs_containerd!();
    let node = Node::start();
    for (way, case) in [0, 1].into_iter().flat_map(|way| CASES.map(|case| (way, case))) {
        let stored = stored(case, way);
        let label = stored["metadata"]["labels"][LABEL].as_str().expect("a label").to_uppercase();
        let pod = node.pod(&workload(&stored));
        for container in &workload(&stored).spec.template.spec.containers {
            let output = pod.start(container).expect("a start").held("httpd");
            let is_chosen = chosen(&stored).contains(&container.name.as_str());
            let held = if is_chosen { in_order(&label) } else { "none".into() };
            has(&output, &[("uid", "1000"), ("permitted", &held), ("effective", &held), ("ambient", &held)]);
            has(&output, &[("bounding", &held), ("no_new_privs", if is_chosen { "on" } else { "off" })]);
        }
    }
}

/// The names of a label as /state lists them.
fn in_order(label: &str) -> String {
    let mut caps: Vec<caps::Capability> =
        label.split('.').map(|name| format!("CAP_{name}").parse().expect("a capability")).collect();
    caps.sort_by_key(caps::Capability::index);
    let names: Vec<String> = caps.iter().map(|cap| cap.to_string().replace("CAP_", "")).collect();
    names.join(", ")
}

/// Without the shim the same container has none of it, so it is the shim that gives it.
#[test]
fn what_the_label_asks_for_is_not_there_without_the_shim() {
    needs_containerd!();
    let node = Node::start();
    let stored = stored("statefulset", 0);
    let pod = node.pod(&workload(&stored));
    let app: Container = workload(&stored).app();
    assert_eq!(app.command[0], "/.capshim/capshim");
    let bare = Container { command: app.command[1..].to_vec(), ..app };
    has(
        &pod.start(&bare).expect("a start").held("httpd"),
        &[("permitted", "none"), ("bounding", "IPC_LOCK")],
    );
}

/// One image serves every label that the policy lets through, and the volume cannot be written.
#[test]
fn the_image_of_the_volume_has_all_that_the_policy_says() {
    needs_containerd!();
    let node = Node::start();
    let objects = super::policy::load(&WAYS[0], &[]);
    let caps = objects.iter().find(|object| object.metadata.name == "capshim-caps").expect("a policy");
    let served = caps.spec.variables.iter().find(|variable| variable.name == "served").expect("a list");
    let served = served.expression.evaluate(&Value::Null, &json!({})).expect("a list");
    let names = served.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name"));
    let names: Vec<&str> = names.collect();
    assert_eq!(names, CAPS.lines().collect::<Vec<_>>());
    let mut pod = super::pods::pod_of(&super::pods::created("deployment"));
    pod["metadata"]["labels"][LABEL] = json!(names.join("."));
    let stored = super::server::admit(&objects, &pod).expect("a pod");
    let (pod, app) = (node.pod(&workload(&stored)), workload(&stored).app());
    let server = pod.start(&app).expect("a start");
    let refused = server.exec(&["touch", "/.capshim/file"]);
    assert_eq!(refused.stderr, "touch: /.capshim/file: Read-only file system\n");
    let all = in_order(&names.join(".").to_uppercase());
    has(&server.held("httpd"), &[("effective", &all), ("ambient", &all)]);
}

/// The label grants nothing by itself: Pod Security judges the pod that is stored.
#[test]
fn the_level_is_the_capability_s_and_by_an_init_container_never_restricted() {
    let by_image_volume = pod_security::level(&stored("deployment", 0)["spec"]);
    assert_eq!(by_image_volume, "restricted");
    let by_init_container = &stored("deployment", 1)["spec"];
    assert_eq!(broken(by_init_container, Level::Baseline), [""; 0]);
    assert_eq!(
        broken(by_init_container, Level::Restricted),
        ["Running as Non-root", "Running as Non-root user", "Capabilities"]
    );
    for way in [0, 1] {
        assert_eq!(broken(&stored("statefulset", way)["spec"], Level::Baseline), ["Capabilities"]);
    }
}
