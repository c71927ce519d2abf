//! What a hint says, done to a container: the words of Kubernetes, of Docker and Podman, of
//! the settings and of a shell.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::container::{Container, ROOTS_GROUPS, find};
use crate::harness::start::Start;

const KUBERNETES: &str = "Kubernetes: ";
const DOCKER: &str = "Docker/Podman: ";

/// The ways to say the same: for one who writes a manifest, and for one who types a command.
pub fn spellings(way: &str) -> Vec<String> {
    let way = without_remarks(way);
    let without = |other: &str| {
        let clauses = way.split("; ").filter_map(|clause| clause.split(other).next());
        clauses.filter(|clause| !clause.is_empty()).collect::<Vec<_>>().join("; ")
    };
    if way.contains(KUBERNETES) && way.contains(DOCKER) {
        vec![without(DOCKER), without(KUBERNETES)]
    } else {
        vec![way]
    }
}

/// Performs all of these words that can be typed, of which there must be some.
#[track_caller]
pub fn perform(start: Start, words: &str) -> Start {
    let mut done = false;
    let mut start = Some(start);
    for clause in words.split("; ") {
        let words: Vec<&str> =
            clause.split_whitespace().map(|word| word.trim_end_matches([',', ':'])).collect();
        let mut at = 0;
        while at < words.len() {
            let (next, used) = act(start.take().expect("a start"), &words[at..]);
            start = Some(next);
            done |= used > 0;
            at += used.max(1);
        }
    }
    assert!(done, "nothing to type in: {words}");
    start.expect("a start")
}

/// What stands in brackets is not to be typed.
fn without_remarks(words: &str) -> String {
    let mut depth = 0;
    let keep = |c: &char| {
        depth += i32::from(*c == '(');
        let outside = depth == 0;
        depth -= i32::from(*c == ')');
        outside
    };
    words.chars().filter(keep).collect()
}

/// Performs what these words begin with. Returns how many it took; none if they mean nothing.
fn act(start: Start, words: &[&str]) -> (Start, usize) {
    match *words {
        // Settings.
        ["leave", setting, "out", ..] if setting.starts_with("CAPSHIM_") => {
            (start.with(|container| container.without_env(setting)), 3)
        }
        [setting, ..] if setting.starts_with("CAPSHIM_") && setting.contains('=') => {
            let (name, value) = setting.split_once('=').expect("a value");
            (start.env(name, value), 1)
        }
        // A pod's fields.
        ["securityContext.capabilities.add", ..] => {
            let (names, used) = list(&words[1..]);
            (start.with(|container| container.capabilities(&names)), 1 + used)
        }
        ["securityContext.capabilities.drop", "[\"ALL\"]", ..] | ["--cap-drop", "ALL", ..] => {
            (start.with(|container| container.capabilities(&[])), 2)
        }
        ["securityContext.runAsUser", "0", ..] | ["--user", "0", ..] => (start.with(as_root), 2),
        ["runAsNonRoot", "false", ..] => (start, 2),
        ["securityContext.runAsGroup", gid, ..] => (start.with(|container| user(container, "gid", gid)), 2),
        ["securityContext.supplementalGroups", ..] => {
            let (gids, used) = list(&words[1..]);
            let gids: Vec<u32> = gids.iter().map(|gid| number(gid)).collect();
            (start.with(|container| container.groups(&gids)), 1 + used)
        }
        ["no", "fsGroup" | "supplementalGroups" | "--group-add", ..] => {
            (start.with(|container| container.groups(&[])), 2)
        }
        ["securityContext.allowPrivilegeEscalation", "true", ..] => (start.with(may_gain), 2),
        ["securityContext.seccompProfile.type", "RuntimeDefault", ..] => {
            (start.with(Container::runtime_default), 2)
        }
        ["hostUsers", "true", ..] | ["--userns", "host", ..] => (start.with(Container::host_users), 2),
        // Docker's flags.
        ["--cap-add", name, ..] => (start.with(|container| cap_add(container, name)), 2),
        ["--user", ids, ..] => {
            let (uid, gid) = ids.split_once(':').expect("two ids");
            (start.with(|container| user(user(container, "uid", uid), "gid", gid)), 2)
        }
        ["--group-add", gid, ..] => {
            (start.with(|container| append(container, "/process/user/additionalGids", number(gid))), 2)
        }
        ["leave", "out", "--security-opt", "no-new-privileges", ..] => (start.with(may_gain), 4),
        ["leave", "out", "--security-opt", "seccomp=FILE", ..] => (start.with(Container::runtime_default), 4),
        ["podPidsLimit" | "LimitNPROC=infinity", ..] | ["--ulimit", "nproc=-1", ..] => (
            start.with(|container| container.configured(|config| config["process"]["rlimits"] = json!([]))),
            1,
        ),
        // A shell's.
        ["run", "it", "as", ref command @ ..] => {
            let command = [&["/capshim"], command].concat();
            (start.command(&command), words.len())
        }
        ["begin", file, "with", "a", "line", ..] => {
            let content = std::fs::read(start.container.path(file)).expect("a script");
            let script = [b"#!/bin/sh\n", content.strip_prefix(b"#!\n").unwrap_or(&content)].concat();
            (start.with(|container| container.file(file, script)), 5)
        }
        ["setcap" | "chmod" | "dos2unix" | "mkdir", ..] | [_, "--install", ..] => {
            run(&start.container, words);
            (start, words.len())
        }
        ["cp", ..] => {
            words.split(|word| *word == "&&").for_each(|command| run(&start.container, command));
            (start, words.len())
        }
        ["WORKDIR", folder, ..] => {
            run(&start.container, &["mkdir", "-p", folder]);
            (start, words.len())
        }
        _ => (start, 0),
    }
}

/// `["A", "B"]` in words, and how many these are.
fn list<'a>(words: &[&'a str]) -> (Vec<&'a str>, usize) {
    let used = 1 + words.iter().position(|word| word.ends_with(']')).unwrap_or(0);
    let items = words[..used].iter().map(|word| word.trim_matches(['[', ']', '"']));
    if words.first().is_some_and(|word| word.starts_with('[')) {
        (items.collect(), used)
    } else {
        (Vec::new(), 0)
    }
}

fn number(digits: &str) -> u32 {
    digits.parse().unwrap_or_else(|_| panic!("{digits} is no id"))
}

fn user(container: Container, id: &str, digits: &str) -> Container {
    container.configured(|config| config["process"]["user"][id] = json!(number(digits)))
}

/// As runtimes do it: root's gid and root's groups from the image, and what else was added.
fn as_root(container: Container) -> Container {
    let container = user(user(container, "uid", "0"), "gid", "0");
    ROOTS_GROUPS
        .into_iter()
        .fold(container, |container, gid| append(container, "/process/user/additionalGids", gid))
}

fn may_gain(container: Container) -> Container {
    container.configured(|config| config["process"]["noNewPrivileges"] = json!(false))
}

/// Without a filter that stands in for what is not there.
pub fn unfiltered(container: Container) -> Container {
    container.configured(|config| config["linux"]["seccomp"] = Value::Null)
}

fn cap_add(container: Container, name: &str) -> Container {
    ["bounding", "permitted", "effective"].into_iter().fold(container, |container, set| {
        append(container, &format!("/process/capabilities/{set}"), format!("CAP_{name}"))
    })
}

fn append(container: Container, list: &str, value: impl Into<Value>) -> Container {
    let value = value.into();
    container.configured(|config| {
        let list = config.pointer_mut(list).and_then(Value::as_array_mut).expect("a list");
        if !list.contains(&value) {
            list.push(value);
        }
    })
}

/// The real program, on the image's files.
fn run(container: &Container, words: &[&str]) {
    let words = words.iter().map(|word| {
        if word.starts_with('/') { container.path_in_volume(word).into_os_string() } else { word.into() }
    });
    let words: Vec<_> = words.collect();
    let mut command = match words[0].to_str() {
        Some("setcap") => Command::new("setcap"),
        _ if words.get(1).is_some_and(|word| word == "--install") => Command::new(&words[0]),
        _ => {
            let mut busybox = Command::new(find("busybox").expect("busybox"));
            busybox.arg(&words[0]);
            busybox
        }
    };
    let ended = command.args(&words[1..]).output().expect("a program");
    assert!(ended.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ended.stderr));
}
