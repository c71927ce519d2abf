//! gVisor, whose kernel is a program of its own: what starts there, and how the rest is refused.

use std::process::Command;

use crate::container::{Container, Output};
use crate::engines::modes::release;
use crate::machine::Machine;
use crate::needs;

/// The ways in which it intercepts system calls, by the releases of Debian that have one that runs:
/// bookworm's is of 2022-12-19, trixie's of 2024-07-29.
fn platforms() -> &'static [&'static str] {
    match release().as_str() {
        "bookworm" => &["ptrace"],
        "trixie" => &["systrap", "ptrace"],
        _ => &[],
    }
}

const GROUPS: &str = "29, 1000, 1001";

/// Without a network and control groups, which are not what is tested.
fn run(mut container: Container, platform: &str) -> Output {
    let options = ["runsc", "--ignore-cgroups", "--network=none", &format!("--platform={platform}")];
    container.runtime = Machine::get().words(&container.path(".."));
    container.runtime.extend(options.map(String::from));
    container.run(&["/capshim", "/state"])
}

fn root(caps: &str) -> Container {
    let start = Container::root().capabilities(&["IPC_LOCK", "SETGID", "SETUID"]);
    start.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", caps)
}

fn user(caps: &str) -> Container {
    let start = Container::user(1000, 1000).capabilities(&["IPC_LOCK"]);
    start.file_caps("/capshim", "cap_ipc_lock=p").env("CAPSHIM_CAPS", caps)
}

#[test]
fn under_gvisor_a_capability_is_refused_and_starts_without_one_are_as_elsewhere() {
    if platforms().is_empty() {
        eprintln!("no gVisor of this release runs here");
        return;
    }
    needs!("runsc", "busybox", "nsenter", "setcap");
    for platform in platforms() {
        let stays = Container::user(0, 0).capabilities(&["IPC_LOCK"]).env("CAPSHIM_USER", "root");
        for start in [root("ipc_lock"), user("ipc_lock"), stays.env("CAPSHIM_CAPS", "ipc_lock")] {
            run(start, platform).refuses_saying(
                77,
                "this kernel or sandbox has no ambient capabilities, which would keep IPC_LOCK",
            );
        }
        for caps in ["none", "ipc_lock?"] {
            run(root(caps), platform).holds(1000, 1000, GROUPS, "none");
            run(user(caps), platform).holds(1000, 1000, "none", "none");
        }
    }
}

#[test]
fn the_releases_of_gvisor_that_are_named_here_are_those_that_run() {
    if platforms().is_empty() {
        return;
    }
    needs!("runsc");
    let said = Command::new("runsc").arg("--version").output().expect("runsc").stdout;
    let dates = [("bookworm", "20221219"), ("trixie", "20240729")];
    let date = dates.iter().find(|(name, _)| *name == release()).expect("a release").1;
    assert!(String::from_utf8_lossy(&said).contains(date));
}
