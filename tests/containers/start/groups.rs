//! Supplementary groups: what the runtime added stays, what was root's goes.

use nix::libc;

use crate::harness::container::{Container, GROUP, PASSWD, ROOTS_GROUPS};
use crate::harness::starts::app;

/// As a pod with fsGroup 2000 and supplementalGroups [3000] on an Alpine-like image.
fn pod(user: &str) -> Container {
    Container::root().groups(&[&ROOTS_GROUPS[..], &[2000, 3000]].concat()).env("CAPSHIM_USER", user)
}

#[track_caller]
fn has(container: Container, gid: u32, groups: &str) {
    container.shim(&["/state"]).is_exactly(1000, gid, groups, "none");
}

#[test]
fn auto_keeps_what_the_runtime_added_and_drops_what_is_roots() {
    has(pod("app"), 1000, "29, 1000, 1001, 2000, 3000");
    has(pod("1000:1000"), 1000, "1000, 2000, 3000");
    has(pod("app:app").env("CAPSHIM_GROUPS", "auto"), 1000, "1000, 2000, 3000");
    // supplementalGroupsPolicy: Strict.
    has(Container::root().groups(&[0, 2000, 3000]).env("CAPSHIM_USER", "app:app"), 1000, "1000, 2000, 3000");
    // runAsGroup: 500.
    let groups = [&ROOTS_GROUPS[1..], &[500, 2000, 3000]].concat();
    let run_as_group = Container::user(0, 500).capabilities(&["SETGID", "SETUID"]).groups(&groups);
    has(run_as_group.env("CAPSHIM_USER", "app"), 1000, "29, 500, 1000, 1001, 2000, 3000");
}

#[test]
fn auto_without_etc_group_drops_only_gid_0() {
    has(pod("1000:1000").without("/etc/group").groups(&[0, 6, 2000]), 1000, "6, 1000, 2000");
}

#[test]
fn a_membership_in_gid_0_counts_only_if_it_is_listed() {
    let group = GROUP.replace("root:x:0:root", "root:x:0:root,app");
    has(pod("app").file("/etc/group", &group), 1000, "29, 1000, 1001, 2000, 3000");
    has(pod("app").file("/etc/group", &group).env("CAPSHIM_GROUPS", "root,2000"), 1000, "0, 1000, 2000");
    has(pod("app").file("/etc/group", &group).env("CAPSHIM_GROUPS", "0"), 1000, "0, 1000");
}

#[test]
fn a_group_of_roots_that_is_the_users_too_stays_the_users() {
    let group = GROUP.replace("video:x:27:root", "video:x:27:root,app");
    has(pod("app").file("/etc/group", group), 1000, "27, 29, 1000, 1001, 2000, 3000");
}

#[test]
fn a_root_that_has_another_name_does_not_leak_its_groups() {
    let passwd = "admin:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n";
    let group = "disk:x:6:admin\napp:x:1000:\n";
    has(
        pod("app").groups(&[0, 6, 2000]).file("/etc/passwd", passwd).file("/etc/group", group),
        1000,
        "1000, 2000",
    );
}

#[test]
fn keep_none_and_a_list_do_what_they_say() {
    let keep = "0, 1, 2, 3, 4, 6, 10, 11, 20, 26, 27, 1000, 2000, 3000";
    has(pod("app").env("CAPSHIM_GROUPS", "keep"), 1000, keep);
    has(pod("app").env("CAPSHIM_GROUPS", "none"), 1000, "1000");
    has(pod("app").env("CAPSHIM_GROUPS", "audio, 3000,web"), 1000, "29, 1000, 1001, 3000");
    pod("app").env("CAPSHIM_GROUPS", "audio,nosuch").shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_GROUPS='audio,nosuch' names the group 'nosuch', which is not in /etc/group\n\
         capshim: hint: add the group to the image; or write its gid\n",
    );
}

#[test]
fn wrong_lists_are_refused() {
    for (list, words) in [
        ("", "is set but empty"),
        ("2000,", "has an empty part in its list"),
        ("2000,,3000", "has an empty part in its list"),
        ("none,2000", "has none in a list"),
        ("auto,keep", "has both auto and keep"),
        ("-1", "has '-1', which is neither an id nor a name"),
        ("4294967295", "has the id '4294967295'"),
        ("4294967296", "has the id '4294967296'"),
        ("010", "has the id '010'"),
    ] {
        pod("app")
            .env("CAPSHIM_GROUPS", list)
            .shim(&["/state"])
            .refuses_saying(78, &format!("CAPSHIM_GROUPS='{list}' {words}"));
    }
}

#[test]
fn a_volume_of_fsgroup_stays_usable_and_roots_disk_is_out_of_reach() {
    let script = "echo x > /data/new && cat /data/new; cat /disk";
    let image = |container: Container| {
        container
            .folder("/data")
            .owned("/data", 0, 2000, 0o2770)
            .file("/disk", "raw")
            .owned("/disk", 0, 6, 0o640)
    };
    let output = image(pod("app")).shim(&["/bin/sh", "-c", script]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("x\n", "cat: can't open '/disk': Permission denied\n")
    );
    // The second file is one that the same user could read with root's groups.
    let kept = image(pod("app")).env("CAPSHIM_GROUPS", "keep").shim(&["/bin/sh", "-c", script]);
    assert_eq!((kept.stdout.as_str(), kept.stderr.as_str()), ("x\nraw", ""));
}

#[test]
fn more_groups_than_the_kernel_takes_are_refused_before_any_step() {
    let groups: String = (1..=70_000).map(|gid| format!("g{gid}:x:{gid}:app\n")).collect();
    pod("app").file("/etc/group", groups).shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_GROUPS makes 70000 groups, more than the 65536 that the kernel takes\n\
         capshim: hint: list the groups that the application needs, as in: CAPSHIM_GROUPS=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n",
    );
    let many: String = (1..=60_000).map(|gid| format!("g{gid}:x:{gid}:app\n")).collect();
    let output = pod("app").file("/etc/group", many).shim(&["/state"]);
    assert_eq!(output.state()["groups"].split(", ").count(), 60_000);
}

#[test]
fn a_line_that_only_a_runtime_can_read_still_tells_what_was_roots() {
    // Runtimes trim lines, read 06 as 6, and skip no + or - lines.
    for line in [
        "disk:x:6:root\r\n",
        "  disk:x:6:root\n",
        "disk:x:06:root\n",
        "-disk:x:6:root\n",
        "#disk:x:6:root\n",
        "disk:x:6:toor\n",
        "disk:x:6:bad\n",
    ] {
        let passwd =
            "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:\nbad:x:abc:5::/evil:\napp:x:1000:1000::/:/bin/sh\n";
        let start = Container::root().groups(&[0, 6, 2000]).env("CAPSHIM_USER", "app");
        has(start.file("/etc/passwd", passwd).file("/etc/group", line), 1000, "1000, 2000");
    }
}

#[test]
fn a_name_other_than_root_for_gid_0_is_refused() {
    let group = "root:x:0:\nstaff:x:0:\n";
    for (name, value) in [("CAPSHIM_USER", "1000:staff"), ("CAPSHIM_GROUPS", "2000,staff")] {
        let start = Container::root().file("/etc/group", group).env(name, value);
        let start = if name == "CAPSHIM_USER" { start } else { start.env("CAPSHIM_USER", "1000:1000") };
        start.shim(&["/state"]).refuses(
            78,
            &format!(
                "capshim: {name}='{value}' names the group 'staff', whose gid in /etc/group is 0\n\
                 capshim: hint: write another group; or 0 if root's group is meant\n"
            ),
        );
    }
}

#[test]
fn auto_and_keep_take_more_groups_beside_them() {
    // 27 is root's on this image; --group-add video gives the same number.
    has(pod("app").env("CAPSHIM_GROUPS", "auto,video"), 1000, "27, 29, 1000, 1001, 2000, 3000");
    has(pod("1000:1000").env("CAPSHIM_GROUPS", "998 auto"), 1000, "998, 1000, 2000, 3000");
    let few = || Container::root().groups(&[0, 2000]).env("CAPSHIM_USER", "app");
    has(few().env("CAPSHIM_GROUPS", "keep 998"), 1000, "0, 998, 1000, 2000");
    let names_none = few().env("CAPSHIM_GROUPS", "auto,nosuch").shim(&["/state"]);
    names_none.refuses_saying(78, "CAPSHIM_GROUPS='auto,nosuch' names the group 'nosuch'");
}

#[test]
fn without_a_switch_a_list_that_adds_nothing_is_no_change() {
    let user = |groups: &[u32], value: &str| {
        let container = Container::user(1000, 1000).groups(groups).env("CAPSHIM_CAPS", "none");
        container.env("CAPSHIM_GROUPS", value).shim(&["/state"])
    };
    for (inherited, value, groups) in [
        (&[][..], "none", "none"),
        (&[], "1000", "none"),
        (&[1000], "none", "1000"),
        (&[2000], "2000,1000", "2000"),
        (&[1000, 2000], "2000", "1000, 2000"),
        (&[2000], "auto,2000", "2000"),
        (&[1000, 2000], "keep,1000,2000", "1000, 2000"),
    ] {
        user(inherited, value).is_exactly(1000, 1000, groups, "none");
    }
    let needs = "changes the groups of a start as uid 1000, which needs SETGID";
    for (inherited, value) in [(&[2000][..], "none"), (&[], "auto,2000"), (&[2000], "keep,3000")] {
        user(inherited, value).refuses_saying(77, &format!("CAPSHIM_GROUPS='{value}' {needs}"));
    }
}

/// As Debian's: root is a member of nothing.
const DEBIAN: &str = "root:x:0:\ndisk:x:6:\nvideo:x:44:\nusers:x:100:\n";

/// The ways in which /etc/group is another file than the runtime read.
fn hidden() -> Vec<(&'static str, Container)> {
    let image = || pod("1000:1000").file("/debian", DEBIAN).folder("/volume");
    let linked = image().file("/volume/group", "").without("/etc/group");
    std::os::unix::fs::symlink("/volume/group", linked.path("/etc/group")).expect("a link");
    let folder = image().folder("/other").file("/other/group", DEBIAN).file("/other/passwd", PASSWD);
    vec![
        ("the file is a mount", image().bind("/debian", "/etc/group", &["ro"])),
        ("the folder is a mount", folder.bind("/other", "/etc", &["ro"])),
        ("the folder is an empty mount", image().bind("/volume", "/etc", &["ro"])),
        ("a link leads to a mount", linked.bind("/volume", "/volume", &[])),
    ]
}

#[test]
fn where_another_file_hides_the_runtimes_nobody_can_tell_what_is_roots() {
    let unknown = "1, 2, 3, 4, 6, 10, 11, 20, 26, 27, 2000, 3000";
    let listed = unknown.replace(", ", ",");
    for filtered in [None, Some(libc::ENOSYS), Some(libc::EPERM)] {
        for (how, container) in hidden() {
            let container = match filtered {
                Some(errno) => container.deny("openat2", errno),
                None => container,
            };
            println!("{how}, {filtered:?}");
            container.shim(&["/state"]).refuses(
                78,
                &format!(
                    "capshim: CAPSHIM_GROUPS='auto' cannot tell which inherited groups are root's: /etc/group is a mount, \
                     and the runtime may have read the file beneath it; unknown: {unknown}\n\
                     capshim: hint: list the groups that the application needs, of these: CAPSHIM_GROUPS={listed}; \
                     or pass none on: CAPSHIM_GROUPS=none\n"
                ),
            );
        }
    }
}

#[test]
fn what_is_explained_needs_no_file() {
    for (setting, groups) in [
        ("2000,3000", "1000, 2000, 3000"),
        ("none", "1000"),
        ("keep", "0, 1, 2, 3, 4, 6, 10, 11, 20, 26, 27, 1000, 2000, 3000"),
        ("auto,1,2,3,4,6,10,11,20,26,27,2000,3000", "1, 2, 3, 4, 6, 10, 11, 20, 26, 27, 1000, 2000, 3000"),
    ] {
        for (how, container) in hidden() {
            println!("{how}: {setting}");
            has(container.env("CAPSHIM_GROUPS", setting), 1000, groups);
        }
    }
    // Nothing but root's gid and the application's.
    for (how, container) in hidden() {
        println!("{how}");
        has(container.groups(&[0, 1000]), 1000, "1000");
    }
}

#[test]
fn without_openat2_the_mounts_are_told_by_proc_and_without_both_by_nothing() {
    has(pod("1000:1000").deny("openat2", libc::ENOSYS), 1000, "1000, 2000, 3000");
    let no_file = || pod("1000:1000").without("/etc/group").groups(&[0, 6, 2000]);
    has(no_file().deny("openat2", libc::ENOSYS), 1000, "6, 1000, 2000");
    let launch = ["/launch", "--unmount", "/proc", "--", "/capshim", "/state"];
    let without_proc = |container: Container| {
        container.capabilities(&["SETGID", "SETUID", "SYS_ADMIN"]).env("CAPSHIM_GROUPS", "auto")
    };
    without_proc(pod("1000:1000")).run(&launch).is_exactly(1000, 1000, "1000, 2000, 3000", "none");
    without_proc(pod("1000:1000").deny("openat2", libc::ENOSYS)).run(&launch).refuses_saying(
        78,
        "cannot tell which inherited groups are root's: /etc/group may be a mount, which neither openat2 nor /proc tells here; unknown: 1, ",
    );
}

#[test]
fn a_passwd_that_is_a_mount_leaves_roots_other_names_unknown() {
    let image = || pod("1000:1000").file("/mounted", PASSWD).bind("/mounted", "/etc/passwd", &["ro"]);
    // Every group that /etc/group gives to anybody has root among them, or nobody.
    has(image(), 1000, "1000, 2000, 3000");
    let another = format!("{GROUP}data:x:2000:admin\n");
    image().file("/etc/group", another).shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_GROUPS='auto' cannot tell which inherited groups are root's: /etc/passwd is a mount, \
         and the runtime may have read the file beneath it; unknown: 2000\n\
         capshim: hint: list the groups that the application needs, of these: CAPSHIM_GROUPS=2000,3000; \
         or pass none on: CAPSHIM_GROUPS=none\n",
    );
}

#[test]
fn a_bare_uid_does_not_take_a_gid_that_may_be_roots() {
    let start = Container::user(0, 500).capabilities(&["SETGID", "SETUID"]).env("CAPSHIM_USER", "4242");
    let hidden = start.file("/debian", DEBIAN).bind("/debian", "/etc/group", &["ro"]);
    hidden
        .shim(&["/state"])
        .refuses_saying(78, "CAPSHIM_USER='4242' has no entry in /etc/passwd and no group");
}

#[test]
fn group_65534_is_one_like_any_other_where_it_is_mapped() {
    let nobody = || Container::user(0, 65534).capabilities(&["SETGID", "SETUID"]).groups(&[65534, 2000]);
    let readable = |container: Container| {
        container.file("/token", "secret").owned("/token", 0, 65534, 0o640).env("CAPSHIM_USER", "65534:65534")
    };
    let cat = ["/bin/sh", "-c", "/state; cat /token"];
    let output = readable(nobody()).shim(&cat);
    output.is_exactly(65534, 65534, "2000, 65534", "none");
    assert!(output.stdout.ends_with("secret"), "{}", output.stdout);
    // fsGroup: 65534 for another user, in the node's user namespace and in one of the pod's own.
    for container in [pod("1000:1000"), pod("1000:1000").user_namespace(100_000, 65_536)] {
        has(container.groups(&[0, 6, 65534]), 1000, "1000, 65534");
    }
    has(pod("1000:1000").groups(&[0, 65534]).env("CAPSHIM_GROUPS", "keep"), 1000, "0, 1000, 65534");
    // runAsGroup: 65534.
    let bare = Container::user(0, 65534).capabilities(&["SETGID", "SETUID"]).env("CAPSHIM_USER", "4242");
    bare.shim(&["/state"]).is_exactly(4242, 65534, "65534", "none");
}

#[test]
fn a_group_that_is_left_out_is_kept_by_the_words_beside_it() {
    let start = |policy: &str| app().groups(&[0, 6, 27, 2000]).env("CAPSHIM_GROUPS", policy);
    let check = start("auto").run(&["/capshim", "--check", "/state"]);
    let words = check.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for (group, groups) in [(6, "6, 29, 1000, 1001, 2000"), (27, "27, 29, 1000, 1001, 2000")] {
        let cure = format!(
            "{group} dropped: given to root by /etc/group or /etc/passwd; kept by CAPSHIM_GROUPS=auto,{group}"
        );
        assert!(words.contains(&cure), "{words}");
        start(&format!("auto,{group}")).shim(&["/state"]).is_exactly(1000, 1000, groups, "none");
    }
    // Beside what is listed already.
    let told = start("auto,27").env("CAPSHIM_LOG", "info").shim(&["/state"]).stderr;
    assert!(told.contains(": 6; to keep one, list it: CAPSHIM_GROUPS=auto,27,6\n"), "{told}");
    start("auto,27,6").shim(&["/state"]).is_exactly(1000, 1000, "6, 27, 29, 1000, 1001, 2000", "none");
}
