//! Messages that nobody hears: they neither end a start nor hold anything up.

use crate::harness::attach::Whose;
use crate::harness::container::Container;
use crate::harness::inits::{lock, next};
use crate::harness::live::{Live, children, eventually, kill, queue, status};
use crate::harness::starts;

/// A start with something to say.
fn talkative(init: &str) -> Container {
    starts::lock().env("CAPSHIM_INIT", init).env("CAPSHIM_LOG", "info")
}

/// Runs what the launcher starts as a child of PID 1, which no signal of its own ends, and then
/// says how it ended.
fn launched(start: Container, launcher: &str, command: &str) -> String {
    let script = format!("/launch {launcher} -- {command}; echo ended $?");
    start.run(&["/bin/sh", "-c", &script]).stdout
}

/// The other side of standard error is gone.
const BROKEN: [&str; 2] = ["--broken-pipe 2", "--socket 2"];
/// Or it does not read.
const FULL: [&str; 2] = ["--full-pipe 2", "--full-socket 2"];

#[test]
fn a_refusal_that_nobody_hears_keeps_its_code() {
    for deaf in BROKEN.into_iter().chain(FULL) {
        for init in ["0", "1"] {
            let unknown = talkative(init).without_env("CAPSHIM_USER").env("CAPSHIM_USER", "unknown");
            let denied = talkative("1").no_new_privs().deny("setpgid", libc::EPERM);
            for (start, command, code) in
                [(talkative(init), "/nosuch", 127), (unknown, "/state", 78), (denied, "/state", 71)]
            {
                let said = launched(start, deaf, &format!("/capshim {command}"));
                assert_eq!(said, format!("ended {code}\n"), "{deaf} CAPSHIM_INIT={init} {command}");
            }
        }
    }
}

#[test]
fn a_note_that_nobody_hears_leaves_the_applications_signals_as_they_were() {
    let show = "/bin/busybox grep -E '^(SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt)' /proc/self/status";
    assert!(talkative("0").run(&["/capshim", "/state"]).stderr.starts_with("capshim: info: "));
    let pipe = [
        "",
        "--ignore SIGPIPE",
        "--block SIGPIPE",
        "--pending SIGPIPE",
        "--ignore SIGPIPE --pending SIGPIPE",
    ];
    for signals in pipe {
        for broken in BROKEN {
            let launcher = format!("{signals} {broken}");
            let direct = launched(talkative("0"), &launcher, show);
            assert!(direct.contains("SigPnd:") && direct.ends_with("ended 0\n"), "{direct}");
            let through = launched(talkative("0"), &launcher, &format!("/capshim {show}"));
            assert_eq!(through, direct, "{launcher}");
            // What was pending, the parent forwards.
            if !signals.contains("--pending") {
                let through = launched(talkative("1"), &launcher, &format!("/capshim {show}"));
                assert_eq!(through, direct, "CAPSHIM_INIT=1 {launcher}");
            }
        }
    }
}

#[test]
fn a_note_that_nobody_reads_does_not_hold_up_a_start() {
    for full in FULL {
        for init in ["0", "1"] {
            let said = launched(talkative(init), full, "/capshim /bin/busybox echo up");
            assert_eq!(said, "up\nended 0\n", "{full} CAPSHIM_INIT={init}");
        }
    }
}

#[test]
fn a_note_beyond_the_limit_on_the_size_of_files_is_no_end() {
    for init in ["0", "1"] {
        let script = "ulimit -f 0; exec 2>/tmp/log; /capshim /bin/busybox echo up; echo ended $?";
        let output = talkative(init).run(&["/bin/sh", "-c", script]);
        assert_eq!(output.stdout, "up\nended 0\n", "CAPSHIM_INIT={init}");
    }
}

#[test]
fn an_application_does_not_start_with_the_signals_of_a_note_blocked() {
    let noted = || {
        talkative("0").without_env("CAPSHIM_LOG").without_env("CAPSHIM_CAPS").env("CAPSHIM_CAPS", "net_raw?")
    };
    let show = ["/capshim", "/bin/busybox", "grep", "^SigBlk", "/proc/self/status"];
    let unblocked = "SigBlk:\t0000000000000000\n";
    for (fault, out, code) in [
        // Not blocked, and not put back.
        ("error=EPERM:when=1", unblocked, 0),
        ("retval=0:when=1", unblocked, 0),
        ("error=EPERM:when=2", "", 71),
        ("retval=0:when=2", "", 71),
    ] {
        let inject = ["-e".to_owned(), format!("inject=rt_sigprocmask:{fault}")];
        let (output, _) = noted().attached_to(Whose::First, &inject, &show);
        assert!(output.stderr.starts_with("capshim: warning: "), "{}", output.stderr);
        assert_eq!((output.stdout.as_str(), output.code), (out, code), "{fault}: {}", output.stderr);
        assert_eq!(
            output.stderr.contains("\ncapshim: rt_sigprocmask(SIG_SETMASK): "),
            code == 71,
            "{}",
            output.stderr
        );
    }
}

#[test]
fn a_broken_pipe_of_the_parents_is_no_signal_for_the_application() {
    // A full queue is what the parent has to say something of.
    let limited = ["--broken-pipe", "2", "--", "/capshim", "/bin/sh", "-c", "ulimit -i 0; exec /listen"];
    let mut live = lock().live(&[&["/launch"], &limited[..]].concat());
    live.until("listen ");
    live.line();
    queue(live.pid(), 34, 1);
    assert_eq!(next(&mut live, false), "listen: 34 from outside");
    live.kill(libc::SIGUSR1);
    assert_eq!(next(&mut live, false), "listen: 10 from parent");
}

/// An application that has changed its user: the parent has something to say of that when it is
/// terminated.
const DESERTER: [&str; 6] = ["/capshim", "/launch", "--user", "1001", "--", "/listen"];

fn deserter() -> Container {
    lock().without_env("CAPSHIM_CAPS").env("CAPSHIM_CAPS", "setgid,setuid")
}

/// The parent does not wait for a reader: it ends as the application does.
#[track_caller]
fn ends_with_the_application(live: Live) {
    let app = children(live.pid()).into_iter().find(|child| status(*child, "Name") == "listen");
    live.kill(libc::SIGTERM);
    kill(app.expect("the application"), libc::SIGKILL);
    assert_eq!(live.end().code, 137);
}

#[test]
fn the_parent_ends_though_standard_error_is_full() {
    // Another process has the other side, and does not read it. runc's own is not full.
    let script = format!("/bin/busybox sleep 1000 & exec {}", DESERTER.join(" "));
    let mut live = deserter().live(&["/launch", "--full-pipe", "2", "--", "/bin/sh", "-c", &script]);
    live.until("listen ");
    ends_with_the_application(live);
}

#[test]
fn the_parent_ends_though_the_terminal_is_stopped() {
    let mut live = deserter().live_on_terminal(&DESERTER);
    live.until(", which has the terminal\n");
    // Ctrl-S, which takes its way through runc.
    live.write("\x13");
    let app = children(live.pid())[0];
    eventually("an application that waits for its terminal", || {
        kill(app, libc::SIGUSR1);
        std::fs::read_to_string(format!("/proc/{app}/wchan")).is_ok_and(|at| at == "wait_woken")
    });
    ends_with_the_application(live);
}
