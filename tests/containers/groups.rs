//! Supplementary groups: what the runtime added stays, what was root's goes.

use crate::container::{Container, GROUP, ROOTS_GROUPS};
use crate::needs_containers;

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
    needs_containers!();
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
    needs_containers!();
    has(pod("1000:1000").without("/etc/group").groups(&[0, 6, 2000]), 1000, "6, 1000, 2000");
}

#[test]
fn a_membership_in_gid_0_counts_only_if_it_is_listed() {
    needs_containers!();
    let group = GROUP.replace("root:x:0:root", "root:x:0:root,app");
    has(pod("app").file("/etc/group", &group), 1000, "29, 1000, 1001, 2000, 3000");
    has(pod("app").file("/etc/group", &group).env("CAPSHIM_GROUPS", "root,2000"), 1000, "0, 1000, 2000");
    has(pod("app").file("/etc/group", &group).env("CAPSHIM_GROUPS", "0"), 1000, "0, 1000");
}

#[test]
fn a_group_of_roots_that_is_the_users_too_stays_the_users() {
    needs_containers!();
    let group = GROUP.replace("video:x:27:root", "video:x:27:root,app");
    has(pod("app").file("/etc/group", group), 1000, "27, 29, 1000, 1001, 2000, 3000");
}

#[test]
fn a_root_that_has_another_name_does_not_leak_its_groups() {
    needs_containers!();
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
    needs_containers!();
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
    needs_containers!();
    for (list, words) in [
        ("", "is set but empty"),
        ("2000,", "has an empty part in its list"),
        ("2000,,3000", "has an empty part in its list"),
        ("auto,2000", "has auto in a list"),
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
    needs_containers!();
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
    needs_containers!();
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
    needs_containers!();
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
    needs_containers!();
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
