//! Init mode on a terminal: keys reach the application once, and job control works as without
//! a parent between the shell and the application.

use crate::harness::container::Container;
use crate::harness::inits::{CTRL_C, CTRL_Z, ctrl_c_on_a_pipeline, keys_arrive_once, lock};
use crate::harness::live::{Live, children, eventually, kill, status};

const CTRL_D: &str = "\x04";

#[test]
fn keys_reach_the_application_once() {
    keys_arrive_once(lock(), "/capshim");
}

#[test]
fn ctrl_z_does_not_leave_the_application_of_pid_1_stopped() {
    let listen = ["/listen", "--default", "20"];
    let mut live = lock().live_on_terminal(&[&["/capshim"], &listen[..]].concat());
    live.until(", which has the terminal\n");
    for _ in 0..3 {
        live.write(CTRL_Z);
        live.until("listen: 18 from parent\n");
    }
    // It still has the terminal.
    live.write(CTRL_C);
    live.until("listen: 2 with code 128\n");
}

#[test]
fn an_application_that_stops_itself_goes_on_where_nobody_could_continue_it() {
    for signal in ["TSTP", "TTIN", "TTOU"] {
        let script = format!("kill -{signal} $$; echo on");
        assert_eq!(lock().shim(&["/bin/sh", "-c", &script]).stdout, "on\n", "{signal}");
    }
    // As editors do after Ctrl-Z.
    let mut live = lock().live_on_terminal(&["/capshim", "/bin/sh", "-c", "kill -STOP $$; echo on"]);
    live.until("on\n");
    // Without a terminal, whoever sends SIGSTOP wants it to stay stopped.
    let mut live = lock().live(&["/capshim", "/bin/sh", "-c", "echo up; kill -STOP $$; echo on"]);
    live.until("up\n");
    let app = children(live.pid())[0];
    eventually("a stopped application", || status(app, "State") == "T (stopped)");
    live.kill(libc::SIGCONT);
    live.until("on\n");
}

/// Says that it runs, and then what it is told. Before it does, the shell may have the terminal
/// in a mode of its own.
const CAT: &str = "/bin/sh -c 'echo up; exec /bin/busybox cat'";

/// An interactive shell with job control as PID 1.
fn shell() -> Live {
    shell_in(lock())
}

fn shell_in(start: Container) -> Live {
    let mut live = start.env("PS1", "# ").env("ENV", "/none").live_on_terminal(&["/bin/sh", "-i"]);
    live.until("# ");
    live
}

/// What a session looks like, without the words that start the shim.
fn session(start: impl Fn() -> Container, keys: impl Fn(&mut Live, &str)) {
    let seen = ["", "/capshim "].map(|shim| {
        let mut live = shell_in(start());
        keys(&mut live, shim);
        live.write("exit\n");
        let output = live.all();
        // busybox from 1.37 on asks the terminal where the cursor is, before or after a prompt.
        output.replace(shim, "").replace("\x1b[6n", "")
    });
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_shell_stops_and_continues_the_application_as_without_a_parent() {
    session(lock, |live, shim| {
        live.write(&format!("{shim}{CAT}\n"));
        live.until("\nup\n");
        live.write("one\n");
        live.until("one\none\n");
        for (back, line) in [("fg", "two"), ("fg %1", "three")] {
            live.write(CTRL_Z);
            live.until("Stopped");
            live.until("# ");
            live.write(&format!("{back}\n"));
            live.until("cat\"\n");
            live.write(&format!("{line}\n"));
            live.until(&format!("{line}\n{line}\n"));
        }
        live.write(CTRL_D);
        live.until("# ");
        live.write("echo code $?\n");
        live.until("\ncode 0\n");
        live.until("# ");
    });
}

#[test]
fn a_job_in_the_background_waits_for_the_terminal_as_without_a_parent() {
    for shim in ["", "/capshim "] {
        let mut live = shell();
        live.write(&format!("{shim}{CAT} &\n"));
        live.until("# ");
        // The shell keeps the terminal, and sees what becomes of its job.
        let job = || children(live.pid()).first().copied();
        eventually("a job that is stopped", || {
            job().is_some_and(|job| status(job, "State") == "T (stopped)")
        });
        live.write("jobs\n");
        live.until("Stopped (tty input)");
        live.until("# ");
        live.write("fg\n");
        live.until("cat\"\n");
        live.write("one\n");
        live.until("one\none\n");
        live.write(CTRL_C);
        live.until("# ");
        live.write("echo code $?\n");
        live.until("\ncode 130\n");
    }
}

#[test]
fn a_stopped_job_can_go_on_in_the_background() {
    for shim in ["", "/capshim "] {
        let mut live = shell();
        live.write(&format!("{shim}/listen --default 20\n"));
        live.until(", which has the terminal\n");
        live.write(CTRL_Z);
        live.until("Stopped");
        live.until("# ");
        live.write("bg\n");
        live.until("listen: 18 from ");
        // Ctrl-C is the shell's again.
        live.write(CTRL_C);
        live.write("echo alive\n");
        let seen = live.until("\nalive\n");
        assert!(!seen.contains("listen: 2 "), "{seen}");
        live.write("fg\n");
        live.until("listen: 18 from ");
        live.write(CTRL_C);
        live.until("listen: 2 with code 128\n");
    }
}

#[test]
fn the_terminal_is_given_back_at_the_end() {
    let script = "/capshim /bin/sh -c 'read x; echo first $x'; read x; echo then $x";
    let mut live = lock().live_on_terminal(&["/bin/sh", "-c", script]);
    live.write("one\n");
    live.until("first one\n");
    live.write("two\n");
    live.until("then two\n");
    // Also where exec failed, at which the terminal had been given already.
    let script = "/capshim /text; read x; echo then $x";
    let start = lock().file("/text", "no program").mode("/text", 0o755);
    let mut live = start.live_on_terminal(&["/bin/sh", "-c", script]);
    live.until("or run it as: sh /text\n");
    live.write("two\n");
    live.until("then two\n");
}

#[test]
fn a_pipeline_stops_and_continues_as_without_a_parent() {
    // The shim may stop what is its own user's.
    let start = || Container::user(1000, 1000).env("CAPSHIM_CAPS", "none").env("CAPSHIM_INIT", "1");
    session(start, |live, shim| {
        // busybox's cat would have sendfile(2) read from the terminal, into a pipe.
        let lines = "/bin/sh -c 'echo up; read x; echo $x'";
        live.write(&format!("{shim}{lines} | /bin/busybox cat\n"));
        live.until("\nup\n");
        live.write(CTRL_Z);
        live.until("Stopped");
        live.until("# ");
        live.write("fg\n");
        live.until("/bin/busybox cat\n");
        live.write("one\n");
        live.until("one\none\n");
        live.until("# ");
    });
}

#[test]
fn ctrl_c_on_a_pipeline_reaches_only_the_program_behind_the_shim() {
    ctrl_c_on_a_pipeline(lock(), "/capshim", false);
    ctrl_c_on_a_pipeline(lock(), "", true);
    // Without init mode there is no other process group.
    ctrl_c_on_a_pipeline(lock().without_env("CAPSHIM_INIT"), "/capshim", true);
}

#[test]
fn where_the_shell_is_in_another_pid_namespace_the_terminal_is_given_when_it_is_wanted() {
    const JOB: &str = "/capshim /bin/sh -c 'read x; echo got $x'\nexit\n";
    let granted = ["IPC_LOCK", "SETGID", "SETUID", "SYS_ADMIN"];
    for user in ["app", "root"] {
        let start = lock().capabilities(&granted).without_env("CAPSHIM_USER").env("CAPSHIM_USER", user);
        let start = start.file("/job", JOB);
        let mut live = shell_in(start);
        live.write("/bin/busybox unshare -pf /bin/sh /job\n");
        live.until("/job\n");
        live.write("one\n");
        live.until("got one\n");
        live.until("# ");
    }
}

#[test]
fn a_job_in_the_background_that_may_not_write_stops_as_without_a_parent() {
    for shim in ["", "/capshim "] {
        let mut live = shell();
        live.write("/bin/busybox stty tostop\n");
        live.until("# ");
        live.write(&format!("{shim}/bin/sh -c 'echo up; exit 3' &\n"));
        live.until("# ");
        let job = || children(live.pid()).first().copied();
        eventually("a job that is stopped", || {
            job().is_some_and(|job| status(job, "State") == "T (stopped)")
        });
        live.write("jobs\n");
        live.until("Stopped (tty output)");
        live.until("# ");
        live.write("fg\n");
        live.until("\nup\n");
        live.until("# ");
        live.write("echo code $?\n");
        live.until("\ncode 3\n");
    }
}

#[test]
fn a_terminal_that_is_not_standard_input_is_given_when_it_is_wanted() {
    let script = "echo | /capshim /bin/sh -c 'read x </dev/tty; echo got $x'";
    let mut live = lock().live_on_terminal(&["/bin/sh", "-c", script]);
    live.write("one\n");
    live.until("got one\n");
}

#[test]
fn an_application_that_lost_the_terminal_does_not_stop_over_and_over() {
    for stdin in ["", "< /etc/group"] {
        let script =
            format!("/launch --lend-terminal /dev/tty -- /bin/sh -c 'read x </dev/tty; echo got $x' {stdin}");
        let mut live = lock().live_on_terminal(&["/capshim", "/bin/sh", "-c", &script]);
        live.write("one\n");
        live.until("got one\n");
    }
}

#[test]
fn a_terminal_that_goes_away_hangs_the_application_up() {
    let command = ["/capshim", "/bin/sh", "-c", "echo up; sleep 1000"];
    let mut live = lock().live_on_terminal(&command);
    live.until("up\n");
    let init = live.pid();
    // runc has the other side.
    kill(live.runc(), libc::SIGKILL);
    eventually("the end of the container", || !std::path::Path::new(&format!("/proc/{init}/stat")).exists());
}

/// Its descendants read from the terminal as well, and have no more of a parent than before.
#[test]
fn a_shell_as_the_application_has_job_control_of_its_own() {
    let start: Container = lock().env("PS1", "# ").env("ENV", "/none");
    let mut live = start.live_on_terminal(&["/capshim", "/bin/sh", "-i"]);
    live.until("# ");
    live.write(&format!("{CAT}\n"));
    live.until("\nup\n");
    live.write(CTRL_Z);
    live.until("Stopped");
    live.until("# ");
    live.write("fg\n");
    live.until("cat\"\n");
    live.write("one\n");
    live.until("one\none\n");
    live.write(CTRL_C);
    live.until("# ");
    live.write("exit 7\n");
    assert_eq!(live.end().code, 7);
}
