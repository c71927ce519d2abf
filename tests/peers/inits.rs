//! Other inits: tini, dumb-init and catatonit do what init mode does, or leave something undone.

use std::fs;

use crate::harness::container::output::without_line;
use crate::harness::container::{Container, find, guard};
use crate::harness::inits::{
    CTRL_Z, LISTEN, ctrl_c_on_a_pipeline, ends_as_the_application, keys_arrive_once, listening, lock, next,
    reaps, takes_orphans, works_below,
};
use crate::harness::live::{Live, children, eventually, kill, status};
use crate::harness::starts::app;

fn program(name: &str) -> String {
    guard();
    find(name).expect(name).into_os_string().into_string().expect("text")
}

fn importing(image: Container, programs: &[&str]) -> Container {
    programs.iter().fold(image, |image, program| image.import_program(program.as_ref()))
}

/// Command lines that run another one in the image of `start`.
fn inits() -> [String; 3] {
    [("tini", "--"), ("dumb-init", "--single-child"), ("catatonit", "--")]
        .map(|(name, option)| format!("{} {option}", program(name)))
}

fn start() -> Container {
    importing(lock(), &["tini", "dumb-init", "catatonit"].map(program).each_ref().map(String::as_str))
}

#[test]
fn the_peers_forward_the_same_signals() {
    for init in inits() {
        let command: Vec<&str> = init.split(' ').chain(["/listen"]).collect();
        let mut live = listening(start(), &command);
        for signal in ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "WINCH", "URG"] {
            let signal: nix::sys::signal::Signal = format!("SIG{signal}").parse().expect("a signal");
            live.kill(signal as i32);
            let line = next(&mut live, signal == nix::sys::signal::SIGURG);
            assert_eq!(line, format!("listen: {} from parent", signal as i32), "{init}");
        }
    }
}

#[test]
fn the_peers_forward_to_the_process_group_too() {
    let (tini, dumb_init) = (program("tini"), program("dumb-init"));
    for before in [&[tini.as_str(), "-g", "--"][..], &[&dumb_init]] {
        let mut live = importing(lock(), &[before[0]]).live(&[before, &["/listen", "--twin"]].concat());
        next(&mut live, false);
        next(&mut live, false);
        live.kill(libc::SIGUSR1);
        let mut seen = [next(&mut live, false), next(&mut live, false)];
        seen.sort();
        assert_eq!(seen, ["listen: 10 from parent", "twin: 10 from 1"], "{before:?}");
    }
}

#[test]
fn signals_arrive_without_kill_where_a_root_init_cannot_send_them() {
    let (tini, gosu) = (program("tini"), program("gosu"));
    let start = || importing(Container::root(), &[&tini, &gosu]);
    let granted = ["SETGID", "SETUID"];
    let ours = start().capabilities(&granted).env("CAPSHIM_USER", "app").env("CAPSHIM_INIT", "1");
    let mut live = listening(ours, &LISTEN);
    live.kill(libc::SIGTERM);
    assert_eq!(next(&mut live, false), "listen: 15 from parent");

    let stacked = [&tini, "--", &gosu, "app", "/listen"];
    let live = listening(start().capabilities(&granted), &stacked);
    live.kill(libc::SIGTERM);
    let theirs = live.end();
    assert_eq!((theirs.code, theirs.stdout.as_str()), (1, ""));
    assert!(theirs.stderr.contains("Unexpected error when forwarding signal"), "{}", theirs.stderr);
    let mut live = listening(start().capabilities(&["KILL", "SETGID", "SETUID"]), &stacked);
    live.kill(libc::SIGTERM);
    assert_eq!(next(&mut live, false), "listen: 15 from parent");
}

#[test]
fn the_exit_code_is_the_applications_as_with_the_peers() {
    for init in inits() {
        ends_as_the_application(start, &init);
    }
}

#[test]
fn a_command_that_cannot_be_executed_has_the_same_code_with_tini() {
    // Where that does not have a shell try.
    let tini = program("tini");
    for (command, code) in [("/nosuch", 127), ("/plain", 126)] {
        let output = importing(lock(), &[&tini]).file("/plain", "").run(&[&tini, "--", command]);
        assert_eq!(output.code, code, "{}", output.stderr);
    }
}

#[test]
fn keys_reach_the_application_once_as_with_the_peers() {
    for init in inits() {
        // Alone, dumb-init leaves the child without the terminal.
        keys_arrive_once(start(), init.trim_end_matches(" --single-child"));
    }
}

#[test]
fn ctrl_z_leaves_the_application_of_tini_stopped() {
    let tini = program("tini");
    let command = [&tini, "--", "/listen", "--default", "20"];
    let mut live = importing(lock(), &[&tini]).live_on_terminal(&command);
    live.until(", which has the terminal\n");
    live.write(CTRL_Z);
    let app = children(live.pid())[0];
    eventually("a stopped application", || status(app, "State") == "T (stopped)");
}

#[test]
fn ctrl_c_on_a_pipeline_reaches_only_the_program_behind_tini_too() {
    let tini = program("tini");
    ctrl_c_on_a_pipeline(importing(lock(), &[&tini]), &format!("{tini} -s --"), false);
}

#[test]
fn a_thousand_orphans_are_reaped_as_by_the_peers() {
    for init in inits() {
        reaps(start(), &init, 1000);
    }
}

#[test]
fn orphans_come_to_tini_too_where_it_is_not_pid_1() {
    let tini = program("tini");
    let init = format!("{tini} -s --");
    takes_orphans(importing(lock(), &[&tini]), &["/bin/sh", "-c"], &init, "tini");
}

#[test]
fn it_works_behind_another_init() {
    let (tini, dumb_init) = (program("tini"), program("dumb-init"));
    // As with Docker's --init.
    works_below(start(), &[&tini, "--", "/bin/sh", "-c"]);
    works_below(start(), &[&dumb_init, "/bin/sh", "-c"]);
}

/// The pages that are the process's alone, in kB.
fn anonymous(live: &Live) -> u32 {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", live.pid())).expect("smaps_rollup");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line");
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

#[test]
fn the_parent_takes_less_memory_than_tinis_static_build() {
    let tini = program("tini-static");
    let waiting = |before: &[&str]| {
        let start = importing(lock(), &[&tini]);
        let mut live = start.live(&[before, &["/bin/sh", "-c", "echo up; read line"]].concat());
        live.until("up\n");
        eventually("a waiting parent", || status(live.pid(), "State") == "S (sleeping)");
        anonymous(&live)
    };
    let (ours, theirs) = (waiting(&["/capshim"]), waiting(&[&tini, "--"]));
    assert!(ours < theirs, "{ours} kB and {theirs} kB");
}

#[test]
fn behind_another_init_the_terminal_is_that_ones() {
    // As with `docker run --init -t`. Without KILL tini ends when it forwards a signal of runc's.
    let tini = program("tini");
    let script = "stat -L -c '%a %u %g' /dev/stdin; echo out >&0; echo more >/dev/stdout";
    let command = [&tini, "--", "/capshim", "/bin/sh", "-c", script];
    let start = importing(app().capabilities(&["KILL", "SETGID", "SETUID"]), &[&tini]);
    let written = without_line(&start.on_terminal(&command));
    assert!(written.starts_with("620 0 "), "{written}");
    assert!(written.ends_with("\nout\n/bin/sh: can't create /dev/stdout: Permission denied\n"), "{written}");
}

#[test]
fn tini_takes_an_exit_code_for_0_and_capshim_never_does() {
    let tini = program("tini");
    let script = ["/bin/sh", "-c", "kill -TERM $$"];
    let theirs =
        importing(lock(), &[&tini]).run(&[&[tini.as_str(), "-e", "143", "--"], &script[..]].concat());
    let ours = lock().run(&[&["/capshim"], &script[..]].concat());
    assert_eq!((theirs.code, ours.code), (0, 143));
}

#[test]
fn when_the_application_ends_dumb_init_tells_the_rest_and_capshim_does_not() {
    let dumb_init = program("dumb-init");
    for (init, told) in [(dumb_init.as_str(), true), ("/capshim", false)] {
        let start = lock().without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", "group");
        // Behind a shell: the end of PID 1 would be the end of the rest, too.
        let script = format!("{init} /bin/sh -c '/listen & read line'; echo ended; read line");
        let mut live = importing(start, &[&dumb_init]).live(&["/bin/sh", "-c", &script]);
        live.until("listen ");
        let application = children(children(live.pid())[0])[0];
        let rest = children(application)[0];
        live.write("\n");
        let seen = live.until("ended\n");
        // Of those that wait, the lowest number comes first.
        kill(rest, libc::SIGWINCH);
        let seen = seen + &live.until("listen: 28 from ");
        assert_eq!(seen.contains("listen: 15 from "), told, "{init}: {seen}");
    }
}
