//! Which terminals a start gives to the application's group: the container's own, and no
//! terminal of another's session, whose users it would otherwise open for good.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use nix::pty::{OpenptyResult, openpty};

use crate::harness::container::built;
use crate::harness::container::output::without_line;
use crate::harness::starts::app;

/// What `stat -c` is to print.
const LOOK: &str = "stat -L -c '%a %u %g'";

/// A pseudo-terminal of root's, as this machine gives it.
struct Pty {
    master: File,
    slave: File,
    before: (u32, u32, u32),
}

impl Pty {
    fn new() -> Pty {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a pseudo-terminal");
        let (master, slave) = (File::from(master), File::from(slave));
        let before = look(&slave);
        assert_eq!(before.1, 0, "not root's");
        Pty { master, slave, before }
    }

    fn end(&self) -> OwnedFd {
        self.slave.try_clone().expect("dup").into()
    }

    /// The command's standard streams are this terminal, and it ends.
    fn run(&mut self, mut command: Command) -> i32 {
        let [stdin, stdout, stderr] = [(); 3].map(|()| Stdio::from(self.end()));
        command.stdin(stdin).stdout(stdout).stderr(stderr).status().expect("a command").code().unwrap_or(-1)
    }

    /// Waits until this was written there.
    fn until(&mut self, text: &str) {
        let (mut seen, mut byte) = (String::new(), [0]);
        while !seen.ends_with(text) {
            self.master.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {seen}"));
            seen.push(byte[0].into());
        }
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(look(&self.slave), self.before);
    }
}

/// Mode, owner and group.
fn look(file: &File) -> (u32, u32, u32) {
    let status = file.metadata().expect("a terminal");
    (status.mode() & 0o7777, status.uid(), status.gid())
}

#[test]
fn a_terminal_of_roots_shell_stays_roots() {
    let script = format!("{LOOK} /dev/stdin; /capshim /bin/sh -c :; {LOOK} /dev/stdin");
    let in_background = script.replace("-c :;", "-c : & wait;");
    let pipeline = script.replace("-c :;", "-c : | /bin/busybox cat;");
    for init in ["0", "1"] {
        for script in [&script, &in_background, &pipeline] {
            let written = app().env("CAPSHIM_INIT", init).on_terminal(&["/bin/sh", "-c", script]);
            let [before, after] = written.lines().collect::<Vec<_>>()[..] else { panic!("{written}") };
            assert!(before.contains(" 0 ") && before == after, "{script}: {written}");
        }
    }
}

#[test]
fn a_terminal_that_the_runtime_made_for_a_command_is_shared_with_it_alone() {
    // As `kubectl exec -t` and `docker exec -t`, which take the container's environment.
    let mut live = app().live(&["/bin/sh", "-c", "echo up; read line"]);
    live.until("up\n");
    let reopen = format!("echo out >/dev/stdout; {LOOK} /dev/stdin");
    assert_eq!(live.exec_on_terminal(&["/capshim", "/bin/sh", "-c", &reopen]), "out\n660 0 1000\n");
    // The command may begin with a script that makes way for it.
    let script = format!("exec /capshim /bin/sh -c \"{reopen}\"");
    assert_eq!(live.exec_on_terminal(&["/bin/sh", "-c", &script]), "out\n660 0 1000\n");
    let of_shell =
        format!("{LOOK} /dev/stdin; /capshim /bin/sh -c 'echo out >/dev/stdout'; {LOOK} /dev/stdin");
    let written = without_line(&live.exec_on_terminal(&["/bin/sh", "-c", &of_shell]));
    let [before, denied, after] = written.lines().collect::<Vec<_>>()[..] else { panic!("{written}") };
    assert_eq!((before, denied), (after, "/bin/sh: can't create /dev/stdout: Permission denied"));
    live.write("\n");
    live.end();
}

#[test]
fn the_hosts_terminal_stays_the_hosts() {
    // A container that is started in the background has the terminal of who starts it.
    for init in ["0", "1"] {
        let mut start = app().env("CAPSHIM_INIT", init);
        let mut pty = Pty::new();
        let command =
            start.command(&["/capshim", "/bin/sh", "-c", "echo up"]).runc_with("run", &["--detach"]);
        assert_eq!(pty.run(command), 0);
        pty.until("up");
        pty.is_untouched();
        start.delete();
    }
    // No container at all.
    let mut pty = Pty::new();
    let mut command = Command::new(built("capshim"));
    command.arg("/bin/true").env("CAPSHIM_USER", "1000:1000");
    assert_eq!(pty.run(command), 0);
    pty.is_untouched();
}

#[test]
fn a_device_that_every_session_opens_is_not_shared() {
    // Terminals as well, and this process leads the first one's session.
    for device in ["/dev/tty", "/dev/ptmx"] {
        let script = format!("{LOOK} {device}; exec /capshim /bin/sh -c \"{LOOK} {device}\" <>{device}");
        let written = app().on_terminal(&["/bin/sh", "-c", &script]);
        let [before, after] = written.lines().collect::<Vec<_>>()[..] else { panic!("{written}") };
        assert!(before.contains("666 0 ") && before == after, "{device}: {written}");
    }
}

#[test]
fn the_shim_as_init_shares_the_terminal_that_the_runtime_made_for_it() {
    let script = format!("{LOOK} /dev/stdin; echo out >&0; echo more >/dev/stdout");
    let written = app().env("CAPSHIM_INIT", "1").on_terminal(&["/capshim", "/bin/sh", "-c", &script]);
    assert_eq!(written, "660 0 1000\nout\nmore\n");
}

#[test]
fn a_pipe_of_roots_shell_has_no_name_by_which_the_group_could_open_it() {
    // Root's shell holds it, as PID 1; whoever would open it needs a look at root's descriptors.
    let look = format!("/capshim /bin/sh -c :; {LOOK} /proc/1/fd/1; echo root >/proc/1/fd/1");
    let attempt = "/launch --user 1000 -- /bin/sh -c 'echo leaked >/proc/1/fd/1'";
    let output = app().run(&["/bin/sh", "-c", &format!("{look}; {attempt}; :")]);
    assert_eq!(output.stdout, "620 0 1000\nroot\n");
    assert_eq!(without_line(&output.stderr), "/bin/sh: can't create /proc/1/fd/1: Permission denied\n");
}
