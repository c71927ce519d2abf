//! The shapes of well-known images, and where capshim goes in them: the table in
//! docs/wrapping.md, each row of which is observed here.
//!
//! The images are made from what their Dockerfiles say in public: the same ENTRYPOINT, CMD,
//! USER, file attributes, and what their scripts do, said anew and as short as it goes. The
//! server in each is a stand-in that prints what it holds.

mod databases;
mod ports;
mod secrets;
mod supervised;

use std::fs;

use crate::container::{Container, Output, built};
use crate::engines::versions::runc_cannot_execute;

const DOCUMENT: &str = include_str!("../../../docs/wrapping.md");

/// What Docker grants where nothing is said.
const DEFAULTS: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// What an image has in it.
trait Image {
    /// A built program at this place.
    fn program(self, name: &str, place: &str) -> Self;
    /// A line of /etc/passwd, and one of /etc/group.
    fn account(self, name: &str, uid: u32, gid: u32) -> Self;
}

impl Image for Container {
    fn program(self, name: &str, place: &str) -> Container {
        let content = fs::read(built(name)).expect("a built program");
        let folder = place.rsplit_once('/').expect("a path").0;
        self.folder(folder).file(place, content).mode(place, 0o755)
    }

    fn account(self, name: &str, uid: u32, gid: u32) -> Container {
        let passwd = format!("root:x:0:0:root:/root:/bin/sh\n{name}:x:{uid}:{gid}::/:/bin/sh\n");
        let group = format!("root:x:0:\n{name}:x:{gid}:\n");
        self.file("/etc/passwd", passwd).file("/etc/group", group)
    }
}

/// What was seen, in the table's words.
fn words(output: &Output) -> String {
    let state = output.state();
    let Some(uid) = state.get("uid") else {
        let said = output.stderr.lines().last().unwrap_or_default();
        return match said.strip_prefix("capshim: ") {
            Some(_) => format!("refused, exit {}", output.code),
            // runc's own words and exit code.
            None if said.starts_with("exec ") => {
                assert_eq!(output.code, runc_cannot_execute(), "{said}");
                format!("exit 1, with runc 1.3 exit 255: `{said}`")
            }
            None => {
                format!("exit {}: `{}`", output.code, said.rsplit(": caused: ").next().unwrap_or_default())
            }
        };
    };
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(state["effective"], state["permitted"], "{}", output.stdout);
    let held = match state["effective"] {
        "none" => return format!("uid {uid}: nothing"),
        held => held,
    };
    if *uid == "0" && held == state["bounding"] && held.contains(',') {
        return "uid 0: all that is granted".into();
    }
    match state["ambient"] {
        ambient if ambient == held => format!("uid {uid}: {held}"),
        "none" if *uid == "0" => format!("uid {uid}: {held}"),
        "none" => format!("uid {uid}: {held}, its children not"),
        other => panic!("ambient {other}"),
    }
}

/// Compares what came of a start with its row.
#[track_caller]
fn row(image: &str, start: &str, output: &Output) {
    let seen = format!("| {image} | {start} | {} |", words(output));
    let prefix = format!("| {image} | {start} | ");
    let documented = DOCUMENT.lines().find(|line| line.starts_with(&prefix)).unwrap_or("no such row");
    assert_eq!(documented, seen, "docs/wrapping.md, and observed:\n{}{}", output.stdout, output.stderr);
}

#[test]
fn every_row_is_observed() {
    let code = [
        include_str!("databases.rs"),
        include_str!("ports.rs"),
        include_str!("secrets.rs"),
        include_str!("supervised.rs"),
    ]
    .concat();
    let rows: Vec<&str> = DOCUMENT.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 25, "{}", rows.len());
    for row in rows {
        let start = row.split(" | ").nth(1).expect("a cell");
        assert!(code.contains(&format!("\"{start}\"")), "no test observes: {row}");
    }
}
