//! The system calls that a program makes before the application's exec, as strace sees them.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::cases::Case;
use crate::worker::Worker;

/// The calls of one run, from after the program's exec on.
pub struct Trace(Vec<Call>);

struct Call {
    process: String,
    /// `name(arguments) = result`, as strace writes it.
    line: String,
    executes_the_application: bool,
}

impl Trace {
    pub fn of(case: &Case, worker: &mut Worker) -> Trace {
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
        let trace = Trace(calls(case, pid, &log));
        let is_alone = case.program() == case.application();
        assert!(
            is_alone || trace.0.iter().any(|call| call.executes_the_application),
            "{}:\n{log}",
            case.name
        );
        trace
    }

    /// How many calls there are before the application runs, the last exec included.
    pub fn count(&self) -> usize {
        self.0.iter().position(|call| call.executes_the_application).map_or(0, |place| place + 1)
    }

    /// Each process's calls, in the order of the processes' first ones. Addresses and process ids differ
    /// from run to run and are left out, as are the calls of the application, and the one with which each
    /// version of libc learns its thread's id in its own way.
    fn by_process(&self) -> Vec<Vec<String>> {
        let mut processes: Vec<&str> = Vec::new();
        for call in &self.0 {
            if !processes.contains(&call.process.as_str()) {
                processes.push(&call.process);
            }
        }
        let calls_of = |process: &&str| {
            let of_libc = |line: &str| line.starts_with("gettid(") || line.starts_with("set_tid_address(");
            let ours = self.0.iter().filter(|call| call.process == *process && !of_libc(&call.line));
            let end =
                ours.clone().position(|call| call.executes_the_application).map_or(usize::MAX, |at| at + 1);
            ours.take(end).map(|call| same_in_each_run(&call.line, &processes)).collect()
        };
        processes.iter().map(calls_of).collect()
    }

    /// The first call of another trace that is not as here.
    pub fn difference(&self, other: &Trace) -> Option<String> {
        let (ours, theirs) = (self.by_process(), other.by_process());
        (0..ours.len().max(theirs.len())).find_map(|process| {
            let [ours, theirs] = [&ours, &theirs].map(|all| all.get(process).map_or(&[][..], Vec::as_slice));
            let at = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at))?;
            let shown = |calls: &[String]| calls.get(at).map_or("nothing", String::as_str).to_owned();
            Some(format!("process {process}, call {at}:\n{}\n{}", shown(ours), shown(theirs)))
        })
    }
}

fn is_traced(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    !status.contains("\nTracerPid:\t0\n")
}

/// Each line of the log begins with a process. strace breaks a call in two where another process makes one
/// meanwhile; the halves are joined in the place of the first.
fn calls(case: &Case, worker: Pid, log: &str) -> Vec<Call> {
    let executes = |line: &str, path: &str| line.starts_with(&format!("execve(\"{path}\""));
    let mut calls: Vec<Call> = Vec::new();
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut started = false;
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    for (process, line) in lines.filter(|(process, _)| *process != worker.to_string()) {
        let line = line.trim_start();
        if !started {
            started = executes(line, case.program());
            continue;
        }
        if let Some((_, rest)) = line.strip_prefix("<... ").and_then(|line| line.split_once(" resumed>")) {
            if let Some(first) = broken.remove(process) {
                calls[first].line += rest;
            }
        } else if line.starts_with(|c: char| c.is_ascii_lowercase()) {
            let whole = line.strip_suffix(" <unfinished ...>");
            if whole.is_some() {
                broken.insert(process, calls.len());
            }
            calls.push(Call {
                process: process.to_owned(),
                line: whole.unwrap_or(line).to_owned(),
                executes_the_application: executes(line, case.application()),
            });
        }
    }
    calls
}

fn same_in_each_run(line: &str, processes: &[&str]) -> String {
    // The time that a child took is the last that is said of it.
    let line = line.split(", si_utime=").next().unwrap_or(line);
    let mut result = String::new();
    for part in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match processes.iter().position(|process| *process == word) {
            Some(place) => result += &format!("process {place}"),
            None if word.starts_with("0x") && word.len() > 6 => result += "address",
            None => result += word,
        }
        result += &part[word.len()..];
    }
    // strace pads a short line before the result.
    result.split_whitespace().collect::<Vec<_>>().join(" ")
}
