//! Each manifest as it is pasted: what the application holds.

use super::manifest::load;
use super::node::Node;
use crate::needs;

#[test]
fn a_root_start_gives_the_application_exactly_the_capability() {
    needs!("containerd", "ctr", "runc", "busybox", "unshare");
    let node = Node::start();
    let spec = load("root-start.yaml").spec.template.spec;
    let pod = node.pod(&spec);
    let output = pod.run(&spec.containers[0]).expect("a start");
    output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}
