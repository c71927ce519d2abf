//! Which capabilities the application holds, one by one and together, and what is said where
//! one is not to be had.

use crate::harness::capabilities::NAMES;
use crate::harness::container::Container;
use crate::harness::starts::{GROUPS, app};

/// Granted these beside what a switch of user takes, and asked for this.
fn granted(names: &[&str], asked: &str) -> Container {
    let all = [names, &["SETGID", "SETUID"]].concat();
    app().capabilities(&all).env("CAPSHIM_CAPS", asked)
}

#[test]
fn every_capability_from_0_to_40_is_raised_alone() {
    for name in NAMES {
        let container = granted(&[name], &name.to_lowercase());
        // Not every machine's root holds this one; root of a user namespace does.
        let container = if name == "SYS_RESOURCE" {
            container.user_namespace(100_000, 65_536).env("CAPSHIM_LOG", "quiet")
        } else {
            container
        };
        container.shim(&["/state"]).is_exactly(1000, 1000, GROUPS, name);
    }
}

#[test]
fn combinations_on_both_sides_of_bit_32_are_raised_together() {
    for names in [
        &["CHOWN", "CHECKPOINT_RESTORE"][..],
        &["SETFCAP", "MAC_OVERRIDE"],
        &["SETUID"],
        &["SETGID", "SETUID", "SETPCAP"],
        &["NET_BIND_SERVICE", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "PERFMON", "BPF"],
    ] {
        granted(names, &names.join(",")).shim(&["/state"]).is_exactly(1000, 1000, GROUPS, &names.join(", "));
    }
    let all_but_one: Vec<&str> = NAMES.into_iter().filter(|name| *name != "SYS_RESOURCE").collect();
    granted(&all_but_one, &all_but_one.join(" ")).shim(&["/state"]).is_exactly(
        1000,
        1000,
        GROUPS,
        &all_but_one.join(", "),
    );
}

#[test]
fn what_is_granted_beyond_the_request_is_dropped() {
    let output = granted(&["NET_RAW", "KILL", "CHOWN"], "net_raw").shim(&["/state"]);
    output.is_exactly(1000, 1000, GROUPS, "NET_RAW");
    granted(&["NET_RAW", "KILL"], "none").shim(&["/state"]).is_exactly(1000, 1000, GROUPS, "none");
}

#[test]
fn a_missing_capability_is_named_with_the_field_and_the_flag() {
    granted(&["KILL"], "net_raw,kill,bpf").shim(&["/state"]).refuses(
        77,
        "capshim: not granted to this container, not in its bounding set: NET_RAW, BPF\n\
         capshim: hint: Kubernetes: securityContext.capabilities.add: [\"KILL\", \"SETGID\", \"SETUID\", \"NET_RAW\", \"BPF\"] (without CAP_: \
         containerd takes CAP_KILL for an unknown capability and does not say so); Docker/Podman: --cap-add KILL --cap-add SETGID \
         --cap-add SETUID --cap-add NET_RAW --cap-add BPF\n",
    );
}

#[test]
fn an_optional_capability_that_is_missing_is_one_warning() {
    let output = granted(&["NET_RAW"], "net_raw, perfmon?, bpf?").shim(&["/state"]);
    output.holds(1000, 1000, GROUPS, "NET_RAW");
    assert_eq!(
        output.stderr,
        "capshim: warning: left out as optional, because this container lacks them: PERFMON, BPF\n"
    );
    granted(&["NET_RAW", "BPF"], "net_raw?,bpf?").shim(&["/state"]).is_exactly(
        1000,
        1000,
        GROUPS,
        "NET_RAW, BPF",
    );
    let quiet = granted(&[], "bpf?").env("CAPSHIM_LOG", "quiet").shim(&["/state"]);
    quiet.is_exactly(1000, 1000, GROUPS, "none");
}

#[test]
fn an_optional_capability_in_a_non_root_start_is_left_out_too() {
    let output = Container::user(1000, 1000)
        .capabilities(&["NET_RAW"])
        .env("CAPSHIM_CAPS", "net_raw?")
        .shim(&["/state"]);
    output.holds(1000, 1000, "none", "none");
    assert_eq!(
        output.stderr,
        "capshim: warning: left out as optional, because this container lacks them: NET_RAW\n"
    );
}

#[test]
fn info_tells_what_was_granted_and_what_can_be_turned_into_root() {
    let container = granted(&["NET_RAW", "SYS_ADMIN", "BPF"], "net_raw,sys_admin,bpf").groups(&[0, 6, 2000]);
    let output = container.env("CAPSHIM_LOG", "info").shim(&["/state"]);
    output.holds(1000, 1000, "29, 1000, 1001, 2000", "NET_RAW, SYS_ADMIN, BPF");
    assert_eq!(
        output.stderr,
        "capshim: info: uid 1000, gid 1000, groups 29, 1000, 1001, 2000, capabilities NET_RAW, SYS_ADMIN, BPF, no_new_privs on\n\
         capshim: info: left out of the groups (root's own): 0; to keep one, list it: CAPSHIM_GROUPS=auto,0\n\
         capshim: info: left out of the groups (given to root by /etc/group or /etc/passwd): 6; to keep one, list it: CAPSHIM_GROUPS=auto,6\n\
         capshim: info: these can be turned into root in the container or on the node: SYS_ADMIN, BPF\n"
    );
}
