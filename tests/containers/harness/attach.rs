//! strace attached as the host's root between the runtime's set-up and the command, so that it
//! sees, counts and tampers with what the container does and not with what the runtime does.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::harness::container::{Container, Output};
use crate::harness::live::{LIMIT, eventually, kill, status};

/// Whose calls are seen and tampered with. strace counts the calls of each process by
/// themselves, but its rules are for all that it sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    Everyones,
    /// The container's first process alone, from the exec of the command on: until then the
    /// number of the runtime's own calls is not always the same.
    First,
    /// That process's child alone, from the fork on: it is stopped there by SIGSTOP, which
    /// nothing can block, to be attached to.
    Child,
}

/// A strace that runs.
struct Strace {
    process: Child,
    log: PathBuf,
    /// Its standard error, which it goes on writing to.
    said: BufReader<ChildStderr>,
    /// What it writes before each line only where it follows children.
    prefix: Option<String>,
}

impl Container {
    /// Runs the command with strace attached. Returns strace's log too, in which every line
    /// begins with a process id; the exit code is the first process's.
    pub fn attached(self, strace: &[String], command: &[&str]) -> (Output, String) {
        self.attached_to(Whose::Everyones, strace, command)
    }

    pub fn attached_to(mut self, whose: Whose, strace: &[String], command: &[&str]) -> (Output, String) {
        let pid_file = self.pid_file();
        let waiting = [&["/launch", "--wait", "/go", "--"], command].concat();
        if whose != Whose::Everyones {
            mkfifo(&self.path("/go"), Mode::all()).expect("mkfifo");
            fs::set_permissions(self.path("/go"), fs::Permissions::from_mode(0o666)).expect("chmod");
        }
        let command = if whose == Whose::Everyones { command } else { &waiting };
        let options = ["--pid-file", pid_file.to_str().expect("text")];
        let mut create = self.command(command).runc_with("create", &options);
        create.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its pipes are the container's: they end with the container, not with `runc create`.
        let mut container = create.spawn().expect("runc create");
        assert!(container.wait().expect("runc create").success());
        let first: i32 = fs::read_to_string(pid_file).expect("a file").parse().expect("a process id");
        let start = || assert!(self.runc("start").status().expect("runc start").success());
        let go = || fs::write(self.path("/go"), "go").expect("a FIFO");
        if whose != Whose::Everyones {
            start();
            // It sleeps nowhere else.
            eventually("a command that waits", || {
                (status(first, "Name").as_str(), status(first, "State").as_str())
                    == ("launch", "S (sleeping)")
            });
        }
        let mut witness = None;
        let strace = match whose {
            Whose::Everyones => {
                let strace = self.strace(strace, first, true);
                start();
                strace
            }
            Whose::First => {
                let strace = self.strace(strace, first, false);
                go();
                strace
            }
            Whose::Child => {
                let child = self.stopped_child(first, go);
                // The parent's end is seen by a strace that tampers with nothing.
                witness =
                    Some(self.named_strace("witness", &["-e".into(), "trace=none".into()], first, false));
                let strace = self.strace(strace, child, false);
                kill(child, libc::SIGCONT);
                strace
            }
        };
        let log = strace.end();
        let mut output = Output::of(container.wait_with_output().expect("the container's output"));
        output.code = exit_code(&witness.map_or_else(|| log.clone(), Strace::end), first);
        (output, log)
    }

    /// Stops the child that this process makes after `go` in its first call. What that is
    /// depends on libc, whose start-up makes the same calls: there the process is let on, and
    /// nothing is blocked yet.
    fn stopped_child(&self, first: i32, go: impl Fn()) -> i32 {
        let calls = "gettid,set_tid_address,set_robust_list";
        let stop = [format!("trace={calls}"), format!("inject={calls}:signal=SIGSTOP:when=1")];
        let stop = stop.map(|words| ["-e".to_owned(), words]).concat();
        let stopper = self.strace(&stop, first, true);
        go();
        let (start, mut passed) = (Instant::now(), 0);
        let child = loop {
            assert!(start.elapsed() < LIMIT, "never: a child");
            let log = fs::read_to_string(&stopper.log).unwrap_or_default();
            let stopped = log.lines().filter(|line| line.ends_with("--- stopped by SIGSTOP ---"));
            let stopped = stopped.filter_map(|line| line.split(' ').next()?.parse::<i32>().ok());
            let (own, others): (Vec<i32>, Vec<i32>) = stopped.partition(|process| *process == first);
            if let Some(child) = others.first() {
                break *child;
            }
            if own.len() > passed {
                kill(first, libc::SIGCONT);
                passed += 1;
            }
            std::thread::yield_now();
        };
        stopper.detach();
        eventually("a child that nobody traces", || status(child, "State") == "T (stopped)");
        child
    }

    fn strace(&self, arguments: &[String], process: i32, follow: bool) -> Strace {
        self.named_strace("strace", arguments, process, follow)
    }

    fn named_strace(&self, name: &str, arguments: &[String], process: i32, follow: bool) -> Strace {
        let log = self.path("").with_file_name(name);
        let mut attach = Command::new("timeout");
        attach.args(["--kill-after=5", "60", "strace", "-s", "256", "-o"]).arg(&log);
        attach.args(follow.then_some("-f")).args(arguments).args(["-p", &process.to_string()]);
        let mut strace = attach.stderr(Stdio::piped()).spawn().expect("strace");
        let mut said = BufReader::new(strace.stderr.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("strace's first line");
        assert!(line.contains(" attached"), "{line}");
        Strace { process: strace, log, said, prefix: (!follow).then(|| format!("{process} ")) }
    }
}

impl Strace {
    /// Waits for the end of all that it is attached to. The log.
    fn end(mut self) -> String {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("text");
        assert!(self.process.wait().expect("strace").success(), "{rest}");
        let log = fs::read_to_string(self.log).expect("strace's log");
        let lines = log.lines().map(|line| self.prefix.clone().unwrap_or_default() + line + "\n");
        lines.collect()
    }

    /// Lets go of all.
    fn detach(mut self) {
        // timeout passes it on.
        kill(self.process.id() as i32, libc::SIGTERM);
        self.process.wait().expect("strace");
    }
}

/// How strace saw this process end: its exit status, or -1 after a signal.
fn exit_code(log: &str, process: i32) -> i32 {
    let lines = log.lines().filter_map(|line| line.strip_prefix(&process.to_string())).map(str::trim_start);
    let mut status =
        lines.filter_map(|line| line.strip_prefix("+++ exited with ")?.strip_suffix(" +++")?.parse().ok());
    status.next().unwrap_or(-1)
}
