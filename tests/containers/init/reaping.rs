//! Init mode: orphans leave nothing behind, and waiting costs nothing.

use std::time::Duration;

use crate::harness::inits::{lock, reaps, takes_orphans};
use crate::harness::live::{eventually, kill, status};

#[test]
fn ten_thousand_short_lived_orphans_leave_no_zombie() {
    reaps(lock(), "/capshim", 10_000);
}

#[test]
fn orphans_come_to_it_also_where_it_is_not_pid_1() {
    let init = "CAPSHIM_USER=app CAPSHIM_CAPS=none CAPSHIM_INIT=1 /capshim";
    for shell in [&["/bin/sh", "-c"][..], &["/capshim", "/bin/sh", "-c"]] {
        takes_orphans(lock(), shell, init, "capshim");
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
