//! A container that is talked to while it runs: lines in and out, signals, and a look at its
//! processes from the host.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe;

use crate::harness::container::run::on_terminal;
use crate::harness::container::{Container, Output};

/// What takes longer fails its test.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Live {
    container: Container,
    runc: Child,
    /// Standard input, or the other side of the terminal.
    input: File,
    output: File,
    stderr: File,
    /// What came out, and how much of it was looked at.
    seen: String,
    at: usize,
}

impl Container {
    /// Starts the command and leaves it running.
    pub fn live(mut self, command: &[&str]) -> Live {
        let (stdin, input) = pipe().expect("a pipe");
        let (output, stdout) = pipe().expect("a pipe");
        let (stderr, stderr_end) = pipe().expect("a pipe");
        let runc = self.start(command, stdin, stdout, stderr_end);
        Live::new(self, runc, input.into(), output.into(), stderr.into())
    }

    /// The same on a terminal, whose lines end in a newline alone.
    pub fn live_on_terminal(mut self, command: &[&str]) -> Live {
        self.terminal();
        let pty = nix::pty::openpty(None, None).expect("a pseudo-terminal");
        let slave = || pty.slave.try_clone().expect("dup");
        let runc = self.start(command, slave(), slave(), slave());
        let master = || File::from(pty.master.try_clone().expect("dup"));
        let nothing = File::open("/dev/null").expect("/dev/null");
        Live::new(self, runc, master(), master(), nothing)
    }

    fn start(&mut self, command: &[&str], stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd) -> Child {
        let pid_file = self.pid_file();
        let options = ["--pid-file", pid_file.to_str().expect("text")];
        let mut runc = self.command(command).runc_with("run", &options);
        runc.stdin(Stdio::from(stdin));
        runc.stdout(Stdio::from(stdout)).stderr(Stdio::from(stderr)).spawn().expect("runc")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.path("").with_file_name("pid")
    }
}

/// Waits until this is so.
#[track_caller]
pub fn eventually(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LIMIT, "never: {what}");
        std::thread::yield_now();
    }
}

impl Live {
    fn new(container: Container, runc: Child, input: File, output: File, stderr: File) -> Live {
        Live { container, runc, input, output, stderr, seen: String::new(), at: 0 }
    }

    /// The container's first process, as the host numbers it.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        let read = || fs::read_to_string(self.container.pid_file()).unwrap_or_default().parse().ok();
        eventually("a process", || read().is_some());
        read().expect("a number")
    }

    pub fn write(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).expect("write");
    }

    /// The runtime's own process, which connects the terminals.
    pub fn runc(&self) -> i32 {
        children(self.runc.id() as i32)[0]
    }

    /// Runs another command in the container, on a terminal, and returns what was written there.
    pub fn exec_on_terminal(&self, command: &[&str]) -> String {
        let mut exec = self.container.runc_with("exec", &["--tty"]);
        exec.args(command);
        on_terminal(exec).1
    }

    /// Sends a signal to the container's first process.
    pub fn kill(&self, signal: i32) {
        kill(self.pid(), signal);
    }

    /// Everything from where the last call ended to the end of this text.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(found) = self.seen[self.at..].find(text) {
                let end = self.at + found + text.len();
                let passed = self.seen[self.at..end].to_owned();
                self.at = end;
                return passed;
            }
            if !self.read_more() {
                let stderr = self.rest_of_stderr();
                panic!("the end came before {text:?}: {}{stderr}", self.seen);
            }
        }
    }

    /// The next line, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.until("\n").trim_end_matches('\n').to_owned()
    }

    /// False at the end.
    #[track_caller]
    fn read_more(&mut self) -> bool {
        let mut ready = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(LIMIT).expect("a time");
        let count = poll(&mut ready, limit).expect("poll");
        assert_ne!(count, 0, "nothing more came after: {}", self.seen);
        let mut buffer = [0; 4096];
        // A terminal whose other side is closed reads as EIO.
        let length = self.output.read(&mut buffer).unwrap_or(0);
        self.seen += &String::from_utf8_lossy(&buffer[..length]).replace('\r', "");
        length > 0
    }

    fn rest_of_stderr(&mut self) -> String {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).expect("text");
        text
    }

    /// Waits for the end. Everything that came out.
    #[track_caller]
    pub fn all(mut self) -> String {
        self.at = 0;
        self.end().stdout
    }

    /// Waits for the end. The output is what has not been looked at.
    #[track_caller]
    pub fn end(mut self) -> Output {
        while self.read_more() {}
        let code = self.runc.wait().expect("runc").code().unwrap_or(-1);
        Output { code, stdout: self.seen[self.at..].to_owned(), stderr: self.rest_of_stderr() }
    }
}

/// Sends a signal with a value (sigqueue(3)).
pub fn queue(process: i32, signal: i32, value: usize) {
    let value = libc::sigval { sival_ptr: value as *mut libc::c_void };
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::sigqueue(process, signal, value) }).expect("sigqueue");
}

impl Drop for Live {
    fn drop(&mut self) {
        if matches!(self.runc.try_wait(), Ok(None)) {
            self.container.delete();
            let _ = self.runc.wait();
        }
    }
}

/// Sends a signal, of any number; to one that has ended there is nothing to send.
pub fn kill(process: i32, signal: i32) {
    // SAFETY: takes numbers only.
    match Errno::result(unsafe { libc::kill(process, signal) }) {
        Ok(_) | Err(Errno::ESRCH) => {}
        Err(errno) => panic!("kill({process}, {signal}): {errno}"),
    }
}

/// A field of /proc/PID/status.
#[track_caller]
pub fn status(process: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":"));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The children of a process.
pub fn children(process: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).expect("a process");
    text.split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}
