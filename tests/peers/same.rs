//! Where setpriv, capsh and gosu can do what capshim does, they leave the application exactly
//! the same. Where they do not: `identity`, `privileges`.

use std::process::Command;

use crate::harness::capabilities::NAMES;
use crate::harness::container::{Container, Output, find};
use crate::harness::starts::{app, as_user};

/// The image with /setpriv, /capsh and /gosu in it too, as this machine's packages have them.
pub fn with_peers(container: Container) -> Container {
    ["setpriv", "capsh", "gosu"].iter().fold(container, |container, name| {
        let program = find(name).unwrap_or_else(|| panic!("no {name}"));
        container.import_program(&program).copy(program.to_str().expect("a path"), &format!("/{name}"))
    })
}

/// Runs a command line; two spaces enclose an empty word.
pub fn run(container: Container, line: &str) -> Output {
    container.run(&line.split(' ').collect::<Vec<_>>())
}

/// Ids, groups, all five sets and no_new_privs are the same after both command lines.
#[track_caller]
fn agree(start: impl Fn() -> Container, theirs: &str) {
    let (their, our) = (run(with_peers(start()), theirs), run(start(), "/capshim /state"));
    assert_eq!((their.code, their.stderr.as_str()), (0, ""), "{theirs}");
    assert_eq!((our.code, our.stderr.as_str()), (0, ""), "beside {theirs}");
    assert_eq!(their.state().len(), 9, "{theirs}");
    assert_eq!(their.state(), our.state(), "theirs and ours: {theirs}");
}

#[test]
fn setpriv_gives_the_same_identity() {
    for (user, options) in [
        ("app", "--reuid=app --regid=app --init-groups"),
        ("1000", "--reuid=1000 --regid=1000 --init-groups"),
        ("other", "--reuid=other --regid=1002 --init-groups"),
        ("nobody", "--reuid=nobody --regid=nobody --init-groups"),
        // It has to be told that the gid belongs into the list.
        ("app:app", "--reuid=app --regid=app --groups=app"),
        ("app:audio", "--reuid=app --regid=audio --groups=audio"),
        ("app:29", "--reuid=app --regid=29 --groups=29"),
        ("1000:1000", "--reuid=1000 --regid=1000 --groups=1000"),
        ("4242:4343", "--reuid=4242 --regid=4343 --groups=4343"),
        ("2147483648:2147483648", "--reuid=2147483648 --regid=2147483648 --groups=2147483648"),
        ("4294967294:4294967294", "--reuid=4294967294 --regid=4294967294 --groups=4294967294"),
        ("1000:0", "--reuid=1000 --regid=0 --groups=0"),
    ] {
        agree(|| as_user(user), &format!("/setpriv {options} --no-new-privs /state"));
    }
    agree(
        || as_user("app").env("CAPSHIM_GROUPS", "audio,3000").env("CAPSHIM_NO_NEW_PRIVS", "0"),
        "/setpriv --reuid=app --regid=app --groups=app,audio,3000 /state",
    );
    agree(
        || as_user("app:app").groups(&[0, 6, 2000]).env("CAPSHIM_GROUPS", "0,6,2000"),
        "/setpriv --reuid=app --regid=app --groups=1000,0,6,2000 --no-new-privs /state",
    );
}

#[test]
fn capsh_gives_the_same_identity() {
    for (user, options) in [
        ("app", "--user=app"),
        ("other", "--user=other"),
        ("nobody", "--user=nobody"),
        // Its --uid takes no names, and leaves gid and groups alone.
        ("1000", "--groups=29,1000,1001 --gid=1000 --uid=1000"),
        ("app:app", "--groups=app --gid=1000 --uid=1000"),
        ("app:audio", "--groups=audio --gid=29 --uid=1000"),
        ("4242:4343", "--groups=4343 --gid=4343 --uid=4242"),
        ("4294967294:4294967294", "--groups=4294967294 --gid=4294967294 --uid=4294967294"),
        ("1000:0", "--groups=0 --gid=0 --uid=1000"),
    ] {
        agree(|| as_user(user), &format!("/capsh {options} --no-new-privs --shell=/state --"));
    }
}

/// gosu has no option for no_new_privs, so it is off on both sides. The groups are compared
/// apart: it leaves the gid out of the list.
#[test]
fn gosu_gives_the_same_identity_but_for_the_gid_among_the_groups() {
    for user in [
        "app",
        "1000",
        "other",
        "nobody",
        "app:app",
        "app:audio",
        "app:29",
        "1000:audio",
        "1000:1000",
        "4242:4343",
        "1000:0",
    ] {
        let start = || as_user(user).env("CAPSHIM_NO_NEW_PRIVS", "0");
        let (their, our) =
            (run(with_peers(start()), &format!("/gosu {user} /state")), start().shim(&["/state"]));
        assert_eq!((their.code, their.stderr.as_str()), (0, ""), "{user}");
        let (mut their, mut our) = (their.state(), our.state());
        let groups = |list: Option<&str>| -> Vec<u32> {
            let gids = list.expect("groups").split(", ").filter(|gid| *gid != "none");
            gids.map(|gid| gid.parse().expect("a gid")).collect()
        };
        let (mut their_groups, our_groups) = (groups(their.remove("groups")), groups(our.remove("groups")));
        assert_eq!(their.len(), 8, "{user}");
        assert_eq!(their, our, "{user}");
        let gid: u32 = our["gid"].parse().expect("a gid");
        assert!(!their_groups.contains(&gid), "{user}: {their_groups:?}");
        their_groups.push(gid);
        their_groups.sort_unstable();
        assert_eq!(their_groups, our_groups, "{user}");
    }
}

/// Asked for these, with SETPCAP granted, so that the bounding set can be narrowed, or not.
fn asked(names: &[&str], setpcap: bool) -> Container {
    let mut granted = [names, &["SETGID", "SETUID"]].concat();
    if setpcap {
        granted.push("SETPCAP");
    }
    as_user("app").capabilities(&granted).env("CAPSHIM_CAPS", &names.join(","))
}

/// One, several, and all but SYS_RESOURCE, which not every machine's root holds.
fn requests() -> Vec<Vec<&'static str>> {
    let all_but_one = NAMES.into_iter().filter(|name| *name != "SYS_RESOURCE").collect();
    let several = vec!["NET_BIND_SERVICE", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "PERFMON", "BPF"];
    let alone = ["CHOWN", "NET_BIND_SERVICE", "IPC_LOCK", "SETFCAP", "MAC_OVERRIDE", "CHECKPOINT_RESTORE"];
    let alone = alone.map(|name| vec![name]);
    [several, vec!["SETFCAP", "MAC_OVERRIDE"], vec!["SETUID"], all_but_one].into_iter().chain(alone).collect()
}

/// Seen of 2.41.5 and 2.42.4, and not of 2.38.1 (docs/peers.md).
fn setpriv_checks_the_bounding_set() -> bool {
    let version = Command::new("setpriv").arg("--version").output().expect("setpriv").stdout;
    let version = String::from_utf8(version).expect("text");
    let number = version.trim_end().rsplit(' ').next().expect("a number");
    let mut parts = number.split('.').map(|part| part.parse::<u32>().expect("a number"));
    (parts.next(), parts.next()) >= (Some(2), Some(41))
}

#[test]
fn setpriv_gives_the_same_capabilities() {
    for names in requests() {
        let list: String = names.iter().map(|name| format!(",+{}", name.to_lowercase())).collect();
        let who = "--reuid=app --regid=app --init-groups --no-new-privs";
        let sets = format!("--inh-caps=-all{list} --ambient-caps=-all{list}");
        agree(|| asked(&names, true), &format!("/setpriv {who} {sets} --bounding-set=-all{list} /state"));
        // Without SETPCAP neither narrows the bounding set. setpriv says so from 2.41 on, and ends.
        let narrowing = format!("/setpriv {who} {sets} --bounding-set=-all{list} /state");
        if setpriv_checks_the_bounding_set() && !names.contains(&"SETPCAP") {
            let output = run(with_peers(asked(&names, false)), &narrowing);
            output.refuses(127, "setpriv: apply bounding set: Operation not permitted\n");
            agree(|| asked(&names, false), &format!("/setpriv {who} {sets} /state"));
        } else {
            agree(|| asked(&names, false), &narrowing);
        }
    }
}

#[test]
fn capsh_gives_the_same_capabilities() {
    for names in requests() {
        let caps = |names: &[&str]| -> String {
            names.iter().map(|name| format!("cap_{}", name.to_lowercase())).collect::<Vec<_>>().join(",")
        };
        let list = caps(&names);
        let rest: Vec<&str> =
            ["SETGID", "SETUID", "SETPCAP"].into_iter().filter(|name| !names.contains(name)).collect();
        let drop = if rest.is_empty() { String::new() } else { format!("--drop={} ", caps(&rest)) };
        let sets = format!("--caps={list}=eip --addamb={list} --no-new-privs --shell=/state --");
        agree(|| asked(&names, true), &format!("/capsh --keep=1 {drop}--user=app {sets}"));
        agree(|| asked(&names, false), &format!("/capsh --keep=1 --user=app {sets}"));
    }
}

#[test]
fn setpriv_behind_capshim_sets_the_signal_for_the_parents_death() {
    let command = "/launch --death-signal SIGUSR1 -- /capshim /setpriv --pdeathsig TERM /state session";
    assert_eq!(run(with_peers(app()), command).state()["death_signal"], "15");
}
