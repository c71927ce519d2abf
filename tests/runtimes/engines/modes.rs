//! The ways to start a container, under each runtime: the table in docs/runtimes.md, every cell
//! of which is observed here.

use std::fs;
use std::sync::Mutex;

use super::engine::{Engine, Kind};
use super::from::{APP, NON_ROOT};
use super::needs_engines;
use super::versions::docker_permits_users;
use crate::container::{Container, Output};
use crate::machine::{Machine, repository};
use crate::needs;

/// How the table's first line begins.
const TABLE: &str = "| start | runc |";
const DOCUMENT: &str = include_str!("../../../docs/runtimes.md");

/// Which image, by what starts its application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The application itself, as uid 1000.
    Itself,
    /// The shim as root, with SETUID and SETGID granted.
    Root,
    /// The shim as root that stays root.
    StayingRoot,
    /// The shim as uid 1000, with file capabilities.
    File,
    /// The shim as uid 1000, without.
    NoFile,
}

/// A way to start the application that is to hold IPC_LOCK and nothing else, which is granted.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub name: &'static str,
    pub by: By,
    pub no_new_privs: bool,
    pub read_only: bool,
    /// Behind an init, `docker run --init`, which needs KILL to signal what root has started.
    pub init: bool,
    pub terminal: bool,
}

const fn mode(name: &'static str, by: By) -> Mode {
    Mode { name, by, no_new_privs: false, read_only: false, init: false, terminal: false }
}

pub const MODES: [Mode; 12] = [
    mode("uid 1000 without the shim", By::Itself),
    mode("root start", By::Root),
    Mode { no_new_privs: true, ..mode("root start, no_new_privs", By::Root) },
    Mode { read_only: true, ..mode("root start, read-only", By::Root) },
    Mode { terminal: true, ..mode("root start, on a terminal", By::Root) },
    Mode {
        init: true,
        no_new_privs: true,
        ..mode("root start, behind an init with KILL, no_new_privs", By::Root)
    },
    mode("non-root start", By::File),
    Mode { no_new_privs: true, read_only: true, ..mode("non-root start, no_new_privs, read-only", By::File) },
    Mode { init: true, ..mode("non-root start, behind an init", By::File) },
    Mode { init: true, no_new_privs: true, ..mode("non-root start, behind an init, no_new_privs", By::File) },
    mode("uid 1000, the shim's file without capabilities", By::NoFile),
    mode("stay root", By::StayingRoot),
];

/// What a runtime was seen to do, in a cell's words.
fn words(output: &Output) -> String {
    let state = output.state();
    if !state.contains_key("uid") {
        let Output { code, stdout, stderr } = output;
        assert!(stdout.is_empty() && stderr.contains("capshim: "), "exit {code}, {stdout:?}, {stderr:?}");
        return format!("refused, exit {}", output.code);
    }
    assert_eq!(output.code, 0, "{}", output.stderr);
    let sets = ["inheritable", "permitted", "effective", "ambient"].map(|set| state[set]);
    assert!(sets.iter().all(|set| *set == sets[0]), "{}", output.stdout);
    format!("uid {}: {}", state["uid"], sets[0])
}

/// Compares what a runtime does in every mode with its column. With UPDATE_DOCS (`make docs`) it
/// writes the column instead.
#[track_caller]
pub fn column(name: &str, version: &str, run: impl Fn(&Mode) -> Option<Output>) {
    let mut seen: Vec<(&str, String)> =
        MODES.iter().map(|mode| (mode.name, run(mode).map_or("–".into(), |output| words(&output)))).collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        seen.push(("version", version.to_owned()));
        return update(name, &seen);
    }
    for (row, cell) in seen {
        assert_eq!(expected(row, name, version), cell, "docs/runtimes.md, and observed: {row}, {name}");
    }
}

/// Writes a column's cells into the document; its rows must be there.
fn update(column: &str, seen: &[(&str, String)]) {
    // The columns' tests run at the same time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().expect("the lock");
    let file = repository().join("docs/runtimes.md");
    let text = fs::read_to_string(&file).expect("the document");
    let (before, table) = text.split_at(text.find(TABLE).expect("the table"));
    let (table, after) = table.split_at(table.find("\n\n").expect("the table's end"));
    let at = rows(TABLE).next().and_then(|names| names.iter().position(|name| *name == column));
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    for (row, cell) in seen {
        let line = lines.iter_mut().find(|line| line.starts_with(&format!("| {row} | ")));
        let line = line.unwrap_or_else(|| panic!("docs/runtimes.md has no row {row}"));
        let mut cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        cells[at.expect("a column of the table")] = cell;
        *line = format!("| {} |", cells.join(" | "));
    }
    fs::write(file, [before, &lines.join("\n"), after].concat()).expect("the document");
}

/// The cell of Docker's that depends on its version, as the document says below the table.
const DEPENDS: &str = "non-root start, no_new_privs, read-only";

/// What a version of a runtime is to do: what the table says of the version that it names.
fn expected(row: &str, column: &str, version: &str) -> &'static str {
    if (row, column) != (DEPENDS, "Docker") {
        return documented(TABLE, row, column);
    }
    let cell =
        |version| if docker_permits_users(version) { "uid 1000: IPC_LOCK" } else { "refused, exit 77" };
    assert_eq!(documented(TABLE, row, column), cell(documented(TABLE, "version", column)));
    cell(version)
}

/// A cell of the document's table that begins with this line.
pub fn documented(table: &str, row: &str, column: &str) -> &'static str {
    let rows: Vec<Vec<&str>> = rows(table).collect();
    let at = rows[0].iter().position(|name| *name == column);
    let line = rows.iter().find(|cells| cells[0] == row);
    at.zip(line).and_then(|(at, cells)| cells.get(at).copied()).unwrap_or("no such cell")
}

fn rows(table: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let at = DOCUMENT.find(table).unwrap_or_else(|| panic!("no {table}"));
    let lines = DOCUMENT[at..].lines().take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

#[test]
fn the_table_has_no_other_modes() {
    let names: Vec<&str> = rows(TABLE).skip(3).map(|cells| cells[0]).collect();
    assert_eq!(names, MODES.map(|mode| mode.name));
}

/// What a user types for it.
fn typed(mode: &Mode) -> Vec<&'static str> {
    let mut words = vec!["run", "--rm", "--cap-drop", "ALL", "--cap-add", "IPC_LOCK"];
    let (more, image): (&[&str], &[&str]) = match mode.by {
        By::Itself => (&["--user", "1000:1000", "--entrypoint", "my-server"], &[APP]),
        By::Root => (&["--cap-add", "SETUID", "--cap-add", "SETGID"], &[APP]),
        By::StayingRoot => (&["--env", "CAPSHIM_USER=root"], &[APP]),
        By::File => (&[], &[NON_ROOT]),
        By::NoFile => (&["--user", "1000:1000"], &[APP]),
    };
    words.extend(more);
    let options = [
        (mode.no_new_privs, "--security-opt=no-new-privileges"),
        (mode.read_only, "--read-only"),
        (mode.init, "--init"),
        (mode.init && mode.by == By::Root, "--cap-add=KILL"),
        (mode.terminal, "-t"),
    ];
    words.extend(options.iter().filter(|(on, _)| *on).map(|(_, option)| option));
    words.extend(image);
    words
}

fn engine_column(kind: Kind, name: &str) {
    let engine = Engine::with_apps(kind);
    column(name, &engine.version(), |mode| {
        Some(match mode.terminal {
            false => engine.run(&typed(mode)),
            true => {
                let (code, stdout) = engine.on_terminal(&typed(mode));
                Output { code, stdout, stderr: String::new() }
            }
        })
    });
}

#[test]
fn docker_does_what_the_table_says() {
    needs_engines!();
    engine_column(Kind::Docker, "Docker");
}

#[test]
fn podman_with_runc_does_what_the_table_says() {
    needs_engines!();
    engine_column(Kind::PodmanRunc, "Podman with runc");
}

#[test]
fn podman_with_crun_does_what_the_table_says() {
    needs_engines!();
    engine_column(Kind::PodmanCrun, "Podman with crun");
}

#[test]
fn podman_without_root_does_what_the_table_says() {
    needs_engines!();
    engine_column(Kind::PodmanRootless, "Podman without root");
}

/// A bundle as containerd writes it.
fn bundle(mode: &Mode, runtime: &str) -> Option<Output> {
    // crun 1.8.1 at times prints a container's output on a terminal as an error of its own.
    if mode.init || mode.terminal && runtime == "crun" {
        return None;
    }
    let (mut container, command): (Container, &[&str]) = match mode.by {
        By::Itself => (Container::user(1000, 1000).capabilities(&["IPC_LOCK"]), &["/state"]),
        By::Root => {
            (Container::root().capabilities(&["IPC_LOCK", "SETGID", "SETUID"]), &["/capshim", "/state"])
        }
        By::StayingRoot => (Container::user(0, 0).capabilities(&["IPC_LOCK"]), &["/capshim", "/state"]),
        By::File | By::NoFile => {
            (Container::user(1000, 1000).capabilities(&["IPC_LOCK"]), &["/capshim", "/state"])
        }
    };
    container = match mode.by {
        By::StayingRoot => container.env("CAPSHIM_USER", "root"),
        By::Root => container.env("CAPSHIM_USER", "app"),
        By::File => container.file_caps("/capshim", "cap_ipc_lock=p"),
        _ => container,
    };
    container = container.env("CAPSHIM_CAPS", "ipc_lock");
    if mode.no_new_privs {
        container = container.no_new_privs();
    }
    if mode.read_only {
        container = container.read_only();
    }
    let folder = container.path("..");
    container.runtime = [Machine::get().words(&folder), vec![runtime.into()]].concat();
    Some(match mode.terminal {
        false => container.run(command),
        true => Output { code: 0, stdout: container.on_terminal(command), stderr: String::new() },
    })
}

/// The last word of the first line that `RUNTIME --version` prints.
fn version(runtime: &str) -> String {
    let said = Machine::get().command(runtime).arg("--version").output().expect("a runtime");
    let text = String::from_utf8(said.stdout).expect("text");
    text.lines().next().and_then(|line| line.split(' ').next_back()).unwrap_or_default().to_owned()
}

#[test]
fn runc_does_what_the_table_says() {
    needs!("runc", "busybox", "nsenter");
    column("runc", &version("runc"), |mode| bundle(mode, "runc"));
}

#[test]
fn crun_does_what_the_table_says() {
    needs!("crun", "busybox", "nsenter");
    column("crun", &version("crun"), |mode| bundle(mode, "crun"));
}
