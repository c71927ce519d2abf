//! Init mode: signals reach the application, each once and none more.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Instant;

use crate::harness::container::{built, find};
use crate::harness::inits::{LISTEN, ends_as_the_application, listening, lock, next};
use crate::harness::live::{Live, children, eventually, kill, queue, status};
use crate::harness::starts::app;

/// What comes before signals are blocked ends the shim, and what comes after that the
/// application: no start goes on as if nothing had been said. As PID 1, where the kernel discards
/// what comes before, `faults` has a signal before every call.
#[test]
fn of_a_thousand_starts_that_are_terminated_at_once_none_goes_on() {
    let busybox = find("busybox").expect("busybox");
    let start = |words: &[&str]| {
        let mut shim = Command::new(built("capshim"));
        shim.env_clear().env("CAPSHIM_USER", "65534:65534").env("CAPSHIM_INIT", "1");
        shim.arg(&busybox).args(words).spawn().expect("a start")
    };
    let whole = Instant::now();
    assert!(start(&["true"]).wait().expect("an end").success());
    let whole = whole.elapsed();
    let mut ends = [0, 0];
    for number in 0..1000 {
        let mut shim = start(&["sleep", "1000"]);
        // At another moment each time, over all of the start.
        let started = Instant::now();
        while started.elapsed() < whole * 2 * number / 1000 {
            std::hint::spin_loop();
        }
        kill(shim.id() as i32, libc::SIGTERM);
        let end = shim.wait().expect("an end");
        match (end.signal(), end.code()) {
            (Some(libc::SIGTERM), None) => ends[0] += 1,
            (None, Some(143)) => ends[1] += 1,
            other => panic!("{other:?} after {number}"),
        }
    }
    println!("before signals were blocked, and after: {ends:?}");
    assert!(!ends.contains(&0), "{ends:?}");
}

/// All but SIGKILL and SIGSTOP, which nobody catches, and SIGCHLD.
fn forwarded() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD].contains(signal))
}

#[test]
fn every_signal_that_can_be_caught_is_forwarded_once() {
    let mut live = listening(lock(), &LISTEN);
    for signal in forwarded() {
        live.kill(signal);
        assert_eq!(next(&mut live, signal == libc::SIGURG), format!("listen: {signal} from parent"));
    }
}

#[test]
fn sigchld_is_not_forwarded() {
    let mut live = listening(lock(), &LISTEN);
    live.kill(libc::SIGCHLD);
    live.kill(libc::SIGUSR1);
    assert_eq!(next(&mut live, false), "listen: 10 from parent");
}

#[test]
fn queued_signals_all_arrive_in_their_order_with_their_data() {
    let mut live = listening(lock(), &LISTEN);
    let pid = live.pid();
    // Stopped, so that they queue up; the lowest of them come first.
    kill(pid, libc::SIGSTOP);
    for value in 0..200 {
        queue(pid, 34 + value % 2, value as usize);
    }
    kill(pid, libc::SIGCONT);
    let even = (0..200).step_by(2).map(|value| format!("listen: 34 with {value} from outside"));
    let odd = (1..200).step_by(2).map(|value| format!("listen: 35 with {value} from outside"));
    let mut expected: Vec<String> = even.chain(odd).collect();
    expected.push("listen: 18 from parent".into());
    let mut lines: Vec<String> = expected.iter().map(|_| next(&mut live, false)).collect();
    // SIGCONT's place depends on when this process continues.
    lines.sort_by_key(|line| line.starts_with("listen: 18 "));
    assert_eq!(lines, expected);
    queue(pid, libc::SIGUSR1, 7);
    assert_eq!(next(&mut live, false), "listen: 10 with 7 from outside");
}

#[test]
fn a_signal_arrives_without_its_data_where_a_filter_forbids_to_pass_that_on() {
    let mut live = listening(lock().no_new_privs().deny("rt_sigqueueinfo", libc::EPERM), &LISTEN);
    queue(live.pid(), 34, 7);
    assert_eq!(next(&mut live, false), "listen: 34 from parent");
}

#[test]
fn real_time_signals_without_data_all_arrive_too() {
    let mut live = listening(lock(), &LISTEN);
    for _ in 0..50 {
        live.kill(64);
    }
    for _ in 0..50 {
        assert_eq!(next(&mut live, false), "listen: 64 from parent");
    }
}

#[test]
fn group_forwards_to_the_process_group() {
    for (init, lines) in [
        ("1", &["listen: 10 from parent", "listen: 12 from parent"][..]),
        (
            "group",
            &["listen: 10 from parent", "listen: 12 from parent", "twin: 10 from 1", "twin: 12 from 1"],
        ),
    ] {
        let start = lock().without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", init);
        let mut live = start.live(&["/capshim", "/listen", "--twin"]);
        // Both, in whichever order.
        next(&mut live, false);
        next(&mut live, false);
        for signal in [libc::SIGUSR1, libc::SIGUSR2] {
            live.kill(signal);
        }
        let mut seen: Vec<String> = lines.iter().map(|_| next(&mut live, false)).collect();
        seen.sort();
        assert_eq!(seen, lines, "CAPSHIM_INIT={init}");
    }
}

#[test]
fn an_application_in_its_parents_process_group_is_signalled_alone() {
    // PID 1's group is no group for kill(2): -1 is every process.
    let script = "/bin/busybox setsid /listen & exec /listen --join-parent";
    let start = lock().without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", "group");
    let mut live = start.live(&["/capshim", "/bin/sh", "-c", script]);
    live.until("listen ");
    live.until("listen ");
    live.line();
    for signal in [libc::SIGUSR1, libc::SIGUSR2] {
        live.kill(signal);
        assert_eq!(next(&mut live, false), format!("listen: {signal} from parent"));
    }
}

/// The shim, where it is a child of a shell that is PID 1.
fn shim_of(live: &Live) -> i32 {
    let shim = || children(live.pid()).into_iter().find(|child| status(*child, "Name") == "capshim");
    shim().expect("the shim")
}

#[test]
fn an_application_in_pid_1_s_process_group_is_signalled_alone() {
    // -1 is every process, also where the shim itself is in another group.
    let script =
        "CAPSHIM_INIT=0 /capshim /listen & /launch --own-group -- /capshim /listen --join 1; exit $?";
    let start = lock().without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", "group");
    let mut live = start.live(&["/bin/sh", "-c", script]);
    live.until("listen ");
    live.until("listen ");
    live.line();
    let shim = shim_of(&live);
    for signal in [libc::SIGUSR1, libc::SIGUSR2] {
        kill(shim, signal);
        assert_eq!(next(&mut live, false), format!("listen: {signal} from parent"));
    }
}

#[test]
fn without_a_terminal_a_stop_and_a_continuation_lose_nothing() {
    // In a group of its own, it could be a job of the shell's.
    let script = "/launch --own-group -- /capshim /listen --default 20; exit $?";
    let mut live = listening(lock(), &["/bin/sh", "-c", script]);
    let shim = shim_of(&live);
    let app = children(shim)[0];
    for _ in 0..200 {
        kill(shim, libc::SIGTSTP);
        kill(shim, libc::SIGCONT);
        assert_eq!(next(&mut live, false), "listen: 18 from parent");
    }
    // Stopped by way of the shim, and continued past it.
    kill(shim, libc::SIGTSTP);
    eventually("a stopped application", || status(app, "State") == "T (stopped)");
    kill(app, libc::SIGCONT);
    assert_eq!(next(&mut live, false), "listen: 18 from outside");
    kill(shim, libc::SIGUSR1);
    assert_eq!(next(&mut live, false), "listen: 10 from parent");
}

#[test]
fn a_stop_that_nobody_could_end_is_none() {
    // As without the shim: the kernel does not stop an orphaned process group by this signal.
    for shim in ["", "/capshim "] {
        let script = format!("{shim}/listen --default 20; exit $?");
        let mut live = listening(lock(), &["/bin/sh", "-c", &script]);
        let first = children(live.pid())[0];
        let app = if shim.is_empty() { first } else { children(first)[0] };
        kill(app, libc::SIGTSTP);
        if !shim.is_empty() {
            assert_eq!(next(&mut live, false), "listen: 18 from parent");
        }
        kill(app, libc::SIGUSR1);
        assert_eq!(next(&mut live, false), "listen: 10 from outside");
    }
}

#[test]
fn an_application_that_can_no_longer_be_served_is_ended() {
    // The end of an orphan is what it is waited for.
    let app = "(/bin/busybox true &); exec /listen";
    let script =
        format!("/capshim /bin/sh -c '{app}'; echo ended $?; /bin/busybox pidof listen || echo none left");
    // Once for the trial, and then in earnest.
    for (call, when) in [("rt_sigtimedwait", "2"), ("waitid", "2")] {
        let inject = ["-e".to_owned(), format!("inject={call}:error=EPERM:when={when}")];
        let (output, _) = lock().attached(&inject, &["/bin/sh", "-c", &script]);
        // It may have begun to listen.
        let said: Vec<&str> = output.stdout.lines().filter(|line| !line.starts_with("listen ")).collect();
        assert_eq!(said, ["ended 71", "none left"], "{call}: {}", output.stderr);
        let said = format!("capshim: in the parent process: {call}: EPERM");
        assert!(output.stderr.starts_with(&said) && output.stderr.lines().count() == 2, "{}", output.stderr);
    }
}

#[test]
fn a_full_queue_is_one_warning() {
    let limited = ["/capshim", "/bin/sh", "-c", "ulimit -i 0; exec /listen"];
    let mut live = listening(lock(), &limited);
    for value in [1, 2] {
        queue(live.pid(), 34, value);
        // It comes all the same, and without what nobody had room for.
        assert_eq!(next(&mut live, false), "listen: 34 from outside");
    }
    kill(children(live.pid())[0], libc::SIGKILL);
    let output = live.end();
    let said = "capshim: warning: rt_sigqueueinfo(PID, 34): EAGAIN: Try again: the application's queue of signals is \
                full, and some are lost; this is not said again\n";
    let pid = output.stderr.split(['(', ',']).nth(1).unwrap_or_default();
    assert_eq!((output.stderr.as_str(), output.code), (said.replace("PID", pid).as_str(), 137));
}

#[test]
fn signals_arrive_without_kill() {
    let start = app().env("CAPSHIM_INIT", "1");
    let mut live = listening(start, &LISTEN);
    live.kill(libc::SIGTERM);
    assert_eq!(next(&mut live, false), "listen: 15 from parent");
}

/// The application signals everyone, its parent among them, and then its child signals that parent:
/// the first signal, if it came back, would come back before the second one.
const EVERYONE: &str = "trap 'echo came back' USR1; trap 'echo end; exit 0' USR2; kill -USR1 -1; \
    /bin/sh -c \"kill -USR2 $PPID; :\"; while :; do sleep 1; done";

#[test]
fn below_another_init_what_the_application_sends_to_everyone_does_not_come_back() {
    // A shell as PID 1, which the kernel leaves out of that.
    let below = ["/bin/sh", "-c", "\"$@\"; exit $?", "init", "/capshim", "/bin/sh", "-c", EVERYONE];
    let output = lock().run(&below);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("end\n", "", 0));
    // What it sends to PID 1 is for the container, and comes.
    let script = "trap 'echo comes; exit 0' USR1; kill -USR1 1; while :; do sleep 1; done";
    let output = lock().run(&["/capshim", "/bin/sh", "-c", script]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str(), output.code), ("comes\n", "", 0));
}

#[test]
fn an_application_that_changed_its_user_is_one_warning() {
    let start = || lock().without_env("CAPSHIM_CAPS").env("CAPSHIM_CAPS", "setgid,setuid");
    let command = ["/capshim", "/launch", "--user", "1001", "--", "/listen"];
    for (log, warning) in [
        (
            "warn",
            "capshim: warning: kill(PID, 10): EPERM: Operation not permitted: the application has changed its user, \
             and signals do not reach it: let capshim change the user in its place, or use the runtime's own init in place of \
             CAPSHIM_INIT; this is not said again\n",
        ),
        ("quiet", ""),
    ] {
        let live = listening(start().env("CAPSHIM_LOG", log), &command);
        let app = children(live.pid())[0];
        assert_eq!(status(app, "Uid"), "1001 1001 1001 1001");
        let inside = status(app, "NSpid").rsplit(' ').next().unwrap_or_default().to_owned();
        for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGTERM] {
            live.kill(signal);
        }
        // Taken after the others.
        kill(app, libc::SIGKILL);
        let output = live.end();
        assert_eq!((output.code, output.stdout.as_str()), (137, ""));
        // Whichever came first, see `next`.
        assert_eq!(output.stderr.replace(", 23): ", ", 10): "), warning.replace("PID", &inside));
    }
}

#[test]
fn the_exit_code_is_the_applications() {
    ends_as_the_application(lock, "/capshim");
}
