//! What runtimes say where they cannot execute the first program: runc's words and crun's, as
//! docs/troubleshooting.md has them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::container::Container;
use crate::machine::Machine;
use crate::needs;

const GUIDE: &str = include_str!("../../../docs/troubleshooting.md");

/// The words of a cell, which `...` parts; more than one time where versions differ.
fn documented(row: &str, column: usize) -> Vec<Vec<&'static str>> {
    let prefix = format!("| {row} | ");
    let line = GUIDE.lines().find(|line| line.starts_with(&prefix)).unwrap_or_else(|| panic!("no row {row}"));
    let cell = line.trim_matches('|').split(" | ").nth(column).expect("a cell").trim();
    let parts = |words: &'static str| words.trim_matches('`').split("...").map(str::trim).collect();
    cell.split(", or ").map(parts).collect()
}

fn under(runtime: &str, mut container: Container) -> Container {
    let folder = container.path("..");
    container.runtime = [Machine::get().words(&folder), vec![runtime.into()]].concat();
    container
}

#[test]
fn runc_and_crun_say_each_in_its_words_why_they_cannot_execute_the_first_program() {
    needs!("runc", "crun", "busybox", "nsenter");
    // No other process is this user's.
    let uid = 160_000 + std::process::id() % 30_000;
    let start = || Container::user(uid, uid).env("CAPSHIM_CAPS", "none");
    for (column, runtime) in [(1, "runc"), (2, "crun")] {
        let mut other = under(runtime, start());
        let other = other.command(&["/bin/sh", "-c", "echo up; read line; exit 0"]);
        let mut running =
            other.runc("run").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(runtime);
        let said = BufReader::new(running.stdout.take().expect("a pipe")).lines().next();
        assert_eq!(said.expect("a line").expect("text"), "up");

        let volume = start().folder("/shim").copy("/capshim", "/shim/capshim");
        for (row, start, command) in [
            (
                "`=ep` and not granted",
                start().copy("/state", "/app").file_caps("/app", "cap_ipc_lock=ep"),
                "/app",
            ),
            ("another architecture, or no program", start().file("/capshim", "no program"), "/capshim"),
            ("no such file", start().without("/capshim"), "/capshim"),
            ("no execute bit", start().mode("/capshim", 0o644), "/capshim"),
            ("a noexec mount", volume.bind("/shim", "/shim", &["noexec"]), "/shim/capshim"),
            ("too many processes", start().most_processes(0), "/capshim"),
        ] {
            let output = under(runtime, start).run(&[command, "/state"]);
            let stderr = output.stderr.replace("\\\"", "\"");
            assert!(output.code != 0 && output.stdout.is_empty(), "{runtime}, {row}: {}", output.stdout);
            let words = documented(row, column);
            let said = words.iter().any(|words| words.iter().all(|words| stderr.contains(words)));
            assert!(said, "{runtime}, {row}: {words:?} is not in {stderr:?}");
        }
        drop(running.stdin.take());
        assert!(running.wait().expect(runtime).success());
    }
}
