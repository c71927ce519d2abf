//! User namespaces: ids that are not mapped, groups that are not mapped, setgroups denied.

use crate::harness::container::Container;
use crate::harness::starts::as_user;

const MAP: &str = "lists; or map it: Kubernetes: hostUsers: true; Docker/Podman: --userns host (rootless: list more ids in /etc/subuid and /etc/subgid)";

fn inside(user: &str) -> Container {
    as_user(user).capabilities(&["NET_RAW", "SETGID", "SETUID"]).env("CAPSHIM_CAPS", "net_raw")
}

/// Enough for the first program to make a namespace of its own.
fn outside(user: &str) -> Container {
    inside(user).capabilities(&["NET_RAW", "SETGID", "SETUID", "SETFCAP", "SYS_ADMIN"])
}

#[test]
fn a_root_start_in_a_user_namespace_is_like_any_other() {
    let output = inside("app").groups(&[0, 6, 2000]).user_namespace(100_000, 65_536).shim(&["/state"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001, 2000", "NET_RAW");
}

#[test]
fn an_id_that_is_not_mapped_is_named() {
    inside("1000:5").user_namespace(100_000, 1000).shim(&["/state"]).refuses(
        77,
        &format!(
            "capshim: setresuid(1000, 1000, 1000): EINVAL: Invalid argument: uid 1000 is not mapped in this user namespace\n\
             capshim: hint: choose one that /proc/self/uid_map {MAP}\n"
        ),
    );
    inside("5:1000").user_namespace(100_000, 1000).shim(&["/state"]).refuses(
        77,
        &format!(
            "capshim: setgroups(1000): EINVAL: Invalid argument: one of 1000 is not mapped in this user namespace\n\
             capshim: hint: choose one that /proc/self/gid_map {MAP}\n"
        ),
    );
}

#[test]
fn an_inherited_group_that_is_not_mapped_is_left_out_and_never_kept() {
    let launch = ["/launch", "--groups", "2000,4242", "--user-namespace", "0 0 1,1000 1000 1,2000 2000 1"];
    let start = |policy: &str| outside("1000:1000").env("CAPSHIM_GROUPS", policy);
    let seen = start("auto").run(&[&launch[..], &["--", "/state"]].concat());
    assert_eq!(seen.state()["groups"], "2000, 65534");
    let shim = [&launch[..], &["--", "/capshim", "/state"]].concat();
    let output = start("auto").run(&shim);
    output.holds(1000, 1000, "1000, 2000", "NET_RAW");
    assert_eq!(
        output.stderr,
        "capshim: warning: left out of the groups (it may stand for a group that this user namespace does not map): 65534\n"
    );
    start("keep").run(&shim).refuses(
        78,
        "capshim: CAPSHIM_GROUPS='keep' cannot keep group 65534: it may stand for a group that this user namespace does not map, \
         and writing it back would grant another one\n\
         capshim: hint: list the groups that the application needs: CAPSHIM_GROUPS=2000\n",
    );
}

#[test]
fn a_namespace_that_denies_setgroups_is_told_apart_from_a_missing_capability() {
    let launch =
        ["/launch", "--user-namespace-without-setgroups", "0 0 1,1000 1000 1", "--", "/capshim", "/state"];
    outside("1000:1000").run(&launch).refuses(
        77,
        "capshim: setgroups(1000): EPERM: Operation not permitted: SETGID is held, but this user namespace denies setgroups\n\
         capshim: hint: make the namespace with newuidmap and newgidmap, as Podman does where /etc/subuid and /etc/subgid list the user; \
         or start the container as the node's root, without one\n",
    );
    // Where the list is right already, setgroups is not called.
    let launch = [
        "/launch",
        "--groups",
        "1000",
        "--user-namespace-without-setgroups",
        "0 0 1,1000 1000 1",
        "--",
        "/capshim",
        "/state",
    ];
    outside("1000:1000").run(&launch).is_exactly(1000, 1000, "1000", "NET_RAW");
}

#[test]
fn staying_root_and_a_non_root_start_work_inside_too() {
    inside("root").user_namespace(100_000, 65_536).shim(&["/state"]).is_exactly(0, 0, "none", "NET_RAW");
    let start =
        Container::user(1000, 1000).capabilities(&["NET_RAW"]).env("CAPSHIM_CAPS", "net_raw").no_new_privs();
    let start =
        start.user_namespace(100_000, 65_536).file_caps_of_namespace("/capshim", 100_000, 1 << 13, false);
    start.shim(&["/state"]).is_exactly(1000, 1000, "none", "NET_RAW");
}

#[test]
fn a_group_that_only_reads_as_65534_is_replaced_by_the_one_asked_for() {
    // 4242 is not mapped and reads as 65534, which is another group.
    let launch = [
        "/launch",
        "--groups",
        "4242",
        "--user-namespace",
        "0 0 1,65534 65534 1",
        "--",
        "/capshim",
        "/bin/sh",
        "-c",
        "cat /theirs; id -G",
    ];
    let start = outside("root")
        .env("CAPSHIM_GROUPS", "65534")
        .file("/theirs", "secret")
        .owned("/theirs", 5, 4242, 0o040);
    let output = start.run(&launch);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("0 65534\n", "cat: can't open '/theirs': Permission denied\n")
    );
}

#[test]
fn what_reads_as_65534_is_never_kept_for_another_group() {
    // 4242 is not mapped and 65534 is: both read the same, and what is written back is the mapped one.
    let maps = "0 0 1,1000 1000 1,65534 65534 1";
    for policy in ["auto", "keep"] {
        let start = outside("1000:1000").env("CAPSHIM_GROUPS", policy);
        let start = start.file("/theirs", "secret").owned("/theirs", 5, 4242, 0o040);
        let command = ["/capshim", "/bin/sh", "-c", "cat /theirs; id -G"];
        let launch = ["/launch", "--groups", "4242", "--user-namespace", maps, "--"];
        let output = start.run(&[&launch[..], &command].concat());
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("1000 65534\n", "cat: can't open '/theirs': Permission denied\n"),
            "{policy}"
        );
    }
}

#[test]
fn a_check_says_why_a_group_that_is_not_mapped_is_left_out() {
    let maps = ["--user-namespace", "0 0 1,1000 1000 1", "--", "/capshim", "--check", "/state"];
    let launch = [&["/launch", "--groups", "4242"], &maps[..]].concat();
    let report = outside("1000:1000").run(&launch);
    let row =
        "\n  65534                 dropped: it may stand for a group that this user namespace does not map\n";
    assert!(report.code == 0 && report.stdout.contains(row), "{}", report.stdout);
}
