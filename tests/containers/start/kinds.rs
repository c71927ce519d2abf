//! How a container may be started (every row of the table in docs/reference.md), and what the
//! application then holds.

use crate::harness::container::{Container, ROOTS_GROUPS};
use crate::harness::starts::{app, lock};

/// A non-root start of a shim whose own file carries these capabilities.
fn file_start(file: &str, granted: &[&str]) -> Container {
    Container::user(1000, 1000)
        .capabilities(granted)
        .file_caps("/capshim", file)
        .env("CAPSHIM_CAPS", "ipc_lock")
}

#[test]
fn a_root_start_ends_as_the_user_with_exactly_the_capability() {
    let groups = [&ROOTS_GROUPS[..], &[2000, 3000]].concat();
    let output = lock().groups(&groups).shim(&["/state", "credentials", "process", "environment"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001, 2000, 3000", "IPC_LOCK");
    let state = output.state();
    assert_eq!(state["bounding"], "SETGID, SETUID, IPC_LOCK");
    assert_eq!((state["pid"], state["processes"], state["threads"]), ("1", "1", "1"));
    assert_eq!((state["dumpable"], state["at_secure"], state["cwd"]), ("on", "off", "/"));
    assert!(output.stdout.ends_with("PATH=/bin\nHOME=/home/app\n"), "{}", output.stdout);
}

#[test]
fn locking_memory_works_with_the_shim_and_fails_without() {
    let with = lock().shim(&["/lock_memory"]);
    assert_eq!((with.code, with.stdout.as_str()), (0, "mlock of 64 MiB: locked\n"));
    let without = Container::user(1000, 1000).capabilities(&["IPC_LOCK"]).run(&["/lock_memory"]);
    assert_eq!((without.code, without.stdout.as_str()), (1, "mlock of 64 MiB: ENOMEM: Out of memory\n"));
}

#[test]
fn a_low_port_is_bound_with_the_shim_and_refused_without() {
    let granted = ["NET_BIND_SERVICE", "SETGID", "SETUID"];
    let with = app().capabilities(&granted).env("CAPSHIM_CAPS", "net_bind_service");
    assert_eq!(with.shim(&["/bind_port", "80"]).stdout, "bind of port 80: bound\n");
    let without = Container::user(1000, 1000).capabilities(&["NET_BIND_SERVICE"]).run(&["/bind_port", "80"]);
    assert_eq!(without.stdout, "bind of port 80: Permission denied (os error 13)\n");
}

#[test]
fn what_an_outer_process_left_inheritable_is_not_passed_on() {
    let many = ["IPC_LOCK", "SETGID", "SETUID", "NET_RAW", "CHOWN", "KILL"];
    let start = Container::root().capabilities(&many).set("inheritable", &many).set("ambient", &many);
    let output = start.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock").shim(&["/state"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}

#[test]
fn the_bounding_set_becomes_the_request_where_setpcap_is_granted() {
    let granted = ["IPC_LOCK", "SETGID", "SETUID", "SETPCAP", "NET_RAW", "CHECKPOINT_RESTORE"];
    let output = lock().capabilities(&granted).shim(&["/state"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    assert_eq!(output.state()["bounding"], "IPC_LOCK");
    let none = lock().capabilities(&granted).without_env("CAPSHIM_CAPS").shim(&["/state"]);
    none.is_exactly(1000, 1000, "29, 1000, 1001", "none");
    assert_eq!(none.state()["bounding"], "none");
}

#[test]
fn no_new_privs_set_by_the_runtime_hinders_nothing() {
    lock().no_new_privs().shim(&["/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}

#[test]
fn a_non_root_start_raises_what_the_shims_own_file_carries() {
    for container in [
        file_start("cap_ipc_lock=p", &["IPC_LOCK"]),
        file_start("cap_ipc_lock=p", &["IPC_LOCK"]).no_new_privs(),
    ] {
        let output = container.shim(&["/state", "credentials", "process"]);
        output.is_exactly(1000, 1000, "none", "IPC_LOCK");
        let state = output.state();
        assert_eq!((state["at_secure"], state["dumpable"], state["bounding"]), ("off", "on", "IPC_LOCK"));
    }
    assert_eq!(file_start("cap_ipc_lock=p", &["IPC_LOCK"]).no_new_privs().shim(&["/lock_memory"]).code, 0);
}

#[test]
fn a_non_root_start_drops_what_the_file_carries_beyond_the_request() {
    let both = ["IPC_LOCK", "NET_RAW"];
    let output = file_start("cap_ipc_lock,cap_net_raw=p", &both).shim(&["/state"]);
    output.is_exactly(1000, 1000, "none", "IPC_LOCK");
    assert_eq!(output.state()["bounding"], "NET_RAW, IPC_LOCK");
}

#[test]
fn a_non_root_start_raises_what_the_runtime_made_ambient() {
    let both = ["IPC_LOCK", "NET_RAW"];
    let start =
        || Container::user(1000, 1000).capabilities(&both).set("inheritable", &both).set("ambient", &both);
    start().env("CAPSHIM_CAPS", "ipc_lock,net_raw").shim(&["/state"]).is_exactly(
        1000,
        1000,
        "none",
        "NET_RAW, IPC_LOCK",
    );
    start().env("CAPSHIM_CAPS", "ipc_lock").shim(&["/state"]).is_exactly(1000, 1000, "none", "IPC_LOCK");
    start().env("CAPSHIM_CAPS", "none").shim(&["/state"]).is_exactly(1000, 1000, "none", "none");
    // What was ambient came from no file, so there is none to take more from.
    let off = start().env("CAPSHIM_CAPS", "ipc_lock").env("CAPSHIM_NO_NEW_PRIVS", "0").shim(&["/state"]);
    assert_eq!((off.code, off.state()["permitted"], off.state()["no_new_privs"]), (0, "IPC_LOCK", "off"));
}

#[test]
fn a_non_root_start_with_nothing_to_do_still_ends_exact() {
    let output = Container::user(1000, 1000).groups(&[2000]).env("CAPSHIM_CAPS", "none").shim(&["/state"]);
    output.is_exactly(1000, 1000, "2000", "none");
    let output = Container::user(1000, 1000).env("CAPSHIM_USER", "app").shim(&["/state"]);
    output.is_exactly(1000, 1000, "none", "none");
}

#[test]
fn the_runtimes_user_stands_in_a_non_root_start_and_a_baked_in_one_is_warned_about() {
    // An arbitrary uid as OpenShift gives it: gid 0, no entry in /etc/passwd.
    let openshift = Container::user(1_000_680_000, 0).groups(&[1_000_680_000]).env("CAPSHIM_USER", "app");
    let output = openshift.shim(&["/state", "credentials", "environment"]);
    output.holds(1_000_680_000, 0, "1000680000", "none");
    assert_eq!(
        output.stderr,
        "capshim: warning: the runtime started this container as uid 1000680000 gid 0; these stay, and CAPSHIM_USER=app is not used\n"
    );
    assert!(output.stdout.ends_with("HOME=/\n"), "{}", output.stdout);
    for same in ["app", "1000", "1000:1000", "app:app"] {
        let output = Container::user(1000, 1000).env("CAPSHIM_USER", same).shim(&["/state"]);
        output.is_exactly(1000, 1000, "none", "none");
    }
    let quiet =
        Container::user(1000, 0).env("CAPSHIM_USER", "app").env("CAPSHIM_LOG", "quiet").shim(&["/state"]);
    quiet.is_exactly(1000, 0, "none", "none");
}

#[test]
fn staying_root_on_purpose_narrows_root_to_the_request() {
    for user in ["root", "0", "0:0", "root:root"] {
        let start = Container::root()
            .capabilities(&["IPC_LOCK", "NET_RAW", "SETUID"])
            .env("CAPSHIM_CAPS", "ipc_lock");
        let output = start.groups(&[0, 10]).env("CAPSHIM_USER", user).shim(&["/state"]);
        output.is_exactly(0, 0, "0, 10", "IPC_LOCK");
        assert_eq!(output.state()["bounding"], "SETUID, NET_RAW, IPC_LOCK");
    }
    let scratch = Container::root().without("/etc/passwd").without("/etc/group").env("CAPSHIM_USER", "root");
    scratch.shim(&["/state"]).is_exactly(0, 0, "none", "none");
}

#[test]
fn staying_root_may_change_the_group_where_setgid_is_granted() {
    let output =
        Container::root().env("CAPSHIM_USER", "0:1000").env("CAPSHIM_GROUPS", "none").shim(&["/state"]);
    output.is_exactly(0, 1000, "1000", "none");
    let output =
        Container::user(0, 500).capabilities(&["SETGID"]).env("CAPSHIM_USER", "root").shim(&["/state"]);
    output.is_exactly(0, 0, "0", "none");
}

#[test]
fn root_without_no_new_privs_needs_a_bounding_set_that_equals_the_request() {
    let root = |granted: &[&str]| {
        Container::root()
            .capabilities(granted)
            .env("CAPSHIM_USER", "root")
            .env("CAPSHIM_CAPS", "ipc_lock")
            .env("CAPSHIM_NO_NEW_PRIVS", "0")
    };
    for granted in [&["IPC_LOCK"][..], &["IPC_LOCK", "NET_RAW", "SETPCAP"]] {
        let output = root(granted).shim(&["/state"]);
        let state = output.state();
        assert_eq!(state["no_new_privs"], "off");
        for set in ["inheritable", "permitted", "effective", "ambient", "bounding"] {
            assert_eq!(state[set], "IPC_LOCK", "{set}");
        }
    }
    root(&["IPC_LOCK", "NET_RAW"]).shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_NO_NEW_PRIVS='0' would give root the whole bounding set at exec, which has NET_RAW beyond CAPSHIM_CAPS\n\
         capshim: hint: leave CAPSHIM_NO_NEW_PRIVS out; or grant no more than is asked for: Kubernetes: securityContext.capabilities.drop: [\"ALL\"] \
         and securityContext.capabilities.add: [\"IPC_LOCK\"]; Docker/Podman: --cap-drop ALL --cap-add IPC_LOCK\n",
    );
}

#[test]
fn root_without_a_user_is_refused() {
    Container::root().env("CAPSHIM_CAPS", "none").shim(&["/state"]).refuses(
        78,
        "capshim: started as root and CAPSHIM_USER is not set\n\
         capshim: hint: set it (Kubernetes: env; Docker/Podman: -e): CAPSHIM_USER=app, a user of the image; or CAPSHIM_USER=1000:1000, uid and gid; \
         or CAPSHIM_USER=root, which stays root on purpose\n",
    );
}

#[test]
fn a_set_user_id_or_set_group_id_installation_is_refused() {
    for (mode, ids) in [
        (0o4755, "real uid 1000 gid 1000, effective uid 0 gid 1000"),
        (0o2755, "real uid 1000 gid 1000, effective uid 1000 gid 0"),
    ] {
        let start = Container::user(1000, 1000).mode("/capshim", mode).env("CAPSHIM_USER", "root");
        start.shim(&["/state"]).refuses(
            78,
            &format!(
                "capshim: started set-user-ID or set-group-ID ({ids})\n\
                 capshim: hint: remove the bits: chmod u-s,g-s /capshim (a start as root, or file capabilities, do what they were meant to do)\n"
            ),
        );
    }
}

#[test]
fn no_new_privs_off_is_refused_where_the_shims_file_carries_more() {
    let both = ["IPC_LOCK", "NET_RAW"];
    let start = || file_start("cap_ipc_lock,cap_net_raw=p", &both).env("CAPSHIM_NO_NEW_PRIVS", "0");
    start().shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_NO_NEW_PRIVS='0' would let the application run this program again and take NET_RAW from its file capabilities\n\
         capshim: hint: leave CAPSHIM_NO_NEW_PRIVS out; or give the file no more than CAPSHIM_CAPS asks for: setcap cap_ipc_lock=p /capshim\n",
    );
    let exact = file_start("cap_ipc_lock=p", &both).env("CAPSHIM_NO_NEW_PRIVS", "0").shim(&["/state"]);
    assert_eq!((exact.state()["ambient"], exact.state()["no_new_privs"]), ("IPC_LOCK", "off"));
}

#[test]
fn no_new_privs_off_is_refused_where_the_runtime_has_set_it() {
    lock().no_new_privs().env("CAPSHIM_NO_NEW_PRIVS", "0").shim(&["/state"]).refuses(
        77,
        "capshim: CAPSHIM_NO_NEW_PRIVS='0' is not possible: the runtime has set no_new_privs for this container\n\
         capshim: hint: Kubernetes: securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt \
         no-new-privileges; or leave CAPSHIM_NO_NEW_PRIVS out\n",
    );
}

#[test]
fn a_setuid_root_program_gives_nothing_back_by_default() {
    let start = || lock().mode("/state", 0o4755);
    start().shim(&["/bin/sh", "-c", "/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    start().shim(&["/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}

#[test]
fn without_no_new_privs_a_setuid_root_program_has_the_bounding_set() {
    let start = || lock().mode("/state", 0o4755).env("CAPSHIM_NO_NEW_PRIVS", "0");
    let narrow = start().shim(&["/bin/sh", "-c", "/state"]);
    assert_eq!(
        (narrow.state()["uid"], narrow.state()["permitted"]),
        ("1000/0/0", "SETGID, SETUID, IPC_LOCK")
    );
    let dropped =
        start().capabilities(&["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"]).shim(&["/bin/sh", "-c", "/state"]);
    assert_eq!((dropped.state()["uid"], dropped.state()["permitted"]), ("1000/0/0", "IPC_LOCK"));
}

#[test]
fn a_gosu_style_script_prepares_as_root_and_ends_as_the_user() {
    let script = include_str!("../../../examples/entrypoint.sh");
    let granted = ["CHOWN", "IPC_LOCK", "SETGID", "SETUID"];
    let start = lock()
        .capabilities(&granted)
        .file("/entrypoint.sh", script)
        .mode("/entrypoint.sh", 0o755)
        .folder("/data");
    let output = start.run(&["/entrypoint.sh", "/bin/sh", "-c", "touch /data/mine && /state"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}

#[test]
fn a_second_capshim_inside_finds_no_settings_and_says_so() {
    lock().run(&["/capshim", "/capshim", "/state"]).refuses(
        78,
        "capshim: neither CAPSHIM_USER nor CAPSHIM_CAPS is set\n\
         capshim: hint: set CAPSHIM_USER=app (or uid:gid) and CAPSHIM_CAPS=ipc_lock (a list, or none) in the pod's env:, with \
         docker run -e, or by ENV; a capshim that ran before in this container has removed its own\n",
    );
}

#[test]
fn no_new_privs_off_is_refused_in_a_root_start_too_where_the_shims_file_carries_more() {
    let start = |caps: &str| {
        let start =
            lock().without_env("CAPSHIM_CAPS").env("CAPSHIM_CAPS", caps).env("CAPSHIM_NO_NEW_PRIVS", "0");
        start.file_caps("/capshim", "cap_ipc_lock=p")
    };
    start("none").shim(&["/state"]).refuses_saying(
        78,
        "CAPSHIM_NO_NEW_PRIVS='0' would let the application run this program again and take IPC_LOCK from its file capabilities",
    );
    assert_eq!(start("ipc_lock").shim(&["/state"]).state()["ambient"], "IPC_LOCK");
    // With SETPCAP the bounding set shrinks, and there is nothing left to take.
    let dropped = start("none").capabilities(&["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"]).shim(&["/state"]);
    assert_eq!(dropped.state()["bounding"], "none");
}

#[test]
fn a_gid_alone_that_differs_from_the_baked_in_user_is_warned_about() {
    let output = Container::user(1000, 0).env("CAPSHIM_USER", "app").shim(&["/state"]);
    output.holds(1000, 0, "none", "none");
    assert_eq!(
        output.stderr,
        "capshim: warning: the runtime started this container as uid 1000 gid 0; these stay, and CAPSHIM_USER=app is not used\n"
    );
}
