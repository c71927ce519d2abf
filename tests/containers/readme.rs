//! The README shows real output: what is in it is what comes out.

use crate::harness::container::Container;

/// The block after a comment that begins like this.
fn block(mark: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let after = readme.split(mark).nth(1).unwrap_or_else(|| panic!("no {mark} in README"));
    after.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block")
}

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\n";
const GRANTED: [&str; 3] = ["IPC_LOCK", "SETGID", "SETUID"];
const BOTH: [&str; 3] = ["/bin/sh", "-c", "/state; /lock_memory"];

#[test]
fn the_state_without_the_shim_is_as_shown() {
    let output = Container::user(1000, 1000).capabilities(&GRANTED).run(&BOTH);
    assert_eq!(output.stdout, block("<!-- before:"));
}

#[test]
fn the_state_with_the_shim_is_as_shown() {
    let root = Container::root().capabilities(&GRANTED).file("/etc/passwd", PASSWD).file("/etc/group", GROUP);
    let output = root.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock").shim(&BOTH);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (block("<!-- after:"), ""));
}

#[test]
fn the_refusal_is_as_shown() {
    let root = Container::root().env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock");
    assert_eq!(root.shim(&BOTH).stderr, block("one line of cure where there"));
}

#[test]
fn the_report_is_as_shown() {
    let start = Container::root().capabilities(&GRANTED).groups(&[0, 6, 2000]).no_new_privs();
    let group = format!("{GROUP}disk:x:6:root\n");
    let start = start.file("/etc/passwd", PASSWD).file("/etc/group", group).copy("/state", "/bin/my-server");
    let start = start.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock");
    let output = start.run(&["/capshim", "--check", "my-server"]);
    assert_eq!((output.stdout.as_str(), output.code), (block("<!-- check:"), 0));
}
