//! docs/sets.svg: the capability sets through each exec, drawn from what real programs in
//! real containers held.
//!
//!     UPDATE_DOCS=1 cargo test --test peers picture

use crate::harness::container::{Container, Output};
use crate::harness::starts::lock;

const SETS: [&str; 5] = ["bounding", "permitted", "effective", "inheritable", "ambient"];

/// One program in a row, as it saw itself.
struct Stage {
    name: &'static str,
    /// Its uid, and what each of the sets has.
    uid: String,
    sets: [String; 5],
}

impl Stage {
    /// From lines `set: names` or `set   names`, as /state and --check print them.
    fn new(name: &'static str, output: &str) -> Stage {
        // A report has the outcome before that.
        let output = output.split("\ngranted\n").last().unwrap_or_default();
        let value = |label: &str| {
            let line = output.lines().find_map(|line| line.trim_start().strip_prefix(label));
            line.unwrap_or_else(|| panic!("no {label} in {output}")).trim_start_matches(':').trim().to_owned()
        };
        Stage { name, uid: value("uid"), sets: SETS.map(value) }
    }
}

/// A title, and the programs one after the other.
type Row = (&'static str, Vec<Stage>);

fn rows() -> Vec<Row> {
    let ok = |output: Output| {
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        output.stdout
    };
    let child = ["/capshim", "/bin/sh", "-c", "/state; true"];
    let user = || Container::user(1000, 1000).capabilities(&["IPC_LOCK"]);
    let capable =
        || user().no_new_privs().file_caps("/capshim", "cap_ipc_lock=p").env("CAPSHIM_CAPS", "ipc_lock");
    vec![
        ("runAsUser: 1000, add IPC_LOCK", vec![Stage::new("my-server", &ok(user().run(&["/state"])))]),
        (
            "the same, IPC_LOCK=ep on the application's file",
            vec![
                Stage::new("my-server", &ok(user().file_caps("/state", "cap_ipc_lock=ep").run(&["/state"]))),
                Stage::new(
                    "its child",
                    &ok(user().file_caps("/bin/busybox", "cap_ipc_lock=ep").run(&[
                        "/bin/sh",
                        "-c",
                        "/state; true",
                    ])),
                ),
            ],
        ),
        (
            "capshim, root start: runAsUser: 0, add IPC_LOCK, SETUID, SETGID",
            vec![
                Stage::new("capshim", &ok(lock().run(&["/capshim", "--check"]))),
                Stage::new("my-server", &ok(lock().shim(&["/state"]))),
                Stage::new("its child", &ok(lock().run(&child))),
            ],
        ),
        (
            "capshim, non-root start: runAsUser: 1000, add IPC_LOCK, IPC_LOCK=p on the shim's file",
            vec![
                Stage::new("capshim", &ok(capable().run(&["/capshim", "--check"]))),
                Stage::new("my-server", &ok(capable().shim(&["/state"]))),
                Stage::new("its child", &ok(capable().run(&child))),
            ],
        ),
    ]
}

/// Colours that can be read on light and on dark ground.
const STYLE: &str = "text{font:13px monospace;fill:#777}.title{font-weight:bold}.name{font-weight:bold;fill:#38d}\
    .has{fill:#2a2;font-weight:bold}rect{fill:none;stroke:#999}path{stroke:#999;fill:none}";

fn draw(rows: &[Row]) -> String {
    const WIDE: usize = 310;
    const HIGH: usize = 136;
    const GAP: usize = 40;
    let text = |x: usize, y: usize, class: &str, words: &str| {
        format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{words}</text>\n")
    };
    let mut body = String::new();
    let mut top = 10;
    for (title, stages) in rows {
        body += &text(10, top + 12, "title", title);
        for (at, stage) in stages.iter().enumerate() {
            let (x, y) = (10 + at * (WIDE + GAP), top + 22);
            body += &format!("<rect x=\"{x}\" y=\"{y}\" width=\"{WIDE}\" height=\"{HIGH}\" rx=\"4\"/>\n");
            body += &text(x + 10, y + 20, "name", &format!("{} (uid {})", stage.name, stage.uid));
            for (line, (set, names)) in SETS.iter().zip(&stage.sets).enumerate() {
                let y = y + 44 + 20 * line;
                let class = if names == "none" { "" } else { "has" };
                body += &text(x + 10, y, "", set);
                body += &text(x + 104, y, class, names);
            }
            if at > 0 {
                let (from, y) = (x - GAP, y + HIGH / 2);
                body += &format!("<path d=\"M{from} {y}h{GAP}m-7 -4l7 4l-7 4\"/>\n");
                body += &text(from + 4, y - 8, "", "exec");
            }
        }
        top += HIGH + 42;
    }
    let width = 20 + 3 * WIDE + 2 * GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" height=\"{top}\">\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

#[test]
fn the_picture_shows_what_real_programs_held() {
    let (drawn, file) = (draw(&rows()), concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sets.svg"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file, &drawn).expect("docs/sets.svg");
    }
    assert_eq!(std::fs::read_to_string(file).expect("docs/sets.svg"), drawn);
}
