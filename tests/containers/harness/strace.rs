//! What strace's log says of capshim, and how strace is told to tamper with one of its calls.

use std::collections::BTreeMap;

/// A system call of capshim's.
#[derive(Clone)]
pub struct Call {
    pub name: String,
    /// `name(arguments) = result`, as strace writes it.
    pub line: String,
    /// How often the process has made a call of this name since strace attached, this one
    /// included: what strace's `when=` counts.
    pub when: usize,
}

/// The calls from the exec of /capshim to that of /state, the latter included.
pub fn calls_of_capshim(log: &str) -> Vec<Call> {
    up_to("execve(\"/state\"", calls_to_the_end(log))
}

/// The calls from the exec of /capshim to the end of its process.
pub fn calls_to_the_end(log: &str) -> Vec<Call> {
    let start = log.lines().find(|line| line.contains(" execve(\"/capshim\"")).expect("an exec of capshim");
    calls(log, start.split(' ').next().unwrap_or_default(), "execve(\"/capshim\"")
}

/// The calls to the first that begins with this, which is the last of them.
pub fn up_to(last: &str, mut calls: Vec<Call>) -> Vec<Call> {
    let at = calls.iter().position(|call| call.line.starts_with(last));
    let lines = || calls.iter().map(|call| call.line.as_str()).collect::<Vec<_>>().join("\n");
    let at = at.unwrap_or_else(|| panic!("no {last} in:\n{}", lines()));
    calls.truncate(at + 1);
    calls
}

/// A process's calls, from after the one that begins with `after`, or from the first where that
/// is empty.
pub fn calls(log: &str, process: &str, after: &str) -> Vec<Call> {
    let mut made = BTreeMap::new();
    let mut calls = Vec::new();
    let mut ours = after.is_empty();
    for line in log.lines().filter_map(|line| line.strip_prefix(process)).map(str::trim_start) {
        // Signals, the end of the process, and the ends of interrupted lines have no name.
        let Some((name, _)) = line.split_once('(').filter(|(name, _)| is_name(name)) else { continue };
        let when: &mut usize = made.entry(name).or_default();
        *when += 1;
        if ours {
            calls.push(Call { name: name.to_owned(), line: line.to_owned(), when: *when });
        }
        ours |= line.starts_with(after);
    }
    calls
}

fn is_name(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What happens to a call in place of what it should do.
#[derive(Clone, Copy)]
pub enum Fault {
    /// It is not made, and its result is EPERM.
    Eperm,
    /// The same with EIO.
    Eio,
    /// It is not made, and its result is 0.
    Lie,
    /// It is not made, and its result is 1: as if it had read or written a byte.
    LieOfOne,
    /// SIGTERM arrives at its entry.
    Signal,
}

impl Call {
    /// strace's arguments that let this happen to this call.
    pub fn inject(&self, fault: Fault) -> [String; 2] {
        let what = match fault {
            Fault::Eperm => "error=EPERM",
            Fault::Eio => "error=EIO",
            Fault::Lie => "retval=0",
            Fault::LieOfOne => "retval=1",
            Fault::Signal => "signal=SIGTERM",
        };
        ["-e".into(), format!("inject={}:{what}:when={}", self.name, self.when)]
    }
}

/// strace's arguments that let SIGTERM arrive at all of these calls in one run, and at those of
/// the same names between them: strace takes one rule for a name.
pub fn inject_signals(calls: &[&Call]) -> Vec<String> {
    let mut ranges: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for call in calls {
        let (first, last) = ranges.entry(&call.name).or_insert((call.when, call.when));
        (*first, *last) = ((*first).min(call.when), (*last).max(call.when));
    }
    let rule =
        |(name, (first, last))| ["-e".into(), format!("inject={name}:signal=SIGTERM:when={first}..{last}")];
    ranges.into_iter().flat_map(rule).collect()
}
