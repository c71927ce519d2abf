//! Pods and workloads as an API server hands them over, after its defaults, and the whole pods that
//! come out, before the defaults of what is new. Each file has the object, the pod with an image
//! volume and the pod with an init container.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::policy::{self, Object};
use super::server::admit;
use super::{CONTAINERS, LABEL, WAYS, shape};
use crate::containerd::schema::lost_in_kubectl;
use crate::needs;

pub const CASES: [&str; 6] =
    ["deployment", "statefulset", "daemonset", "job", "cronjob", "several-containers"];

fn file(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("admission/pods/{case}.yaml"))
}

fn documents(case: &str) -> Vec<Value> {
    let text = fs::read_to_string(file(case)).expect(case);
    let documents = serde_norway::Deserializer::from_str(&text);
    documents.map(|document| Value::deserialize(document).expect(case)).collect()
}

/// What a user or a controller creates.
pub fn created(case: &str) -> Value {
    documents(case).remove(0)
}

/// The pod that is stored in the end, by the first of the two ways or by the second.
pub fn stored(case: &str, way: usize) -> Value {
    documents(case).remove(1 + way)
}

/// The template of a workload; a pod is its own.
pub fn template(object: &mut Value) -> &mut Value {
    match object["kind"].as_str() {
        Some("Pod") => object,
        Some("CronJob") => &mut object["spec"]["jobTemplate"]["spec"]["template"],
        _ => &mut object["spec"]["template"],
    }
}

/// The pod that a controller creates for a workload; a pod itself.
pub fn pod_of(object: &Value) -> Value {
    let mut object = object.clone();
    if object["kind"] == "Pod" {
        return object;
    }
    let (kind, name) =
        (object["kind"].clone(), object["metadata"]["name"].as_str().expect("a name").to_owned());
    let version = object["apiVersion"].clone();
    let mut pod = template(&mut object).take();
    (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
    pod["metadata"]["generateName"] = json!(format!("{name}-"));
    pod["metadata"]["namespace"] = json!("default");
    pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": version, "kind": kind, "name": name }]);
    pod
}

/// What is not as it is to be: the policies by themselves, and what they make of every case.
pub fn differences(way: usize, objects: &[Object]) -> Vec<String> {
    let mut differences: Vec<String> =
        objects.iter().filter(|object| object.is_policy()).flat_map(shape::wrong).collect();
    for case in CASES {
        let created = created(case);
        let workload = admit(objects, &created);
        if created["kind"] != "Pod" && workload.as_ref() != Ok(&created) {
            differences.push(format!("{case}: {workload:?}"));
        }
        let pod = admit(objects, &pod_of(&created));
        if pod.as_ref() != Ok(&stored(case, way)) {
            differences.push(format!("{case}: {pod:?}"));
        }
    }
    for untouched in [without_the_label(), static_pod()] {
        let pod = admit(objects, &untouched);
        if pod.as_ref() != Ok(&untouched) {
            differences.push(format!("{untouched}: {pod:?}"));
        }
    }
    differences
}

/// With an annotation that would be refused where there is one.
fn without_the_label() -> Value {
    let mut pod = pod_of(&created("deployment"));
    pod["metadata"]["labels"].as_object_mut().expect("labels").remove(LABEL);
    pod["metadata"]["annotations"] = json!({ CONTAINERS: "no such container" });
    pod
}

/// What the API has of a static pod. Each policy would change or refuse it.
fn static_pod() -> Value {
    let mut pod = pod_of(&created("deployment"));
    pod["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "0123456789abcdef" });
    pod["metadata"]["labels"][LABEL] = json!("setuid");
    let mut init = pod["spec"]["containers"][0].clone();
    init["env"] = json!([{ "name": "CAPSHIM_USER", "value": "app" }]);
    pod["spec"]["initContainers"] = json!([init]);
    pod
}

#[test]
fn every_labelled_pod_gets_the_shim_and_nothing_else_of_it_changes() {
    for (way, files) in WAYS.iter().enumerate() {
        assert_eq!(differences(way, &policy::load(files, &[])), Vec::<String>::new());
    }
}

/// What a policy puts into a pod is checked against its type on a real API server.
#[test]
fn kubectl_knows_every_field_of_every_pod() {
    needs!("kubectl");
    for (way, case) in [0, 1].into_iter().flat_map(|way| CASES.map(|case| (way, case))) {
        let pod = serde_norway::to_string(&stored(case, way)).expect("YAML");
        // An empty word is written since a policy cannot make an empty object. The type drops it.
        let lost: Vec<String> =
            lost_in_kubectl(&pod).into_iter().filter(|field| !field.ends_with(".emptyDir.medium")).collect();
        assert_eq!(lost, Vec::<String>::new(), "{case}");
    }
}

#[test]
fn every_policy_is_bound() {
    for files in WAYS {
        let objects = policy::load(&files, &[]);
        let (policies, bindings): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object.is_policy());
        assert_eq!((policies.len(), bindings.len()), (4, 4));
        for (policy, binding) in policies.iter().zip(bindings) {
            assert_eq!(policy.api_version, "admissionregistration.k8s.io/v1");
            assert_eq!(binding.kind, format!("{}Binding", policy.kind));
            assert_eq!(binding.api_version, policy.api_version);
            assert_eq!(binding.spec.policy_name, policy.metadata.name);
            let actions: &[&str] = if policy.spec.mutations.is_empty() { &["Deny"] } else { &[] };
            assert_eq!(binding.spec.validation_actions, actions);
        }
    }
}
