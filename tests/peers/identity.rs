//! Where setpriv, capsh and gosu make the application someone else than the contract of capshim
//! has it: ids, groups, environment. Both outcomes are rows of docs/peers.md.

use crate::harness::container::{Container, Output, find};
use crate::harness::starts::as_user;
use crate::table::{CAPSH, Outcome, SETPRIV, refused, right, row, wrong};

/// A user who must not come out as another one.
fn whose(output: &Output) -> Outcome {
    match output.code {
        0 => wrong(format!("runs as uid {}", output.state()["uid"])),
        _ => refused(output),
    }
}

#[test]
fn a_uid_of_more_than_32_bits_is_root_for_setpriv_and_capsh() {
    row(
        "uid 4294967296",
        || as_user("4294967296"),
        whose,
        [
            "/setpriv --reuid=4294967296 --regid=1000 --clear-groups /state",
            "/capsh --uid=4294967296 --shell=/state --",
            "/gosu 4294967296 /state",
            "/capshim /state",
        ],
    );
}

#[test]
fn a_uid_of_minus_1_stays_root_for_setpriv() {
    for (case, id) in [("uid -1", "-1"), ("uid 4294967295", "4294967295")] {
        row(
            case,
            || as_user(id),
            whose,
            [
                &format!("/setpriv --reuid={id} --regid=1000 --clear-groups /state"),
                &format!("/capsh --uid={id} --shell=/state --"),
                &format!("/gosu {id} /state"),
                "/capshim /state",
            ],
        );
    }
}

#[test]
fn a_number_too_large_is_a_name_for_all_three() {
    let id = "18446744073709551616";
    row(
        "18446744073709551616, a name of uid 0 in /etc/passwd",
        || as_user(id).file("/etc/passwd", format!("{id}:x:0:0::/:/bin/sh\n")),
        whose,
        [
            &format!("/setpriv --reuid={id} --regid=1000 --clear-groups /state"),
            &format!("/capsh --user={id} --shell=/state --"),
            &format!("/gosu {id} /state"),
            "/capshim /state",
        ],
    );
}

#[test]
fn an_empty_user_is_root_for_gosu() {
    row(
        "an empty user",
        || as_user(""),
        whose,
        [
            "/setpriv --reuid= --regid=1000 --clear-groups /state",
            "/capsh --user= --shell=/state --",
            "/gosu  /state",
            "/capshim /state",
        ],
    );
}

#[test]
fn no_user_at_all_is_root_for_setpriv_and_capsh() {
    row(
        "no user at all",
        || Container::root().env("CAPSHIM_CAPS", "none"),
        whose,
        ["/setpriv /state", "/capsh --shell=/state --", "/gosu /state", "/capshim /state"],
    );
}

#[test]
fn a_uid_without_an_entry_keeps_roots_gid_with_all_three() {
    let gid = |output: &Output| match output.code {
        0 => wrong(format!("runs with gid {}", output.state()["gid"])),
        _ => refused(output),
    };
    row(
        "uid 4242 without an entry, and no group (`--reuid`; `--uid`)",
        || as_user("4242"),
        gid,
        [
            "/setpriv --reuid=4242 /state",
            "/capsh --uid=4242 --shell=/state --",
            "/gosu 4242 /state",
            "/capshim /state",
        ],
    );
}

#[test]
fn a_permission_that_denies_the_group_is_bypassed_after_setpriv_and_gosu() {
    // Mode 0604: everyone but the group may read. A program that changes the gid takes the
    // process out of the group, unless it is in the list too.
    let cat = find("cat").expect("cat");
    let start = || {
        let start = as_user("app:app").env("CAPSHIM_NO_NEW_PRIVS", "0").import_program(&cat);
        let start = start.copy(cat.to_str().expect("a path"), "/cat").owned("/cat", 0, 29, 0o2755);
        let start = start.file("/denied", "secret").owned("/denied", 0, 1000, 0o604);
        start.file("/script", "#!/bin/sh\n/cat /denied\n").mode("/script", 0o755)
    };
    let reads = |output: &Output| match output.stdout.as_str() {
        "secret" => wrong("read"),
        _ => {
            // Older ones say by which path they were started.
            assert_eq!(output.stderr.trim_start_matches('/'), "cat: /denied: Permission denied\n");
            right("not read")
        }
    };
    row(
        "a file that denies the user's group (0604), to a set-group-ID `cat` (`--clear-groups`)",
        start,
        reads,
        [
            "/setpriv --reuid=app --regid=app --clear-groups /script",
            "/capsh --user=app --shell=/script --",
            "/gosu app:app /script",
            "/capshim /script",
        ],
    );
}

/// As a pod with fsGroup 2000, whose volume is at /data; root is in the group disk (6).
fn volume() -> Container {
    let start = as_user("app").groups(&[0, 6, 2000]).folder("/data").owned("/data", 0, 2000, 0o2770);
    let start = start.file("/disk", "raw").owned("/disk", 0, 6, 0o640);
    let script = "#!/bin/sh\necho data > /data/new && cat /data/new\ncat /disk\n";
    start.file("/script", script).mode("/script", 0o755)
}

fn uses_volume(output: &Output) -> Outcome {
    match output.stdout.as_str() {
        "data\n" => right("volume used, disk not read"),
        "data\nraw" => wrong("volume used, disk read"),
        "" => wrong("volume not used, disk not read"),
        other => panic!("{other} {}", output.stderr),
    }
}

#[test]
fn a_volume_of_fsgroup_is_lost_with_all_three() {
    row(
        "a volume of fsGroup 2000, and root's disk",
        volume,
        uses_volume,
        [
            &format!("{SETPRIV} /script"),
            &format!("{CAPSH}/script --"),
            "/gosu app /script",
            "/capshim /script",
        ],
    );
}

#[test]
fn roots_groups_survive_where_setpriv_and_capsh_keep_the_list() {
    row(
        "the same, where the list is kept (`--keep-groups`; `--gid --uid`)",
        volume,
        uses_volume,
        [
            "/setpriv --reuid=app --regid=app --keep-groups /script",
            "/capsh --gid=1000 --uid=1000 --shell=/script --",
            "",
            "/capshim /script",
        ],
    );
}

/// Which of the three names of the user are still root's, and whether the rest is there.
fn environment(output: &Output) -> Outcome {
    let has = |line: &str| output.stdout.lines().any(|there| there == line);
    let names = [("HOME=/root", "HOME"), ("USER=root", "USER"), ("LOGNAME=root", "LOGNAME")];
    let stay: Vec<&str> = names.into_iter().filter(|(line, _)| has(line)).map(|(_, name)| name).collect();
    match (stay.is_empty(), has("SETTING=1")) {
        (true, true) => right("the user's, the rest kept"),
        (true, false) => wrong("the user's, the rest lost"),
        (false, true) => wrong(format!("root's: {}", stay.join(", "))),
        (false, false) => panic!("{}", output.stdout),
    }
}

fn of_root() -> Container {
    as_user("app").env("USER", "root").env("LOGNAME", "root").env("SETTING", "1")
}

#[test]
fn the_environment_stays_roots_after_all_three_in_part() {
    row(
        "HOME, USER and LOGNAME",
        of_root,
        environment,
        [
            &format!("{SETPRIV} /state environment"),
            &format!("{CAPSH}/state -- environment"),
            "/gosu app /state environment",
            "/capshim /state environment",
        ],
    );
}

#[test]
fn the_environment_of_the_container_is_lost_after_setpriv_reset_env() {
    row(
        "the same with `--reset-env`",
        of_root,
        environment,
        [&format!("{SETPRIV} --reset-env /state environment"), "", "", "/capshim /state environment"],
    );
}
