//! What kubectl makes of the kustomizations: the policies, and the component that does without them.

use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use super::policy::folder;
use super::started::workload;
use super::{BY_IMAGE_VOLUME, WAYS};
use crate::containerd::has;
use crate::containerd::kustomize::made;
use crate::containerd::node::Node;
use crate::images::output;
use crate::{needs, needs_containerd};

fn documents(text: &str) -> Vec<Value> {
    let documents = serde_norway::Deserializer::from_str(text);
    documents.map(|document| Value::deserialize(document).expect("YAML")).collect()
}

/// By what kubectl tells them apart.
fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    objects
}

#[test]
fn the_kustomization_is_its_files() {
    needs!("kubectl");
    let kustomize = Command::new("kubectl").arg("kustomize").arg(folder()).output().expect("kubectl");
    let made = documents(&String::from_utf8(output(kustomize)).expect("text"));
    let read = |file: &&str| documents(&std::fs::read_to_string(folder().join(file)).expect("a file"));
    let files: Vec<Value> = BY_IMAGE_VOLUME.iter().flat_map(read).collect();
    assert_eq!(files.len(), 8);
    assert_eq!(sorted(made), sorted(files));
}

/// So that the one way replaces the other, and the last leaves nothing of the first.
#[test]
fn both_ways_have_objects_of_the_same_names() {
    let [first, second] = WAYS.map(|files| {
        let objects = super::policy::load(&files, &[]);
        objects.into_iter().map(|object| (object.kind, object.metadata.name)).collect::<Vec<_>>()
    });
    assert_eq!(first, second);
}

#[test]
fn the_component_for_an_image_volume_gives_the_capability_without_root() {
    needs!("kubectl");
    needs_containerd!();
    let component = ("example/kustomization.yaml", "../component", "../image-volume");
    let deployment = documents(&made(&[component])).remove(0);
    let template = &deployment["spec"]["template"];
    assert!(template["spec"]["initContainers"].is_null());
    let node = Node::start();
    let (pod, app) = (node.pod(&workload(template)), workload(template).app());
    assert_eq!(app.command, ["/.capshim/capshim", "httpd"]);
    let server = pod.start(&app).expect("a start").held("httpd");
    server.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    let bare = pod.start(&app.without_shim()).expect("a start").held("httpd");
    has(&bare, &[("permitted", "none")]);
}
