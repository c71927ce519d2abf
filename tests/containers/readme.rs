//! README and docs/check.md show real output: what is in them is what comes out.

use crate::harness::container::Container;

const README: &str = include_str!("../../README.md");
const CHECK: &str = include_str!("../../docs/check.md");

/// The block of output after these words.
fn block(document: &'static str, mark: &str) -> &'static str {
    let after = document.split(mark).nth(1).unwrap_or_else(|| panic!("no {mark}"));
    after.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block")
}

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\n";
const GRANTED: [&str; 3] = ["IPC_LOCK", "SETGID", "SETUID"];
const BOTH: [&str; 3] = ["/bin/sh", "-c", "/state; /lock_memory"];

/// The same lines of two outputs, with their values beside each other.
fn beside(left: &str, right: &str) -> String {
    let pairs = left.lines().zip(right.lines()).map(|(left, right)| {
        let (name, left) = left.split_once(": ").expect("a value");
        let right = right.strip_prefix(name).and_then(|right| right.strip_prefix(": ")).expect(name);
        format!("{:<17} {:<25} {}\n", format!("{name}:"), left.trim(), right.trim())
    });
    pairs.collect()
}

#[test]
fn the_state_without_and_with_the_shim_is_as_shown() {
    let without = Container::user(1000, 1000).capabilities(&GRANTED).run(&BOTH);
    let root = Container::root().capabilities(&GRANTED).file("/etc/passwd", PASSWD).file("/etc/group", GROUP);
    let with = root.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock").shim(&BOTH);
    assert_eq!((without.stderr.as_str(), with.stderr.as_str()), ("", ""));
    assert_eq!(without.stdout.lines().count(), with.stdout.lines().count());
    let (_, shown) = block(README, "## The problem").split_once('\n').expect("a head");
    assert_eq!(beside(&without.stdout, &with.stdout), shown);
}

#[test]
fn the_refusal_is_as_shown() {
    let root = Container::root().env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock");
    assert_eq!(root.shim(&BOTH).stderr, block(README, "one line of cause and one line of cure"));
}

#[test]
fn the_report_is_as_shown() {
    let start = Container::root().capabilities(&GRANTED).groups(&[0, 6, 2000]).no_new_privs();
    let group = format!("{GROUP}disk:x:6:root\n");
    let start = start.file("/etc/passwd", PASSWD).file("/etc/group", group).copy("/state", "/bin/my-server");
    let start = start.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock");
    let output = start.run(&["/capshim", "--check", "my-server"]);
    assert_eq!((output.stdout.as_str(), output.code), (block(CHECK, "<!-- check:"), 0));
}
