//! Kubernetes manifests under containerd, through its CRI socket as a kubelet uses it.

mod cri;
mod hooks;
mod kubelet;
mod kustomize;
mod levels;
mod manifest;
mod node;
mod pod;
mod pod_security;
mod refusals;
mod schema;
mod servers;
mod starts;
mod status;

use crate::container::Output;

/// These lines of /state, word for word.
#[track_caller]
fn has(output: &Output, lines: &[(&str, &str)]) {
    assert_eq!(output.code, 0, "{}", output.stderr);
    for (name, value) in lines {
        assert_eq!(output.state().get(name), Some(value), "{name}, in:\n{}", output.stdout);
    }
}
