//! The system calls that a program makes before the application's exec, as strace sees them.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::cases::Case;
use crate::worker::Worker;

/// Counts the calls of one run, that exec included.
pub fn count(case: &Case, worker: &mut Worker) -> usize {
    let log = NamedTempFile::new().expect("a file");
    let pid = worker.pid;
    // Attached from outside and as root: otherwise a file's capabilities would not count.
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-s", "200", "-p", &pid.to_string(), "-o"])
        .arg(log.path())
        .stderr(Stdio::null());
    let mut strace = strace.spawn().expect("strace: scripts/bench installs it");
    while !is_traced(pid) {
        assert_eq!(strace.try_wait().expect("strace"), None, "strace cannot attach");
        std::thread::yield_now();
    }
    worker.run();
    kill(Pid::from_raw(strace.id() as i32), Signal::SIGTERM).expect("kill");
    strace.wait().expect("strace");
    let log = fs::read_to_string(log.path()).expect("strace's log");
    calls(case, pid, &log).unwrap_or_else(|| panic!("{}: no exec of the application in:\n{log}", case.name))
}

fn is_traced(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    !status.contains("\nTracerPid:\t0\n")
}

fn calls(case: &Case, worker: Pid, log: &str) -> Option<usize> {
    let executes = |line: &str, path: &str| line.starts_with(&format!("execve(\"{path}\""));
    // Each line begins with a process; those of the worker and of a call's second half don't count.
    let lines =
        log.lines().filter_map(|line| line.split_once(' ')).filter(|(pid, _)| *pid != worker.to_string());
    let lines = lines
        .map(|(_, line)| line.trim_start())
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let mut lines = lines.skip_while(|line| !executes(line, case.program()));
    lines.next()?;
    if case.program() == case.application() {
        return Some(0);
    }
    lines.position(|line| executes(line, case.application())).map(|place| place + 1)
}
