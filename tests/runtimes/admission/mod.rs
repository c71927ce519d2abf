//! The admission policies of `examples/kubernetes/admission`, without an API server: their CEL is
//! parsed, checked and run over pods and workloads as an API server hands them over, and what comes
//! out is compared whole and started under containerd.
//!
//! The order and the rules are those of k8s.io/apiserver, pkg/admission/plugin/policy.

mod apply;
mod breaks;
mod expression;
mod kustomized;
mod pods;
mod policy;
mod refusals;
mod server;
mod shape;
mod started;

/// The files of each of the two ways to bring the shim.
const BY_IMAGE_VOLUME: [&str; 3] = ["inject.yaml", "validate.yaml", "guard.yaml"];
const BY_INIT_CONTAINER: [&str; 3] = ["inject-init-container.yaml", "validate.yaml", "guard.yaml"];
const WAYS: [[&str; 3]; 2] = [BY_IMAGE_VOLUME, BY_INIT_CONTAINER];

const LABEL: &str = "capshim.internal/caps";
const CONTAINERS: &str = "capshim.internal/containers";
