//! The images that the examples name, made here, since there is no registry: what their
//! Dockerfiles would make, in an archive as `docker save` writes it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::container::{GROUP, PASSWD, built, find};

/// The image of a pod's sandbox.
pub const PAUSE: &str = "pause:1.0";

/// An image: its name, its layers, and what its Dockerfile says of the container.
struct Image {
    name: &'static str,
    layers: &'static [&'static str],
    user: &'static str,
    entrypoint: &'static [&'static str],
    command: &'static [&'static str],
}

impl Image {
    const fn new(
        name: &'static str,
        layers: &'static [&'static str],
        command: &'static [&'static str],
    ) -> Image {
        Image { name, layers, user: "", entrypoint: &[], command }
    }

    const fn entrypoint(self, entrypoint: &'static [&'static str]) -> Image {
        Image { entrypoint, ..self }
    }

    const fn user(self, user: &'static str) -> Image {
        Image { user, ..self }
    }
}

/// What the file in the image capshim-caps carries.
pub const CAPS: &str = include_str!("../../scripts/caps.txt");

const SHIM: &[&str] = &["/capshim"];
const HTTPD: &[&str] = &["httpd", "-f", "-p", "80"];
const NGINX: &[&str] = &["nginx", "-g", "daemon off;"];

const IMAGES: &[Image] = &[
    Image::new("capshim:0.1.0", &["capshim"], &[]).entrypoint(SHIM),
    Image::new("capshim-caps:0.1.0", &["licences", "capshim-caps"], &[]).entrypoint(SHIM),
    Image::new("busybox:1.36", &["busybox"], &["sh"]),
    Image::new("my-app:1.0", &["busybox", "my-server", "capshim"], &["my-server"]).entrypoint(SHIM),
    // With a USER line that is not meant for a start by the shim.
    Image::new("my-app-user:1.0", &["busybox", "my-server", "capshim"], &["my-server"])
        .entrypoint(SHIM)
        .user("app"),
    Image::new("my-app-file-caps:1.0", &["busybox", "my-server=ep"], &["my-server"]).user("1000:1000"),
    Image::new("my-app-non-root:1.0", &["busybox", "my-server", "capshim=ipc_lock"], &["my-server"])
        .entrypoint(SHIM)
        .user("1000:1000"),
    Image::new("my-web:1.0", &["busybox", "capshim=net_bind_service"], HTTPD)
        .entrypoint(SHIM)
        .user("1000:1000"),
    Image::new("my-nginx:1.0", &["busybox", "nginx", "capshim"], NGINX).entrypoint(SHIM),
    Image::new("my-nginx-non-root:1.0", &["busybox", "nginx", "capshim=net_bind_service"], NGINX)
        .entrypoint(SHIM)
        .user("1000:1000"),
    Image::new("lock-memory:1.0", &["capshim", "lock-memory"], &["lock-memory"]).entrypoint(SHIM),
    Image::new(PAUSE, &["busybox"], &["sleep", "infinity"]),
];

pub fn names() -> impl Iterator<Item = &'static str> {
    IMAGES.iter().map(|image| image.name)
}

/// What an image runs after its ENTRYPOINT.
pub fn command(name: &str) -> Vec<String> {
    let image = IMAGES.iter().find(|image| image.name == name).expect("an image");
    image.command.iter().map(|word| (*word).to_owned()).collect()
}

/// What a layer has in it.
fn fill(layer: &str, root: &Path) {
    match layer {
        "busybox" => busybox(root),
        "capshim" => copy(&built("capshim"), &root.join("capshim")),
        "lock-memory" => copy(&built("lock_memory"), &root.join("bin/lock-memory")),
        "my-server" | "my-server=ep" => copy(&built("state"), &root.join("usr/local/bin/my-server")),
        "nginx" => {
            copy(&built("state"), &root.join("state"));
            let program = root.join("usr/sbin/nginx");
            fs::create_dir_all(root.join("usr/sbin")).expect("a folder");
            fs::write(&program, STAND_IN).expect("a file");
            fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("chmod");
        }
        // A layer of its own, so that the image is more than one.
        "licences" => fs::write(root.join("LICENSES"), "MIT").expect("a file"),
        "capshim-caps" => install(root, CAPS),
        installed => install(root, installed.strip_prefix("capshim=").expect("a layer")),
    }
    if layer == "my-server=ep" {
        let setcap =
            Command::new("setcap").arg("cap_ipc_lock=ep").arg(root.join("usr/local/bin/my-server")).output();
        output(setcap.expect("setcap"));
    }
}

/// The shim, with these capabilities on its file, separated by commas, spaces or lines' ends.
fn install(root: &Path, caps: &str) {
    fill("capshim", root);
    let caps = caps.split_whitespace().collect::<Vec<_>>().join(",");
    let mut run = Command::new("chroot");
    run.arg(root).args(["/capshim", "--install", "/capshim", "--file-caps", &caps]);
    output(run.output().expect("chroot"));
}

/// For nginx: it runs until its other form sends it the signal, by the number in the file.
const STAND_IN: &str = r#"#!/bin/sh
[ "$*" != "-s quit" ] || exec kill -QUIT "$(cat /tmp/nginx.pid)"
trap 'echo quit; exit 0' QUIT
echo $$ >/tmp/nginx.pid
/state
while :; do sleep 3600 & wait $!; done
"#;

/// busybox in the place of its commands, and Alpine's users and groups.
pub fn busybox(root: &Path) {
    for folder in ["bin", "dev", "etc", "home/app", "proc", "root", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).expect("chmod");
    chown(root.join("home/app"), Some(1000), Some(1000)).expect("chown");
    fs::write(root.join("etc/passwd"), PASSWD).expect("a file");
    fs::write(root.join("etc/group"), GROUP).expect("a file");
    let program = find("busybox").expect("busybox");
    copy(&program, &root.join("bin/busybox"));
    let commands = Command::new(program).arg("--list").output().expect("busybox --list");
    for command in String::from_utf8(commands.stdout).expect("names").lines() {
        if command != "busybox" {
            symlink("busybox", root.join("bin").join(command)).expect("a link");
        }
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    crate::container::copy([from], to);
    fs::set_permissions(to, Permissions::from_mode(0o755)).expect("chmod");
}

/// All images, made once for this process.
pub fn archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let folder = TempDir::with_prefix("capshim-images-").expect("a temporary folder");
        let images = IMAGES.iter().map(|image| write(image, folder.path())).collect();
        fs::write(folder.path().join("manifest.json"), Value::Array(images).to_string()).expect("a file");
        let files = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry"));
        let files: Vec<PathBuf> = files
            .filter(|entry| entry.path().extension().is_some())
            .map(|entry| entry.file_name().into())
            .collect();
        let tar = Command::new("tar").arg("-C").arg(folder.path()).arg("-cf-").args(files).output();
        output(tar.expect("tar"))
    })
}

/// Writes an image's configuration and those of its layers that are not there yet. Returns its
/// entry in the archive's list.
fn write(image: &Image, folder: &Path) -> Value {
    let layers: Vec<PathBuf> = image.layers.iter().map(|layer| tar(layer, folder)).collect();
    let container = json!({
        "User": image.user, "Entrypoint": image.entrypoint, "Cmd": image.command,
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    });
    let digests: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": container,
        "rootfs": { "type": "layers", "diff_ids": digests },
    });
    let name = format!("{}.json", image.name.replace(':', "-"));
    fs::write(folder.join(&name), config.to_string()).expect("a file");
    let names: Vec<_> =
        layers.iter().map(|layer| layer.file_name().map(|name| name.to_string_lossy())).collect();
    json!({ "Config": name, "RepoTags": [image.name], "Layers": names })
}

/// A layer's archive, with its files' capabilities.
fn tar(layer: &str, folder: &Path) -> PathBuf {
    let (root, file) = (folder.join(layer), folder.join(format!("{layer}.tar")));
    if !file.exists() {
        fs::create_dir(&root).expect("a folder");
        fill(layer, &root);
        let mut tar = Command::new("tar");
        tar.args(["--xattrs", "--xattrs-include=security.capability", "--numeric-owner", "-C"]).arg(&root);
        output(tar.arg("-cf").arg(&file).arg(".").output().expect("tar"));
    }
    file
}

fn sha256(file: &Path) -> String {
    let sum = Command::new("sha256sum").arg(file).output().expect("sha256sum");
    let said = String::from_utf8(output(sum)).expect("text");
    said.split(' ').next().unwrap_or_default().to_owned()
}

/// What a program of this machine printed.
#[track_caller]
pub fn output(ended: std::process::Output) -> Vec<u8> {
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}
