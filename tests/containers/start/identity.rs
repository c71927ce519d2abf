//! Who the application is, for every way to write a user, and what is refused.

use crate::harness::container::{Container, GROUP, Output, PASSWD};
use crate::harness::starts::as_user;

#[track_caller]
fn becomes(container: Container, uid: u32, gid: u32, groups: &str) {
    container.shim(&["/state"]).is_exactly(uid, gid, groups, "none");
}

#[test]
fn names_and_numbers_mix() {
    for (user, uid, gid, groups) in [
        ("app", 1000, 1000, "29, 1000, 1001"),
        ("1000", 1000, 1000, "29, 1000, 1001"),
        ("app:app", 1000, 1000, "1000"),
        ("app:audio", 1000, 29, "29"),
        ("app:29", 1000, 29, "29"),
        ("1000:audio", 1000, 29, "29"),
        ("1000:1000", 1000, 1000, "1000"),
        ("other", 1001, 1002, "1001, 1002"),
        ("4242:4343", 4242, 4343, "4343"),
        ("nobody", 65534, 65534, "65534"),
        ("1:1", 1, 1, "1"),
        ("65535:65535", 65535, 65535, "65535"),
        ("2147483648:2147483648", 2147483648, 2147483648, "2147483648"),
        ("4294967294:4294967294", 4294967294, 4294967294, "4294967294"),
        ("1000:0", 1000, 0, "0"),
        ("1000:root", 1000, 0, "0"),
    ] {
        becomes(as_user(user), uid, gid, groups);
    }
}

#[test]
fn ids_out_of_range_and_odd_spellings_are_refused() {
    // Each is there as a name too: a number must never be looked up as one.
    let names = ["4294967295", "4294967296", "18446744073709551616", "-1", "+5", "007", "00", " 5", "1000 "];
    let lines: String = names.iter().map(|name| format!("{name}:x:1000:1000::/:/bin/sh\n")).collect();
    let groups: String = names.iter().map(|name| format!("{name}:x:1000:\n")).collect();
    for name in names {
        for (user, wrong) in
            [(name.to_string(), name), (format!("{name}:1000"), name), (format!("1000:{name}"), name)]
        {
            let container = as_user(&user).file("/etc/passwd", &lines).file("/etc/group", &groups);
            container.shim(&["/state"]).refuses_saying(
                78,
                &format!(
                    "CAPSHIM_USER='{user}' has {}'{wrong}'",
                    if wrong.bytes().all(|b| b.is_ascii_digit()) { "the id " } else { "" }
                ),
            );
        }
    }
}

#[test]
fn the_refusal_of_an_id_names_it_and_the_range() {
    as_user("4294967296").shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_USER='4294967296' has the id '4294967296', which is not in 0..4294967294 or has a leading zero\n\
         capshim: hint: write the id in plain decimal digits, for example 1000\n",
    );
    as_user("-1").shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_USER='-1' has '-1', which is neither an id nor a name\n\
         capshim: hint: write an id in plain decimal digits or a name, without sign or space\n",
    );
}

#[test]
fn names_that_are_not_there_are_refused() {
    for (user, shown) in
        [("nosuch", "nosuch"), ("0x10", "0x10"), ("٣", "\\xd9\\xa3"), ("ROOT", "ROOT"), ("bad", "bad")]
    {
        let container = as_user(user).file("/etc/passwd", format!("{PASSWD}bad:x:abc:5::/evil:\n"));
        container.shim(&["/state"]).refuses(
            78,
            &format!(
                "capshim: CAPSHIM_USER='{shown}' names the user '{shown}', which is not in /etc/passwd\n\
                 capshim: hint: add the user to the image; or write ids: CAPSHIM_USER=1000:1000\n"
            ),
        );
    }
    as_user("app:nosuch").shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_USER='app:nosuch' names the group 'nosuch', which is not in /etc/group\n\
         capshim: hint: add the group to the image; or write its gid\n",
    );
}

#[test]
fn a_name_of_digits_is_never_found() {
    let passwd = "1234:x:4321:4321::/four:/bin/sh\nfour:x:1234:1235::/one:/bin/sh\n";
    becomes(as_user("1234").file("/etc/passwd", passwd), 1234, 1235, "1235");
    becomes(as_user("4321").file("/etc/passwd", passwd), 4321, 4321, "4321");
}

#[test]
fn another_name_for_uid_0_is_refused() {
    let passwd = format!("{PASSWD}toor:x:0:0::/:/bin/sh\n");
    as_user("toor").file("/etc/passwd", &passwd).shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_USER='toor' names a user whose uid in /etc/passwd is 0\n\
         capshim: hint: only root has uid 0: name another user; or write CAPSHIM_USER=0 to stay root on purpose\n",
    );
    let swapped = "root:x:5:5::/:/bin/sh\n";
    as_user("root")
        .file("/etc/passwd", swapped)
        .shim(&["/state"])
        .refuses_saying(78, "names a user whose uid in /etc/passwd is 5");
}

#[test]
fn empty_parts_are_refused() {
    let hint = "capshim: hint: write user, uid, user:group or uid:gid; a template or variable may have come out empty\n";
    for (user, part) in [("app:", "group"), (":1000", "user"), (":", "user"), ("1000:", "group")] {
        let said = format!("capshim: CAPSHIM_USER='{user}' has an empty {part}\n{hint}");
        as_user(user).shim(&["/state"]).refuses(78, &said);
    }
    as_user("").shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_USER='' is set but empty\n\
         capshim: hint: a template or variable came out empty: write user, uid, user:group or uid:gid\n",
    );
    as_user("a:b:c").shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_USER='a:b:c' has more than one colon\ncapshim: hint: write user, uid, user:group or uid:gid\n",
    );
}

#[test]
fn numbers_need_no_files() {
    let bare = |user: &str| as_user(user).without("/etc/passwd").without("/etc/group");
    becomes(bare("1000:1000"), 1000, 1000, "1000");
    bare("app").shim(&["/state"]).refuses_saying(78, "names the user 'app', which is not in /etc/passwd");
    bare("1000:app")
        .shim(&["/state"])
        .refuses_saying(78, "names the group 'app', which is not in /etc/group");
}

#[test]
fn a_bare_uid_without_an_entry_takes_the_runtimes_gid_unless_that_is_roots() {
    as_user("4242").shim(&["/state"]).refuses(
        78,
        "capshim: CAPSHIM_USER='4242' has no entry in /etc/passwd and no group\n\
         capshim: hint: write the group too: CAPSHIM_USER=4242:4242\n",
    );
    let run_as_group =
        |gid: u32| Container::user(0, gid).capabilities(&["SETGID", "SETUID"]).env("CAPSHIM_USER", "4242");
    becomes(run_as_group(500), 4242, 500, "500");
    // 65534 may stand for a group that is not mapped, which /proc tells.
    let launch = ["/launch", "--unmount", "/proc", "--", "/capshim", "/state"];
    run_as_group(65534)
        .capabilities(&["SETGID", "SETUID", "SYS_ADMIN"])
        .run(&launch)
        .refuses_saying(78, "CAPSHIM_USER='4242' has no entry in /etc/passwd and no group");
}

#[test]
fn lines_that_are_no_entries_are_passed_over() {
    let passwd = "\n:::\nbad:x:abc:5::/evil:\nbad:x:-1:5::/evil:\nbad:x:4294967295:5::/evil:\n+bad:x:6:6::/:\n#bad:x:6:6::/:\n\
        bad:x:007:5::/evil:\nbad:x: 5:5::/evil:\nbad:x:5\nbad\nbad:x:5:x::/evil:\nbad:x:77:78::/good:\n";
    let output = as_user("bad").file("/etc/passwd", passwd).without_env("HOME").shim(&[
        "/state",
        "credentials",
        "environment",
    ]);
    output.is_exactly(77, 78, "78", "none");
    assert!(output.stdout.ends_with("HOME=/good\n"), "{}", output.stdout);
    as_user("6")
        .file("/etc/passwd", passwd)
        .shim(&["/state"])
        .refuses_saying(78, "has no entry in /etc/passwd");
}

#[test]
fn a_large_passwd_is_read_to_its_last_line() {
    let users: String =
        (10_000..110_000).map(|id| format!("user{id}:x:{id}:{id}::/home/user{id}:/bin/sh\n")).collect();
    becomes(as_user("user109999").file("/etc/passwd", &users), 109_999, 109_999, "109999");
    // runc cannot read a line this long, so it comes to its place when runc is done.
    let comment = format!("big:x:1:1:{}:/:\nlast:x:7:8::/:\n", "x".repeat(1_000_000));
    let container = as_user("last").file("/etc/long", comment);
    let output = container.run(&["/bin/sh", "-c", "mv /etc/long /etc/passwd && exec /capshim /state"]);
    output.is_exactly(7, 8, "8", "none");
}

/// What a start does with another file in place of this one.
fn replaced(container: Container, file: &str, by: &str) -> Output {
    container.run(&["/bin/sh", "-c", &format!("rm {file} && {by} {file} && exec /capshim /state")])
}

#[test]
fn a_file_without_end_is_given_up_and_named() {
    let too_long = "has a line of more than 1048576 bytes";
    for (by, why) in [
        ("ln -s /dev/zero", "is no regular file"),
        ("mkfifo", "is no regular file"),
        ("truncate -s 20G", too_long),
        ("awk 'BEGIN { s = sprintf(\"%10000s\", \"\"); while (n++ < 200) printf s }' >", too_long),
        ("yes x:x:1:1::/: | head -c 70000000 >", "has more than 67108864 bytes"),
    ] {
        for (file, user) in [("/etc/passwd", "app"), ("/etc/group", "app:web")] {
            replaced(as_user(user), file, by).refuses(
                78,
                &format!(
                    "capshim: {file} {why}\n\
                     capshim: hint: put a file of the usual kind at {file}; or write ids in place of names: \
                     CAPSHIM_USER=1000:1000, and gids in CAPSHIM_GROUPS\n"
                ),
            );
            let output = replaced(as_user("1000:1000"), file, by);
            output.holds(1000, 1000, "1000", "none");
            assert_eq!(
                output.stderr,
                format!("capshim: warning: {file} {why}; this start does not need it\n")
            );
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_taken_for_a_missing_one() {
    let script = "rm /etc/passwd && mkdir /etc/passwd && exec /capshim /state";
    let folder = as_user("app").run(&["/bin/sh", "-c", script]);
    folder.refuses(
        71,
        "capshim: read(/etc/passwd): EISDIR: Is a directory\n\
         capshim: hint: put a file at /etc/passwd: a bind mount of one that is not there makes a folder\n",
    );
    let unreadable = as_user("app").owned("/etc/group", 1, 1, 0o600);
    unreadable.shim(&["/state"]).refuses(71, "capshim: open(/etc/group): EACCES: Permission denied\ncapshim: hint: let everyone read it, as usual: chmod 644 /etc/group\n");
}

#[test]
fn a_file_that_cannot_be_read_is_a_warning_where_nothing_of_it_is_needed() {
    let loops = ("ln -s passwd", "open(/etc/passwd): ELOOP: Too many symbolic links encountered");
    let folder = ("mkdir", "read(/etc/passwd): EISDIR: Is a directory");
    for (by, cause) in [loops, folder] {
        let warning = format!("capshim: warning: {cause}; this start does not need it\n");
        for user in ["1000:1000", "root", "0:1000"] {
            let output = replaced(as_user(user), "/etc/passwd", by);
            assert_eq!((output.code, output.stderr.as_str()), (0, warning.as_str()), "{user}");
        }
        // With a name, a bare uid or a group of its entry there is no start.
        for user in ["app", "1000", "app:1000"] {
            replaced(as_user(user), "/etc/passwd", by).refuses_saying(71, cause);
        }
    }
    // Without root nothing of it counts, whatever the image's CAPSHIM_USER says.
    for (file, group) in [("/etc/passwd", ""), ("/etc/group", ":web")] {
        let start = Container::user(1000, 1000).env("CAPSHIM_USER", &format!("app{group}"));
        let output = start.owned(file, 0, 0, 0o600).shim(&["/state"]);
        output.holds(1000, 1000, "none", "none");
        let unread = format!(
            "capshim: warning: open({file}): EACCES: Permission denied; this start does not need it\n"
        );
        let stands = format!(
            "capshim: warning: the runtime started this container as uid 1000 gid 1000; these stay, and CAPSHIM_USER=app{group} is not used\n"
        );
        assert_eq!(output.stderr, unread + &stands);
    }
}

#[test]
fn a_user_that_this_image_does_not_have_is_a_warning_where_another_one_stands() {
    for user in ["nosuch", "app:nosuch", "nosuch:1000"] {
        let output = Container::user(1000, 1000).env("CAPSHIM_USER", user).shim(&["/state"]);
        output.holds(1000, 1000, "none", "none");
        assert_eq!(
            output.stderr,
            format!(
                "capshim: warning: the runtime started this container as uid 1000 gid 1000; these stay, and CAPSHIM_USER={user} is not used\n"
            )
        );
    }
}

#[test]
fn the_gid_is_always_among_the_groups_so_that_denying_permissions_hold() {
    // Mode 0604: everyone but the group may read. Without the gid in the list, the first
    // program that changes its gid would read it.
    for policy in ["auto", "keep", "none", "3000"] {
        let container = as_user("app")
            .env("CAPSHIM_GROUPS", policy)
            .file("/denied", "secret")
            .owned("/denied", 0, 1000, 0o604);
        let output = container.shim(&["/bin/sh", "-c", "/state; cat /denied"]);
        let groups: Vec<&str> = output.state()["groups"].split(", ").collect();
        assert!(groups.contains(&"1000"), "{policy}: {}", output.stdout);
        assert_eq!(output.stderr, "cat: can't open '/denied': Permission denied\n", "{policy}");
    }
}

#[test]
fn the_groups_of_an_entry_are_found_by_name_and_not_by_number() {
    let group = format!("{GROUP}odd:x:5000:1000\n");
    becomes(as_user("app").file("/etc/group", group), 1000, 1000, "29, 1000, 1001");
}

#[test]
fn roots_gid_from_passwd_is_not_taken_for_the_runtimes_choice() {
    let passwd = "root:x:0:6::/root:/bin/sh\n";
    let start = Container::user(0, 6).capabilities(&["SETGID", "SETUID"]).file("/etc/passwd", passwd);
    start
        .env("CAPSHIM_USER", "4242")
        .shim(&["/state"])
        .refuses_saying(78, "CAPSHIM_USER='4242' has no entry in /etc/passwd and no group");
}

#[test]
fn a_non_root_start_does_not_need_to_read_etc_group() {
    let start = Container::user(1000, 1000).env("CAPSHIM_USER", "1000:1000").owned("/etc/group", 0, 0, 0o600);
    start.shim(&["/state"]).is_exactly(1000, 1000, "none", "none");
}
