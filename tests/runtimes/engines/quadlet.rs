//! The Quadlet files of `examples/`, read strictly and turned into the command line that
//! Podman's generator would write (podman-systemd.unit(5)), since that needs Podman 4.4 and
//! systemd.

use std::fs;

use super::engine::{Engine, Kind};
use super::from::APP;
use super::needs_engines;
use crate::container::Output;
use crate::machine::repository;

/// The sections' entries: `[section]`, key, value.
fn entries(text: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let (key, value) = line.split_once('=').expect("an assignment");
        entries.push((section.clone(), key.to_owned(), value.to_owned()));
    }
    entries
}

/// What the generator makes of a file, but for what ties the container to a service.
fn command_line(text: &str) -> Vec<String> {
    let (mut words, mut image, mut user) = (vec!["run".to_owned(), "--rm".to_owned()], None, None);
    for (section, key, value) in entries(text) {
        let each =
            |option: &str| value.split(' ').map(|word| format!("--{option}={word}")).collect::<Vec<_>>();
        match (section.as_str(), key.as_str(), value.as_str()) {
            ("Unit", "Description", _) | ("Install", "WantedBy", "multi-user.target") => {}
            ("Container", "Image", image_) => image = Some(image_.to_owned()),
            ("Container", "Environment", _) => words.extend(each("env")),
            ("Container", "DropCapability", _) => {
                words.extend(each("cap-drop").iter().map(|word| word.to_lowercase()))
            }
            ("Container", "AddCapability", _) => {
                words.extend(each("cap-add").iter().map(|word| word.to_lowercase()))
            }
            ("Container", "NoNewPrivileges", "true") => words.push("--security-opt=no-new-privileges".into()),
            ("Container", "ReadOnly", "true") => words.push("--read-only".into()),
            ("Container", "User", uid) => user = Some(uid.to_owned()),
            ("Container", "Group", gid) => user = user.map(|uid| format!("{uid}:{gid}")),
            unknown => panic!("{unknown:?}"),
        }
    }
    words.extend(user.map(|user| format!("--user={user}")));
    words.push(image.expect("Image="));
    words
}

fn start(file: &str, changed: impl Fn(&mut Vec<String>)) -> Output {
    let text = fs::read_to_string(repository().join("examples").join(file)).expect(file);
    let mut words = command_line(&text);
    assert_eq!(words.last().expect("an image"), &format!("localhost/{APP}"));
    changed(&mut words);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Engine::with_apps(Kind::PodmanCrun).run(&words)
}

fn without_lock(words: &mut Vec<String>) {
    let before = words.len();
    words.retain(|word| word != "--cap-add=ipc_lock");
    assert_eq!(words.len(), before - 1);
}

#[test]
fn the_quadlet_of_a_root_start_gives_exactly_the_capability() {
    needs_engines!();
    start("my-app.container", |_| ()).is_exactly(1000, 1000, "1000", "IPC_LOCK");
    start("my-app.container", without_lock).refuses_saying(77, "not granted to this container");
}

#[test]
fn the_quadlet_of_podmans_own_ambient_capabilities_gives_exactly_the_capability() {
    needs_engines!();
    start("my-app-user.container", |_| ()).is_exactly(1000, 1000, "1000", "IPC_LOCK");
    start("my-app-user.container", without_lock).refuses_saying(77, "not granted to this container");
}
