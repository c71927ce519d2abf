//! The manifests are what Kubernetes takes, and agree with each other.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::kustomize::example;
use super::manifest::{folder, load, of_document, parse};
use crate::{images, needs};

/// The files with one object each.
pub fn files() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut files: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    files.push("kustomize/example/deployment.yaml".into());
    files.sort();
    files
}

pub fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).expect("a file")
}

#[test]
fn every_manifest_names_known_images_and_shows_a_refusal_in_the_pod_s_status() {
    assert!(files().len() > 10);
    let pods = files().into_iter().map(|file| (load(&file), file));
    for (manifest, file) in pods.chain([(parse(&of_document()).remove(0), "docs/non-root.md".to_owned())]) {
        let pod = manifest.spec.template.spec;
        for container in pod.init_containers.iter().chain(&pod.containers) {
            let known = images::names().any(|name| name == container.image) || container.image == "theirs";
            assert!(known, "{file}: {}", container.image);
            let policy = container.termination_message_policy.as_deref();
            assert_eq!(policy, Some("FallbackToLogsOnError"), "{file}: {}", container.name);
        }
        for image in pod.volumes.iter().filter_map(|volume| volume.image.as_ref()) {
            assert!(images::names().any(|name| name == image.reference), "{file}: {}", image.reference);
        }
    }
}

/// What kubectl's own types keep of a manifest, without a server: a field that they don't know
/// is not in it.
fn known_to_kubectl(manifest: &str) -> Value {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["set", "env", "--local", "--filename", "-", "--output", "json", "KUBECTL=1"]);
    let mut kubectl =
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl");
    kubectl.stdin.take().expect("a pipe").write_all(manifest.as_bytes()).expect("the manifest");
    serde_json::from_slice(&images::output(kubectl.wait_with_output().expect("kubectl"))).expect("JSON")
}

/// What of the first is missing or different in the second.
fn lost(written: &Value, kept: &Value, at: &str) -> Vec<String> {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => {
            let fields = written.iter();
            fields
                .flat_map(|(name, value)| {
                    lost(value, kept.get(name).unwrap_or(&Value::Null), &format!("{at}.{name}"))
                })
                .collect()
        }
        (Value::Array(written), Value::Array(kept)) if written.len() <= kept.len() => {
            let pairs = written.iter().zip(kept).enumerate();
            pairs
                .flat_map(|(index, (written, kept))| lost(written, kept, &format!("{at}[{index}]")))
                .collect()
        }
        (written, kept) if written == kept => Vec::new(),
        _ => vec![at.to_owned()],
    }
}

pub fn lost_in_kubectl(manifest: &str) -> Vec<String> {
    let written: Value = serde_norway::from_str(manifest).expect("YAML");
    lost(&written, &known_to_kubectl(manifest), "")
}

#[test]
fn kubectl_knows_every_field_of_every_manifest() {
    needs!("kubectl");
    let whole = [("kustomize".to_owned(), example()), ("docs/non-root.md".to_owned(), of_document())];
    for (file, text) in files().into_iter().map(|file| (file.clone(), read(&file))).chain(whole) {
        assert_eq!(lost_in_kubectl(&text), Vec::<String>::new(), "{file}");
    }
    let typo = read("root-start.yaml").replace("allowPrivilegeEscalation", "allowPrivilegesEscalation");
    assert_eq!(
        lost_in_kubectl(&typo),
        [".spec.template.spec.containers[0].securityContext.allowPrivilegesEscalation"]
    );
}
