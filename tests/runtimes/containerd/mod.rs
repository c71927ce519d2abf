//! Kubernetes manifests under containerd, through its CRI socket as a kubelet uses it.

mod approaches;
mod column;
pub mod cri;
mod hooks;
mod image_volume;
mod kubelet;
pub mod kustomize;
mod levels;
pub mod manifest;
pub mod node;
mod pod;
pub mod pod_security;
mod refusals;
mod rollout;
pub mod schema;
mod servers;
mod starts;
mod status;

use crate::container::Output;

/// These lines of /state, word for word.
#[track_caller]
pub fn has(output: &Output, lines: &[(&str, &str)]) {
    assert_eq!(output.code, 0, "{}", output.stderr);
    for (name, value) in lines {
        assert_eq!(output.state().get(name), Some(value), "{name}, in:\n{}", output.stdout);
    }
}

/// What `kubectl describe` shows of a container that failed (terminationMessagePolicy:
/// FallbackToLogsOnError): the last 80 lines of its log, and of these the last 2048 bytes.
pub fn termination_message(output: &Output) -> String {
    let log = [output.stdout.as_str(), &output.stderr].concat();
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let last = lines[lines.len().saturating_sub(80)..].concat();
    String::from_utf8_lossy(&last.as_bytes()[last.len().saturating_sub(2048)..]).into_owned()
}
