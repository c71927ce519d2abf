//! Capabilities that count only in the initial user namespace: each tried for real in both, and what
//! the shim says of them.

use std::fs;

use capshim::model::caps::CapSet;

use crate::harness::container::{Container, Output, built, copy};
use crate::harness::starts::{app, as_user};

const WARNING: &str =
    "capshim: warning: this container has its own user namespace, where the kernel does not honour ";

/// Becomes `app` with this capability and makes the call that needs it.
fn tries(capability: &str) -> Container {
    let granted = [capability, "SETGID", "SETUID"];
    let container = as_user("app").capabilities(&granted).env("CAPSHIM_CAPS", &capability.to_lowercase());
    copy([built("initial_only")], &container.path("initial_only"));
    container.env("CAPSHIM_LOG", "quiet")
}

/// PROC_PID_INIT_INO of the kernel's proc_ns.h.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What the kernel says where the capability does not count.
fn denial(capability: &str) -> &'static str {
    match capability {
        "IPC_LOCK" => "ENOMEM\n",
        "SYS_NICE" | "LEASE" | "PERFMON" => "EACCES\n",
        "AUDIT_WRITE" | "AUDIT_CONTROL" => "ECONNREFUSED\n",
        _ => "EPERM\n",
    }
}

/// Those that this machine's root holds.
fn of_this_machine() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let bits = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).expect("a bounding set");
    CapSet::from_bits(u64::from_str_radix(bits, 16).expect("bits")).names().collect()
}

#[test]
fn each_capability_of_the_list_counts_in_the_initial_user_namespace_alone() {
    for capability in CapSet::OF_INITIAL_NAMESPACE.names() {
        let command = ["/initial_only", capability.as_str()];
        let inside = tries(&capability).user_namespace(100_000, 65_536).shim(&command);
        if inside.stdout == "ENOSYS\n" {
            println!("{capability}: this kernel has no such call");
            continue;
        }
        assert_eq!(inside.stdout, denial(&capability), "{capability} inside");
        if !of_this_machine().contains(&capability) {
            println!("{capability}: not tried outside, as this machine's root does not have it");
            continue;
        }
        // The audit subsystem is set up from the initial PID namespace alone. These tests may be in another.
        let namespace = fs::read_link("/proc/self/ns/pid").expect("a namespace");
        if capability == "AUDIT_CONTROL" && namespace.to_str() != Some(INITIAL_PID_NAMESPACE) {
            println!("{capability}: not tried outside, in a PID namespace");
            continue;
        }
        let outside = tries(&capability).configured(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces");
            namespaces.retain(|namespace| namespace["type"] != "pid");
        });
        assert_eq!(
            outside.run(&[&["/capshim"], &command[..]].concat()).stdout,
            "done\n",
            "{capability} outside"
        );
    }
}

fn asks(caps: &str) -> Container {
    app().capabilities(&["IPC_LOCK", "NET_RAW", "SETGID", "SETUID", "SYS_TIME"]).env("CAPSHIM_CAPS", caps)
}

#[test]
fn what_does_not_count_is_a_warning_and_no_refusal() {
    let output = asks("ipc_lock,net_raw,sys_time").user_namespace(100_000, 65_536).shim(&["/state"]);
    output.holds(1000, 1000, "29, 1000, 1001", "NET_RAW, IPC_LOCK, SYS_TIME");
    let cure = ": what needs it will fail (Kubernetes: hostUsers: true; Docker/Podman: --userns host, and not rootless)\n";
    assert_eq!(output.stderr, format!("{WARNING}IPC_LOCK, SYS_TIME{cure}"));
    let report = asks("ipc_lock").user_namespace(100_000, 65_536).run(&["/capshim", "--check", "/state"]);
    let words = report.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("where the kernel does not honour IPC_LOCK: what needs it will fail"), "{words}");
    assert_eq!(report.code, 0);
    // Not of one that counts, nor in the node's own namespace.
    asks("net_raw").user_namespace(100_000, 65_536).shim(&["/state"]).is_exactly(
        1000,
        1000,
        "29, 1000, 1001",
        "NET_RAW",
    );
    asks("ipc_lock").shim(&["/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}

fn runs(output: &Output, is_warned: bool) {
    output.holds(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    assert_eq!(output.stderr.starts_with(&format!("{WARNING}IPC_LOCK: ")), is_warned, "{}", output.stderr);
}

#[test]
fn a_namespace_that_lacks_ids_is_told_whatever_its_ids_are() {
    // The node's own ids, but not all of them; and all of them.
    runs(&asks("ipc_lock").user_namespace(0, 65_536).shim(&["/state"]), true);
    runs(&asks("ipc_lock").user_namespace(0, u32::MAX).shim(&["/state"]), false);
}

#[test]
fn a_namespace_is_told_without_proc() {
    let caps = ["IPC_LOCK", "SETGID", "SETUID", "SYS_ADMIN"];
    let launch = ["/launch", "--unmount", "/proc", "--", "/capshim", "/state"];
    runs(&asks("ipc_lock").capabilities(&caps).run(&launch), false);
    runs(&asks("ipc_lock").capabilities(&caps).user_namespace(100_000, 65_536).run(&launch), true);
}

#[test]
fn who_may_change_owners_or_make_no_pipe_is_not_told_of_the_nodes_namespace() {
    runs(&asks("ipc_lock").capabilities(&["CHOWN", "IPC_LOCK", "SETGID", "SETUID"]).shim(&["/state"]), false);
    runs(&asks("ipc_lock").deny("pipe2", libc::EPERM).shim(&["/state"]), false);
    runs(
        &asks("ipc_lock").deny("pipe2", libc::EPERM).user_namespace(100_000, 65_536).shim(&["/state"]),
        false,
    );
}
