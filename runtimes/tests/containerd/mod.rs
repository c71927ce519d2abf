//! Kubernetes manifests under containerd, through its CRI socket as a kubelet uses it.

mod cri;
mod kubelet;
mod manifest;
mod node;
mod starts;
