//! The images that a Dockerfile's FROM names, made here under their names, since there is no
//! registry, and the images built from them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;

use super::engine::{Engine, Kind};
use crate::container::{GROUP, PASSWD, built};
use crate::images::{busybox, copy, output};
use crate::machine::Machine;

/// What Alpine's does with the options `-D -u UID NAME`; busybox has it there and not in Debian.
const ADDUSER: &str = r#"#!/bin/sh
set -eu
[ "$1 $2 $#" = "-D -u 4" ]
echo "$4:x:$3:$3::/home/$4:/bin/sh" >>/etc/passwd
echo "$4:x:$3:" >>/etc/group
mkdir /home/$4
chown "$3:$3" "/home/$4"
"#;

/// For the one of `rust:1-alpine`: what it would build is there already.
const CARGO: &str = r#"#!/bin/sh
set -eu
[ -f Cargo.toml ] && [ -f Cargo.lock ] && [ ! -e target/debian-musl ] && [ ! -e .git ]
mkdir -p target/release/examples
case "$*" in
    "build --release --locked --bin capshim") [ -f src/main.rs ] && cp /prebuilt/capshim target/release ;;
    "build --release --locked --example lock_memory")
        [ -f tests/payloads/lock_memory.rs ] && cp /prebuilt/lock_memory target/release/examples ;;
    *) exit 64 ;;
esac
"#;

/// The images by name, as archives.
fn archives() -> &'static [(&'static str, Vec<u8>)] {
    static ARCHIVES: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
    ARCHIVES.get_or_init(|| {
        let folder = TempDir::with_prefix("capshim-from-").expect("a temporary folder");
        let (alpine, rust, capshim) =
            (folder.path().join("alpine"), folder.path().join("rust"), folder.path().join("capshim"));
        for root in [&alpine, &rust] {
            busybox(root);
            fs::remove_dir(root.join("home/app")).expect("a folder");
            let ours = ["app:", "other:", "web:"];
            let of_alpine = |text: &str| {
                let lines = text.lines().filter(|line| !ours.iter().any(|name| line.starts_with(name)));
                lines.map(|line| format!("{}\n", line.trim_end_matches("app"))).collect::<String>()
            };
            fs::write(root.join("etc/passwd"), of_alpine(PASSWD)).expect("a file");
            fs::write(root.join("etc/group"), of_alpine(GROUP)).expect("a file");
            script(&root.join("usr/sbin/adduser"), ADDUSER);
        }
        script(&rust.join("usr/local/bin/cargo"), CARGO);
        copy(&built("capshim"), &rust.join("prebuilt/capshim"));
        copy(&built("lock_memory"), &rust.join("prebuilt/lock_memory"));
        copy(&built("capshim"), &capshim.join("capshim"));
        let images = [("alpine:3", alpine), ("rust:1-alpine", rust), ("capshim:0.1.0", capshim)];
        images.into_iter().map(|(name, root)| (name, tar(&root))).collect()
    })
}

pub fn script(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, Permissions::from_mode(0o755)).expect("chmod");
}

fn tar(root: &Path) -> Vec<u8> {
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--owner=0", "--group=0", "-cf-", "-C"]).arg(root).arg(".");
    output(tar.output().expect("tar"))
}

/// The application's image, made as README's root start says.
pub const APP: &str = "my-app:1.0";
/// The same for a start as another user than root, made by examples/Dockerfile.non-root.
pub const NON_ROOT: &str = "my-app-non-root:1.0";

/// A folder with this file as its Dockerfile, the shim, and programs for the application.
pub fn context(name: &str, dockerfile: &str) -> PathBuf {
    let folder = Machine::get().path(name);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("Dockerfile"), dockerfile).expect("a file");
    for (program, name) in [
        ("state", "my-server"),
        ("lock_memory", "lock-memory"),
        ("bind_port", "bind-port"),
        ("privileged", "privileged"),
        ("activated", "activated"),
    ] {
        copy(&built(program), &folder.join(name));
    }
    copy(&built("capshim"), &folder.join("capshim"));
    folder
}

/// README's lines for a root start, after what they are meant to follow.
fn app() -> String {
    let readme = include_str!("../../../README.md");
    let block = readme.split("```dockerfile\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("a block");
    format!(
        "FROM alpine:3\nRUN adduser -D -u 1000 app\nCOPY my-server lock-memory bind-port privileged activated /usr/local/bin/\n{block}"
    )
}

impl Engine {
    /// The engine with the images that FROM names.
    pub fn with_bases(kind: Kind) -> Engine {
        let engine = Engine::get(kind);
        engine.once("bases", |engine| {
            for (name, archive) in archives() {
                engine.import(name, archive);
            }
        });
        engine
    }

    /// The engine with the application's two images.
    pub fn with_apps(kind: Kind) -> Engine {
        let engine = Engine::with_bases(kind);
        engine.once("apps", |engine| {
            let non_root = include_str!("../../../examples/Dockerfile.non-root");
            for (name, dockerfile) in [(APP, app().as_str()), (NON_ROOT, non_root)] {
                let folder =
                    context(&format!("context-{:?}-{}", engine.kind, name.replace(':', "-")), dockerfile);
                engine.succeed(&["build", "-t", name, folder.to_str().expect("a path")]);
            }
        });
        engine
    }

    /// Does something once for each store of images.
    fn once(&self, what: &'static str, work: impl FnOnce(&Engine)) {
        static DONE: [Mutex<Vec<&str>>; 5] = [const { Mutex::new(Vec::new()) }; 5];
        let store = match self.kind {
            Kind::Docker => 0,
            Kind::PodmanRunc | Kind::PodmanCrun => 1,
            Kind::PodmanRootless => 2,
            Kind::DockerRemapped => 3,
            Kind::DockerRootless => 4,
        };
        let mut done = DONE[store].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !done.contains(&what) {
            work(self);
            done.push(what);
        }
    }
}
