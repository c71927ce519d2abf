//! The ways to start a container, under each runtime: the table in docs/runtimes.md, every cell
//! of which is observed here.

use std::fs;
use std::sync::Mutex;

use super::engine::{Engine, Kind};
use super::from::{APP, NON_ROOT};
use super::needs_engines;
use super::versions::{docker_permits_users, numbers};
use crate::container::{Container, Output};
use crate::machine::{Machine, repository};
use crate::needs;

const DOCUMENT: &str = include_str!("../../../docs/runtimes.md");

/// The releases of Debian that a table has a column for, in this order, by their names in os-release(5).
const RELEASES: [&str; 3] = ["bookworm", "trixie", "forky"];

/// The engines that have a table. Its first line is the engine's name and each column's version.
const TABLES: [&str; 9] = [
    "Docker",
    "Docker with userns-remap",
    "Docker without root",
    "Podman with crun",
    "Podman with runc",
    "Podman without root",
    "containerd",
    "runc",
    "crun",
];

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
    /// The same, out of a volume that is an image.
    ImageVolume,
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
    /// A user namespace of the container's own.
    pub user_namespace: bool,
}

const fn mode(name: &'static str, by: By) -> Mode {
    Mode {
        name,
        by,
        no_new_privs: false,
        read_only: false,
        init: false,
        terminal: false,
        user_namespace: false,
    }
}

pub const MODES: [Mode; 15] = [
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
    Mode { user_namespace: true, ..mode("root start, in a user namespace", By::Root) },
    mode("non-root start", By::File),
    Mode { no_new_privs: true, read_only: true, ..mode("non-root start, no_new_privs, read-only", By::File) },
    Mode { user_namespace: true, ..mode("non-root start, in a user namespace", By::File) },
    Mode { no_new_privs: true, ..mode("non-root start from an image volume, no_new_privs", By::ImageVolume) },
    Mode { init: true, ..mode("non-root start, behind an init", By::File) },
    Mode { init: true, no_new_privs: true, ..mode("non-root start, behind an init, no_new_privs", By::File) },
    mode("uid 1000, the shim's file without capabilities", By::NoFile),
    mode("stay root", By::StayingRoot),
];

/// What a runtime was seen to do, in a cell's words.
fn words(mode: &str, output: &Output) -> String {
    let state = output.state();
    if !state.contains_key("uid") {
        let Output { code, stdout, stderr } = output;
        assert!(
            stdout.is_empty() && stderr.contains("capshim: "),
            "{mode}: exit {code}, {stdout:?}, {stderr:?}"
        );
        return format!("refused, exit {}", output.code);
    }
    assert_eq!(output.code, 0, "{mode}: {}", output.stderr);
    let sets = ["inheritable", "permitted", "effective", "ambient"].map(|set| state[set]);
    assert!(sets.iter().all(|set| *set == sets[0]), "{}", output.stdout);
    format!("uid {}: {}", state["uid"], sets[0])
}

/// Compares what a version of an engine does in every mode with its column of the engine's table, which is
/// that of the newest version that is not newer. With UPDATE_DOCS (`make docs`) it writes the column
/// instead.
#[track_caller]
pub fn column(engine: &str, version: &str, run: impl Fn(&Mode) -> Option<Output>) {
    let seen = MODES.map(|mode| run(&mode).map_or(NONE.into(), |output| words(mode.name, &output)));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return update(engine, version, &seen);
    }
    let mut versions = rows(engine)[0][1..].to_vec();
    let later = versions.iter().position(|other| numbers(other) > numbers(version)).unwrap_or(versions.len());
    let column = later.max(1);
    versions.truncate(column);
    for (mode, seen) in MODES.iter().zip(&seen) {
        let row = rows(engine).into_iter().find(|row| row[0] == mode.name);
        let documented = row.map_or(NONE, |row| row[column]);
        let expected = if engine == "Docker" && mode.by == By::File && mode.no_new_privs && !mode.init {
            of_docker(documented, versions[column - 1], version)
        } else {
            documented
        };
        assert_eq!(expected, seen, "docs/runtimes.md, and observed: {}, {engine} {version}", mode.name);
    }
}

/// There is no such option, or no test of it.
const NONE: &str = "–";

/// The cell that changed between two versions of Docker's in the table, as the document says below.
fn of_docker(documented: &'static str, column: &str, version: &str) -> &'static str {
    let cell =
        |version| if docker_permits_users(version) { "uid 1000: IPC_LOCK" } else { "refused, exit 77" };
    assert_eq!(documented, cell(column));
    cell(version)
}

/// The name of this machine's release of Debian, or of what it is (os-release(5)).
pub fn release() -> String {
    let system = fs::read_to_string("/etc/os-release").expect("os-release");
    let name = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or_default().to_owned()
}

/// Writes a column into the document's table of an engine. Rows without a cell are left out.
fn update(engine: &str, version: &str, seen: &[String; MODES.len()]) {
    // The columns' tests run at the same time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().expect("the lock");
    let column = 1 + RELEASES.iter().position(|name| *name == release()).expect("a release of the table");

    let file = repository().join("docs/runtimes.md");
    let text = fs::read_to_string(&file).expect("the document");
    let start = text.find(&format!("| {engine} | ")).expect("the table");
    let (table, after) = text[start..].split_at(text[start..].find("\n\n").expect("the table's end"));
    let before: Vec<Vec<&str>> = table.lines().map(cells).collect();
    let line = |name: &str, cell: &str| {
        let row = before.iter().find(|row| row[0] == name).cloned();
        let mut row = row.unwrap_or_else(|| [&[name], &[NONE; RELEASES.len()][..]].concat());
        row[column] = cell;
        row.join(" | ")
    };
    let mut lines = vec![line(engine, version), "---|---|---|---".into()];
    lines.extend(MODES.iter().zip(seen).map(|(mode, cell)| line(mode.name, cell)));
    lines.retain(|line| !line.ends_with(&format!(" | {}", [NONE; RELEASES.len()].join(" | "))));
    let lines: Vec<String> = lines
        .iter()
        .map(|line| match line.starts_with('-') {
            true => format!("|{line}|"),
            false => format!("| {line} |"),
        })
        .collect();
    fs::write(&file, [&text[..start], &lines.join("\n"), after].concat()).expect("the document");
}

/// A cell of the document's table whose first line begins with this.
pub fn documented(table: &str, row: &str, column: &str) -> &'static str {
    let rows = rows(table);
    let at = rows[0].iter().position(|name| *name == column);
    let line = rows.iter().find(|cells| cells[0] == row);
    at.zip(line).and_then(|(at, cells)| cells.get(at).copied()).unwrap_or("no such cell")
}

/// The lines of the document's table whose first cell this is.
fn rows(table: &str) -> Vec<Vec<&'static str>> {
    let at = DOCUMENT.find(&format!("| {table} | ")).unwrap_or_else(|| panic!("no {table}"));
    DOCUMENT[at..].lines().take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

#[test]
fn the_tables_have_no_other_modes_and_no_cell_that_was_not_observed() {
    for engine in TABLES {
        let rows = rows(engine);
        assert!(
            rows.iter().all(|row| row[0].starts_with("---") || row.len() == 1 + RELEASES.len()),
            "{engine}"
        );
        let names: Vec<&str> = rows[2..].iter().map(|row| row[0]).collect();
        let known = MODES.map(|mode| mode.name);
        assert_eq!(
            names,
            known.into_iter().filter(|name| names.contains(name)).collect::<Vec<_>>(),
            "{engine}"
        );
    }
    let headings = DOCUMENT.lines().zip(DOCUMENT.lines().skip(1));
    let tables = headings.filter(|(_, rule)| rule.starts_with("|---")).map(|(line, _)| cells(line)[0]);
    let others = ["file capabilities"];
    assert_eq!(tables.filter(|name| !others.contains(name)).collect::<Vec<_>>(), TABLES);
}

/// What a user types for it.
fn typed(mode: &Mode) -> Vec<&'static str> {
    let mut words = vec!["run", "--rm", "--cap-drop", "ALL", "--cap-add", "IPC_LOCK"];
    let (more, image): (&[&str], &[&str]) = match mode.by {
        By::Itself => (&["--user", "1000:1000", "--entrypoint", "my-server"], &[APP]),
        By::Root => (&["--cap-add", "SETUID", "--cap-add", "SETGID"], &[APP]),
        By::StayingRoot => (&["--env", "CAPSHIM_USER=root"], &[APP]),
        By::File => (&[], &[NON_ROOT]),
        By::ImageVolume => {
            (&["--user=1000:1000", "--entrypoint=/shim/capshim", IMAGE_VOLUME], &[APP, "my-server"])
        }
        By::NoFile => (&["--user", "1000:1000"], &[APP]),
    };
    words.extend(more);
    let options = [
        (mode.no_new_privs, "--security-opt=no-new-privileges"),
        (mode.read_only, "--read-only"),
        (mode.init, "--init"),
        (mode.init && mode.by == By::Root, "--cap-add=KILL"),
        (mode.terminal, "-t"),
        (mode.user_namespace, "--uidmap=0:200000:65536"),
        (mode.user_namespace, "--gidmap=0:200000:65536"),
    ];
    words.extend(options.iter().filter(|(on, _)| *on).map(|(_, option)| option));
    words.extend(image);
    words
}

/// The image with the shim, as a folder of the container's.
const IMAGE_VOLUME: &str = "--mount=type=image,source=my-app-non-root:1.0,destination=/shim";

fn engine_column(kind: Kind, name: &str) {
    let engine = Engine::with_apps(kind);
    if kind == Kind::DockerRemapped || kind == Kind::DockerRootless {
        let map = engine.succeed(&["run", "--rm", "--entrypoint=cat", APP, "/proc/self/uid_map"]);
        let first = if kind == Kind::DockerRemapped { "200000" } else { "2000" };
        assert_eq!(map.split_whitespace().take(2).collect::<Vec<_>>(), ["0", first]);
    }
    column(name, &engine.version(), |mode| {
        // Docker's are the daemon's, and an ordinary user's are all in one.
        let podman = matches!(kind, Kind::PodmanRunc | Kind::PodmanCrun);
        if mode.user_namespace && !podman || mode.by == By::ImageVolume && !engine.mounts_images() {
            return None;
        }
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
fn docker_with_userns_remap_does_what_the_table_says() {
    needs_engines!();
    engine_column(Kind::DockerRemapped, "Docker with userns-remap");
}

#[test]
fn docker_without_root_does_what_the_table_says() {
    needs_engines!();
    needs!("rootlesskit");
    engine_column(Kind::DockerRootless, "Docker without root");
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
        By::ImageVolume => return None,
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
    if mode.user_namespace {
        container = container.user_namespace(200_000, 65_536);
        if mode.by == By::File {
            // The change of owner took them.
            container = container.file_caps("/capshim", "cap_ipc_lock=p");
        }
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
