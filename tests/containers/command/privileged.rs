//! Commands whose file has capabilities or set-id bits of its own, which make the kernel
//! clear the ambient set: refused where the application would not hold what was asked.

use crate::harness::container::Container;
use crate::harness::container::output::lines;
use crate::harness::starts::{self, GROUPS, app};

/// What a hint says of a file that gives NET_RAW.
const RAW: &str = "; or ask for what the file gives: CAPSHIM_CAPS=net_raw";

/// Asked for IPC_LOCK; NET_RAW is in the bounding set too.
fn lock() -> Container {
    starts::lock().capabilities(&["IPC_LOCK", "NET_RAW", "SETGID", "SETUID"])
}

#[track_caller]
fn refused(container: Container, command: &[&str], cause: &str, instead: &str) {
    let file = cause.split(':').next().unwrap_or_default();
    let remove = format!(
        "remove them when the image is built, capshim gives the capabilities instead: setcap -r {file}; or replace the file by a \
         copy, which has none: cp {file} {file}.new && mv {file}.new {file}"
    );
    container.shim(command).refuses(126, &lines(cause, &format!("{remove}{instead}")));
}

/// Four sets, in the order inheritable, permitted, effective, ambient.
#[track_caller]
fn sets(container: Container, expected: [&str; 4]) {
    let output = container.shim(&["/state"]);
    let state = output.state();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(["inheritable", "permitted", "effective", "ambient"].map(|set| state[set]), expected);
}

#[test]
fn a_file_that_gives_exactly_the_request_runs_without_ambient() {
    let lost = ["IPC_LOCK", "IPC_LOCK", "IPC_LOCK", "none"];
    sets(lock().file_caps("/state", "cap_ipc_lock=ep"), lost);
    sets(lock().file_caps("/state", "cap_ipc_lock=ei"), lost);
    // no_new_privs cuts what the file would add.
    sets(lock().file_caps("/state", "cap_ipc_lock,cap_net_raw=ep"), lost);
    sets(lock().env("CAPSHIM_NO_NEW_PRIVS", "0").file_caps("/state", "cap_ipc_lock=ep"), lost);
    let told = lock().env("CAPSHIM_LOG", "info").file_caps("/state", "cap_ipc_lock=ep").shim(&["/state"]);
    let line = "capshim: info: /state has file capabilities: the programs that it starts will not inherit IPC_LOCK, \
                and it runs in secure mode (ld.so(8)): LD_LIBRARY_PATH, LD_PRELOAD, NODE_OPTIONS and the like are ignored\n";
    assert!(told.stderr.ends_with(line), "{}", told.stderr);
}

#[test]
fn a_file_that_would_leave_less_is_refused() {
    let asks = "and CAPSHIM_CAPS asks for IPC_LOCK";
    for (caps, would_be, instead) in [
        ("cap_ipc_lock=p", "permitted IPC_LOCK and effective none", ""),
        ("cap_net_raw=ep", "permitted none and effective none", RAW),
        ("=", "permitted none and effective none", ""),
        ("cap_ipc_lock=i", "permitted IPC_LOCK and effective none", ""),
    ] {
        let cause = format!("/state: its file capabilities would leave the application {would_be}, {asks}");
        refused(lock().file_caps("/state", caps), &["/state"], &cause, instead);
    }
}

#[test]
fn a_file_that_would_give_more_is_refused() {
    let start = lock().env("CAPSHIM_NO_NEW_PRIVS", "0").file_caps("/state", "cap_ipc_lock,cap_net_raw=ep");
    refused(
        start,
        &["/state"],
        "/state: its file capabilities would leave the application permitted NET_RAW, IPC_LOCK and effective NET_RAW, IPC_LOCK, \
         and CAPSHIM_CAPS asks for IPC_LOCK",
        "; or ask for what the file gives: CAPSHIM_CAPS=net_raw,ipc_lock",
    );
}

#[test]
fn a_file_that_demands_what_was_not_granted_is_refused_before_exec_fails() {
    refused(
        lock().file_caps("/state", "cap_sys_admin,cap_ipc_lock=ep"),
        &["/state"],
        "/state: its file capabilities demand SYS_ADMIN, not granted to this container, so it cannot be executed",
        "",
    );
    let root = Container::root().env("CAPSHIM_USER", "root").file_caps("/state", "cap_sys_admin=ep");
    refused(
        root,
        &["/state"],
        "/state: its file capabilities demand SYS_ADMIN, not granted to this container, so it cannot be executed",
        "",
    );
}

#[test]
fn a_file_that_demands_what_nobody_asked_for_is_told_apart() {
    let granted = ["NET_RAW", "SETGID", "SETUID", "SETPCAP"];
    let start = app().capabilities(&granted).file_caps("/state", "cap_net_raw=ep");
    refused(
        start,
        &["/state"],
        "/state: its file capabilities demand NET_RAW, which CAPSHIM_CAPS does not ask for, so it cannot be executed",
        RAW,
    );
}

#[test]
fn a_script_counts_with_its_interpreters_file() {
    let cause = "/interpreter: its file capabilities would leave the application permitted none and effective none, and CAPSHIM_CAPS asks for IPC_LOCK";
    let image = || lock().copy("/bin/busybox", "/interpreter").file_caps("/interpreter", "cap_net_raw=ep");
    let script = image().file("/script", "#!/interpreter sh\n/state\n").mode("/script", 0o755);
    refused(script, &["/script"], cause, RAW);
    // A script whose interpreter is a script.
    let chain = image().file("/outer", "#!/inner\n").file("/inner", "#! /interpreter sh\n/state\n");
    refused(chain.mode("/outer", 0o755).mode("/inner", 0o755), &["/outer"], cause, RAW);
    // The script's own attributes do not count.
    let own = lock()
        .file("/script", "#!/bin/sh\n/state\n")
        .mode("/script", 0o6755)
        .file_caps("/script", "cap_net_raw=ep");
    own.env("CAPSHIM_NO_NEW_PRIVS", "1").shim(&["/script"]).is_exactly(1000, 1000, GROUPS, "IPC_LOCK");
}

#[test]
fn scripts_are_followed_as_far_as_the_kernel_follows_them() {
    let chain = |length: usize| {
        let container = lock().file("/s0", "#!/bin/sh\n/state\n").mode("/s0", 0o755);
        (1..length).fold(container, |container, i| {
            container.file(&format!("/s{i}"), format!("#!/s{}\n", i - 1)).mode(&format!("/s{i}"), 0o755)
        })
    };
    chain(5).shim(&["/s4"]).is_exactly(1000, 1000, GROUPS, "IPC_LOCK");
    chain(6).shim(&["/s5"]).refuses(
        126,
        "capshim: execve(/s5): ELOOP: Too many symbolic links encountered\n\
         capshim: hint: scripts whose interpreters are scripts: name a program in the first line of /s5\n",
    );
    let capped = chain(5).without("/s0").copy("/bin/busybox", "/s0").file_caps("/s0", "cap_net_raw=ep");
    capped.shim(&["/s4"]).refuses_saying(126, "/s0: its file capabilities would leave");
}

#[test]
fn file_capabilities_that_the_kernel_ignores_are_ignored() {
    let mounted = lock().copy("/state", "/shared/state").file_caps("/shared/state", "cap_net_raw=ep").bind(
        "/shared",
        "/nosuid",
        &["nosuid"],
    );
    mounted.shim(&["/nosuid/state"]).is_exactly(1000, 1000, GROUPS, "IPC_LOCK");
}

#[test]
fn file_capabilities_of_the_outer_namespace_are_ignored_inside_a_user_namespace() {
    // Those of this namespace's own root count, those of one that has no id here do not.
    let start = || lock().env("CAPSHIM_LOG", "quiet").user_namespace(100_000, 65_536);
    let inside = start().file_caps_of_namespace("/state", 100_000, 1 << 14, true);
    sets(inside, ["IPC_LOCK", "IPC_LOCK", "IPC_LOCK", "none"]);
    let foreign = start().file_caps_of_namespace("/state", 300_000, 1 << 13, true);
    foreign.shim(&["/state"]).is_exactly(1000, 1000, GROUPS, "IPC_LOCK");
}

#[test]
fn file_capabilities_of_some_other_namespace_are_taken_to_count() {
    // Revision 3, for a namespace whose root is 100000. Here they do not count; in a child of
    // that namespace they would, and from inside the two look alike.
    let start = |permitted: u32| lock().file_caps_of_namespace("/state", 100_000, permitted, true);
    let cause = "/state: its file capabilities would leave the application permitted none and effective none, and CAPSHIM_CAPS asks for IPC_LOCK";
    refused(start(1 << 13), &["/state"], cause, RAW);
    sets(start(1 << 14), ["IPC_LOCK"; 4]);
}

#[test]
fn file_capabilities_count_where_their_root_has_another_id() {
    // The root of the initial namespace is 2000 inside, and its file capabilities count there.
    let launch = [
        "/launch",
        "--user-namespace",
        "0 100000 1,1000 1000 1,2000 0 1",
        "--user",
        "0",
        "--",
        "/capshim",
        "/state",
    ];
    let granted = ["IPC_LOCK", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SYS_ADMIN"];
    let start = |caps: &str| {
        let container = Container::root()
            .capabilities(&granted)
            .env("CAPSHIM_USER", "1000:1000")
            .env("CAPSHIM_CAPS", "ipc_lock");
        container.file_caps("/state", caps).run(&launch)
    };
    start("cap_net_raw=p").refuses_saying(
        126,
        "/state: its file capabilities would leave the application permitted none and effective none",
    );
    assert_eq!(start("cap_ipc_lock=ep").state()["effective"], "IPC_LOCK");
}

#[test]
fn set_id_bits_are_refused_only_where_they_would_change_an_id() {
    let off = || lock().env("CAPSHIM_NO_NEW_PRIVS", "0");
    let said = |change: &str| {
        format!(
            "capshim: /state: with CAPSHIM_NO_NEW_PRIVS=0 its set-id bits would change {change}\n\
             capshim: hint: remove the bits: chmod u-s,g-s /state; or leave CAPSHIM_NO_NEW_PRIVS out: they do not count then\n"
        )
    };
    off().mode("/state", 0o4755).shim(&["/state"]).refuses(126, &said("uid 1000 gid 1000 to uid 0 gid 1000"));
    off()
        .owned("/state", 0, 29, 0o2755)
        .shim(&["/state"])
        .refuses(126, &said("uid 1000 gid 1000 to uid 1000 gid 29"));
    // To the ids that it has anyway; without the group's execute bit; where they do not count.
    sets(off().owned("/state", 1000, 1000, 0o6755), ["IPC_LOCK"; 4]);
    sets(off().owned("/state", 0, 27, 0o2745), ["IPC_LOCK"; 4]);
    sets(lock().owned("/state", 0, 29, 0o6755), ["IPC_LOCK"; 4]);
    let mounted = off().copy("/state", "/shared/state").mode("/shared/state", 0o6755).bind(
        "/shared",
        "/nosuid",
        &["nosuid"],
    );
    assert_eq!(mounted.shim(&["/nosuid/state"]).state()["uid"], "1000");
}

/// Mode 0711, and what is said of it where nobody can tell what it does.
#[track_caller]
fn cannot_be_told(container: Container, file: &str, command: &str, instead: &str) {
    container.shim(&[command]).refuses(
        126,
        &format!(
            "capshim: open({file}): EACCES: Permission denied: it can be executed but not read, and a script's interpreter could have file \
             capabilities or set-id bits that change what CAPSHIM_CAPS asks for\n\
             capshim: hint: let the application's user read it: chmod a+r {file}{instead}\n"
        ),
    );
}

/// A script that nobody but its owner may read, and whose interpreter has these file capabilities.
fn closed_script(start: Container, caps: &str) -> Container {
    let image = start.copy("/state", "/interpreter").file_caps("/interpreter", caps);
    image.file("/script", "#!/interpreter\n").mode("/script", 0o711)
}

#[test]
fn a_file_that_can_be_executed_but_not_read_is_refused_where_it_could_change_the_outcome() {
    // The kernel reads the script, and its interpreter would hold less, or more.
    cannot_be_told(closed_script(lock(), "cap_net_raw=p"), "/script", "/script", "");
    cannot_be_told(closed_script(lock(), "cap_ipc_lock=p"), "/script", "/script", "");
    let off = || lock().env("CAPSHIM_NO_NEW_PRIVS", "0").without_env("CAPSHIM_CAPS");
    let leave_out = "; or leave CAPSHIM_NO_NEW_PRIVS out";
    cannot_be_told(closed_script(off(), "cap_net_raw=ep"), "/script", "/script", leave_out);
    let set_id = closed_script(off(), "=").mode("/interpreter", 0o4755);
    cannot_be_told(set_id, "/script", "/script", leave_out);
    // The interpreter of a script that can be read.
    let outer = closed_script(lock(), "cap_net_raw=p").file("/outer", "#!/script\n").mode("/outer", 0o755);
    cannot_be_told(outer, "/script", "/outer", "");
    // A program looks the same from outside, with file capabilities of its own or without.
    cannot_be_told(lock().mode("/state", 0o711), "/state", "/state", "");
    let capped = lock().mode("/state", 0o711).file_caps("/state", "cap_net_raw=ep");
    cannot_be_told(capped, "/state", "/state", "");
    cannot_be_told(off().mode("/state", 0o711), "/state", "/state", leave_out);
}

#[test]
fn a_file_that_can_be_executed_but_not_read_runs_where_it_cannot_change_the_outcome() {
    // Nothing asked for, and no_new_privs: nothing to lose and nothing to gain.
    let plain = || lock().without_env("CAPSHIM_CAPS");
    plain().mode("/state", 0o711).shim(&["/state"]).is_exactly(1000, 1000, GROUPS, "none");
    for caps in ["cap_net_raw=p", "cap_ipc_lock,cap_net_raw=i", "="] {
        let output = closed_script(plain(), caps).mode("/interpreter", 0o6755).shim(&["/script"]);
        output.is_exactly(1000, 1000, GROUPS, "none");
    }
    // Root has what it had, whatever the file. It is not the owner, and may not read it either.
    let root = || lock().without_env("CAPSHIM_USER").env("CAPSHIM_USER", "root");
    // Only ambient may be lost, without which root's children hold the same: a report cannot tell.
    let image = || closed_script(root(), "cap_net_raw=p").owned("/script", 1000, 1000, 0o711);
    let output = image().shim(&["/script"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let sets = ["permitted", "effective", "ambient"].map(|set| output.state()[set]);
    assert_eq!(sets, ["IPC_LOCK", "IPC_LOCK", "none"]);
    let report = image().run(&["/capshim", "--check", "/script"]).stdout;
    for line in [
        "file capabilities     are not known, as the file cannot be read; ambient may be cleared",
        "ambient               none -> IPC_LOCK, or none",
    ] {
        assert!(report.contains(&format!("\n  {line}")), "{report}");
    }
    // By SECBIT_NOROOT (1 and its lock, 2) root is a user like any other.
    let granted = ["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"];
    let rootless = closed_script(root(), "cap_net_raw=p").owned("/script", 1000, 1000, 0o711);
    let launch = ["/launch", "--securebits", "3", "--", "/capshim", "/script"];
    let output = rootless.capabilities(&granted).set("inheritable", &granted).set("ambient", &granted);
    output
        .run(&launch)
        .refuses_saying(126, "open(/script): EACCES: Permission denied: it can be executed but not read");
}

#[test]
fn a_file_that_the_application_may_read_is_examined_whoever_else_may() {
    let asks = "and CAPSHIM_CAPS asks for";
    let raw =
        "/interpreter: its file capabilities would leave the application permitted none and effective none";
    let owner = closed_script(lock(), "cap_net_raw=p").owned("/script", 1000, 0, 0o711);
    owner.shim(&["/script"]).refuses_saying(126, &format!("{raw}, {asks} IPC_LOCK"));
    let group = closed_script(lock(), "cap_net_raw=p").owned("/script", 0, 29, 0o751);
    group.shim(&["/script"]).refuses_saying(126, &format!("{raw}, {asks} IPC_LOCK"));
    // By a capability that was asked for.
    let reads = |caps: &str| {
        let granted = ["DAC_READ_SEARCH", "IPC_LOCK", "NET_RAW", "SETGID", "SETUID"];
        let start = closed_script(lock(), caps).capabilities(&granted).without_env("CAPSHIM_CAPS");
        start.env("CAPSHIM_CAPS", "dac_read_search,ipc_lock").shim(&["/script"])
    };
    reads("cap_net_raw=p").refuses_saying(126, &format!("{raw}, {asks} DAC_READ_SEARCH, IPC_LOCK"));
    let both = "DAC_READ_SEARCH, IPC_LOCK";
    let output = reads("cap_dac_read_search,cap_ipc_lock=ep");
    assert_eq!(["permitted", "effective", "ambient"].map(|set| output.state()[set]), [both, both, "none"]);
}

#[test]
fn an_attribute_that_the_kernel_calls_invalid_is_refused() {
    // getxattr(2) is EINVAL for one; none can be written, so a seccomp filter says it.
    let start = lock().no_new_privs().deny("getxattr", 22);
    refused(
        start,
        &["/state"],
        "/state: its security.capability attribute is malformed, so it cannot be executed",
        "",
    );
}

#[test]
fn a_file_that_would_give_permitted_alone_is_refused() {
    let start = lock()
        .without_env("CAPSHIM_CAPS")
        .env("CAPSHIM_NO_NEW_PRIVS", "0")
        .file_caps("/state", "cap_net_raw=p");
    let cause = "/state: its file capabilities would leave the application permitted NET_RAW and effective none, and CAPSHIM_CAPS asks for none";
    refused(start, &["/state"], cause, "");
}
