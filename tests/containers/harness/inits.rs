//! What any init has to do. The tests of init mode check it of capshim, `tests/peers` of others.
//!
//! `init` is a command line that runs another one, as in `/usr/bin/tini --`.

use crate::harness::container::Container;
use crate::harness::live::{Live, children, eventually, status};
use crate::harness::starts;

/// A root start in init mode that asks for a capability.
#[track_caller]
pub fn lock() -> Container {
    starts::lock().env("CAPSHIM_INIT", "1")
}

/// The words of a command behind an init.
fn behind<'a>(init: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    init.split(' ').chain(command.iter().copied()).collect()
}

pub const LISTEN: [&str; 2] = ["/capshim", "/listen"];

/// The application has begun, and listens.
pub fn listening(start: Container, command: &[&str]) -> Live {
    let mut live = start.live(command);
    live.until("listen ");
    live.line();
    live
}

/// The next signal that was printed. Go's runtime sends SIGURG to itself for its own ends, and
/// this runc passes it on to the container.
#[track_caller]
pub fn next(live: &mut Live, urgent: bool) -> String {
    loop {
        let line = live.line();
        if urgent || !line.contains(": 23 from ") {
            return line;
        }
    }
}

/// An exit code, and 128 more than a signal's number.
#[track_caller]
pub fn ends_as_the_application(start: impl Fn() -> Container, init: &str) {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("ulimit -c unlimited; kill -SEGV $$", 139),
        ("kill -34 $$", 128 + 34),
    ] {
        let output = start().run(&behind(init, &["/bin/sh", "-c", script]));
        assert_eq!((output.code, output.stderr.as_str()), (code, ""), "{init} {script}");
    }
}

pub const CTRL_C: &str = "\x03";
pub const CTRL_Z: &str = "\x1a";
const CTRL_BACKSLASH: &str = "\x1c";

/// A key's signal reaches the application by the terminal and not by the init as well.
#[track_caller]
pub fn keys_arrive_once(start: Container, init: &str) {
    let mut live = start.live_on_terminal(&behind(init, &["/listen"]));
    live.until(", which has the terminal\n");
    for (key, signal) in [(CTRL_C, 2), (CTRL_BACKSLASH, 3)] {
        live.write(key);
        live.until(&format!("listen: {signal} with code {}\n", libc::SI_KERNEL));
        // One more of the same would come before this.
        live.kill(libc::SIGUSR1);
        let line = live.until("listen: 10 from parent\n");
        assert!(!line.contains(&format!("listen: {signal} ")), "{init}: {line}");
    }
}

/// Ctrl-C in an interactive shell, on a pipeline of two programs that both take it. The second
/// one passes on what the first one says. The init begins when the shell has started both: it gives
/// the terminal to the pipeline with each.
#[track_caller]
pub fn ctrl_c_on_a_pipeline(start: Container, init: &str, reaches_both: bool) {
    let first = format!("read up </tmp/up; exec {init} /listen");
    let second = "trap 'echo second: 2' INT; echo up >/tmp/up; while read line; do echo $line; done";
    let start = start.env("PS1", "# ").env("ENV", "/none").file("/first", first).file("/second", second);
    let mut live = start.live_on_terminal(&["/bin/sh", "-i"]);
    live.until("# ");
    live.write("/bin/busybox mkfifo -m 666 /tmp/up; /bin/sh /first | /bin/sh /second\n");
    live.until("\nlisten ");
    live.write(CTRL_C);
    if reaches_both {
        live.until("second: 2\n");
        return;
    }
    let first = live.until("listen: 2 with code 128\n");
    // What the first key did to the second program is said before what the next one does.
    live.write(CTRL_C);
    let seen = first + &live.until("listen: 2 with code 128\n");
    assert!(!seen.contains("second: "), "{init}: {seen}");
}

#[track_caller]
pub fn reaps(start: Container, init: &str, orphans: u32) {
    let count = orphans.to_string();
    let output = start.run(&behind(init, &["/orphans", &count]));
    let said = format!("{count} orphans, left: 0\n");
    assert_eq!((output.code, output.stdout), (0, said), "{init}");
}

/// Starts an orphan that lives as long as standard input, and says when it is one.
const ORPHAN: &str = "(sleep 1000 & echo up); read line";

/// Where the init of this name is not PID 1 but that one's child, through a shell.
#[track_caller]
pub fn takes_orphans(start: Container, shell: &[&str], init: &str, name: &str) {
    let script = format!("{init} /bin/sh -c '{ORPHAN}'; echo ended $?; read line");
    let start = start.without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", "0");
    let mut live = start.live(&[shell, &[script.as_str()]].concat());
    live.until("up\n");
    let init = children(live.pid())[0];
    assert_eq!(status(init, "Name"), name, "{shell:?}");
    eventually("an orphan", || children(init).len() == 2);
    // When it ends, the next one takes them.
    live.write("\n");
    live.until("ended 0\n");
    eventually("an orphan of PID 1", || children(live.pid()).len() == 1);
    live.write("\n");
    assert_eq!(live.end().code, 0);
}

/// capshim as init where it is not PID 1, started by a shell that is run by these words.
#[track_caller]
pub fn works_below(start: Container, shell: &[&str]) {
    let script = "/capshim /bin/sh -c 'echo $PPID; exit 3'; echo ended $?";
    let output = start.run(&[shell, &[script]].concat());
    let (parent, ended) = output.stdout.split_once('\n').expect("lines");
    assert!(parent != "1" && ended == "ended 3\n", "{}{}", output.stdout, output.stderr);
}
