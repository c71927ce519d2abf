//! Init mode: orphans leave nothing behind, and waiting costs nothing.

use std::fs;
use std::time::Duration;

use crate::harness::container::find;
use crate::harness::live::{Live, children, eventually, kill, status};
use crate::init::parent::{behind_inits, lock};

#[test]
fn ten_thousand_short_lived_orphans_leave_no_zombie() {
    let output = lock().run(&["/capshim", "/orphans", "10000"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "10000 orphans, left: 0\n"));
}

#[test]
fn a_thousand_orphans_are_reaped_as_by_the_peers() {
    let (start, before) = behind_inits();
    for before in before {
        let command = [before.clone(), vec!["/orphans".into(), "1000".into()]].concat();
        let output = start().run(&command.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((output.code, output.stdout.as_str()), (0, "1000 orphans, left: 0\n"), "{before:?}");
    }
}

/// Starts an orphan that lives as long as standard input, and says when it is one.
const ORPHAN: &str = "(sleep 1000 & echo up); read line";

#[test]
fn orphans_come_to_it_also_where_it_is_not_pid_1() {
    let ours = "CAPSHIM_USER=app CAPSHIM_CAPS=none CAPSHIM_INIT=1 /capshim";
    let tini = find("tini").expect("tini");
    let theirs = format!("{} -s --", tini.display());
    let shells = [&["/bin/sh", "-c"][..], &["/capshim", "/bin/sh", "-c"]];
    for (shell, init, name) in
        [(shells[0], ours, "capshim"), (shells[1], ours, "capshim"), (shells[0], &theirs, "tini")]
    {
        let script = format!("{init} /bin/sh -c '{ORPHAN}'; echo ended $?; read line");
        let start = lock().without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", "0").import_program(&tini);
        let mut live = start.live(&[shell, &[script.as_str()]].concat());
        live.until("up\n");
        let shim = children(live.pid())[0];
        assert_eq!(status(shim, "Name"), name, "{shell:?}");
        eventually("an orphan", || children(shim).len() == 2);
        // When it ends, the next one takes them.
        live.write("\n");
        live.until("ended 0\n");
        eventually("an orphan of PID 1", || children(live.pid()).len() == 1);
        live.write("\n");
        assert_eq!(live.end().code, 0);
    }
}

#[test]
fn an_orphan_does_not_keep_the_container_and_its_end_is_not_the_applications() {
    let output = lock().shim(&["/bin/sh", "-c", "(sleep 1000 &); (sh -c 'exit 9' &); exit 4"]);
    assert_eq!(output.code, 4);
}

/// How often it woke up: of its own accord and not (proc(5)).
fn switches(process: i32) -> [String; 2] {
    ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"].map(|field| status(process, field))
}

#[test]
fn an_idle_parent_does_not_wake_up() {
    let seconds: u64 = std::env::var("IDLE_SECONDS").map_or(3, |text| text.parse().expect("seconds"));
    let mut live = lock().live(&["/capshim", "/bin/sh", "-c", "echo up; read line"]);
    live.until("up\n");
    let (parent, runc) = (live.pid(), live.runc());
    eventually("a waiting parent", || status(parent, "State") == "S (sleeping)");
    // Go's runtime sends SIGURG to itself now and then, which runc passes on.
    kill(runc, libc::SIGSTOP);
    eventually("a runtime that is stopped", || status(runc, "State") == "T (stopped)");
    let before = switches(parent);
    // Waits for nothing: so long it is watched.
    std::thread::sleep(Duration::from_secs(seconds));
    let after = switches(parent);
    kill(runc, libc::SIGCONT);
    println!("in {seconds} s: {before:?}, then {after:?} wake-ups");
    assert_eq!(before, after);
    live.write("\n");
    assert_eq!(live.end().code, 0);
}

/// The pages that are the process's alone, in kB.
fn anonymous(live: &Live) -> u32 {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", live.pid())).expect("smaps_rollup");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line");
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

#[test]
fn the_parent_takes_less_memory_than_tinis_static_build() {
    let tini = find("tini-static").expect("tini-static");
    let tini = tini.to_str().expect("a path");
    let waiting = |before: &[&str]| {
        let start = lock().import(tini.as_ref());
        let mut live = start.live(&[before, &["/bin/sh", "-c", "echo up; read line"]].concat());
        live.until("up\n");
        eventually("a waiting parent", || status(live.pid(), "State") == "S (sleeping)");
        anonymous(&live)
    };
    let (ours, theirs) = (waiting(&["/capshim"]), waiting(&[tini, "--"]));
    assert!(ours < theirs, "{ours} kB and {theirs} kB");
}
