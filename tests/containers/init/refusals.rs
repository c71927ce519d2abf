//! Init mode: what is refused, by whichever of the two processes, is said once; and `--check`
//! says it too.

use crate::harness::container::{Container, Output};
use crate::harness::inits::lock;
use crate::harness::report::{section, value};
use crate::harness::starts;

/// What both say, with init mode off and on.
fn both(start: impl Fn() -> Container, command: &[&str]) -> [Output; 2] {
    ["0", "1"].map(|init| start().without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", init).shim(command))
}

#[test]
fn a_command_that_cannot_be_executed_gives_the_same_code_and_message() {
    let start = || {
        let start = lock().file("/text", "no program").mode("/text", 0o755).file("/plain", "");
        start.file("/script", "#!/nosuch\n").mode("/script", 0o755)
    };
    for (command, code) in [
        (&["/nosuch"][..], 127),
        (&["nosuch"], 127),
        (&["/plain"], 126),
        (&["/text"], 126),
        (&["/script"], 126),
    ] {
        let [without, with] = both(start, command);
        assert_eq!(without.code, code, "{}", without.stderr);
        with.refuses(code, &without.stderr);
    }
}

#[test]
fn a_step_that_fails_before_the_fork_or_in_the_child_is_reported_as_ever() {
    let start = || lock().capabilities(&["IPC_LOCK", "SETGID", "SETPCAP", "SETUID"]).no_new_privs();
    let prctl = |option: i32, errno: i32| move || start().deny_prctl(option, errno);
    let starts: [&dyn Fn() -> Container; 5] = [
        &|| start().deny("setgroups", 1),
        &|| start().deny("setresuid", 0),
        &|| start().deny("capset", 0),
        &prctl(libc::PR_CAPBSET_DROP, 0),
        &prctl(libc::PR_CAP_AMBIENT, 0),
    ];
    for start in starts {
        let [without, with] = both(start, &["/state"]);
        assert_eq!(without.code, 71);
        with.refuses(71, &without.stderr);
    }
}

#[test]
fn a_step_that_fails_in_the_parent_is_reported_once_and_the_command_never_runs() {
    let output = lock().no_new_privs().deny_prctl(libc::PR_SET_DUMPABLE, libc::EPERM).shim(&["/state"]);
    output.refuses_saying(71, "in the parent process: prctl(PR_SET_DUMPABLE, 1): EPERM");
    // Asked for where it is not PID 1 alone.
    let start = || lock().no_new_privs().deny_prctl(libc::PR_SET_CHILD_SUBREAPER, libc::EPERM);
    start().shim(&["/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    let output = start().run(&["/bin/sh", "-c", "/capshim /state; exit $?"]);
    output.refuses_saying(71, "in the parent process: prctl(PR_SET_CHILD_SUBREAPER, 1): EPERM");
}

#[test]
fn what_the_parents_life_rests_on_is_tried_before_the_application_runs() {
    // A check says the same (`Container::shim`).
    for (call, said) in [
        ("pipe2", "pipe2: EPERM"),
        ("rt_sigtimedwait", "in the parent process: rt_sigtimedwait: EPERM"),
        ("setpgid", "in the parent process: setpgid: EPERM"),
    ] {
        lock().no_new_privs().deny(call, libc::EPERM).shim(&["/state"]).refuses_saying(71, said);
    }
    // What comes before the fork is said before what the child finds.
    lock().no_new_privs().deny("pipe2", libc::EPERM).shim(&["/nosuch"]).refuses_saying(71, "pipe2: EPERM");
    // A check is no run without it either.
    let denied = || lock().no_new_privs().deny("waitid", libc::EPERM);
    let run = denied().run(&["/capshim", "/state"]);
    run.refuses_saying(71, "in the parent process: waitid: EPERM");
    let check = denied().run(&["/capshim", "--check", "/state"]);
    assert!(check.code == 71 && check.stdout.contains("waitid: EPERM"), "{}", check.stdout);
    // The terminal.
    let start = || lock().no_new_privs().deny_ioctl(libc::TIOCSPGRP as u32, libc::EPERM);
    let seen = start().on_terminal(&["/capshim", "/state"]);
    let said = "in the parent process: ioctl(TIOCSPGRP): EPERM";
    assert!(seen.starts_with(&format!("capshim: {said}")) && seen.lines().count() == 2, "{seen}");
    let seen = start().env("NO_COLOR", "1").on_terminal(&["/capshim", "--check", "/state"]);
    assert!(seen.contains(&format!("\n  cause: {said}")), "{seen}");
}

#[test]
fn refusals_are_the_same_and_come_before_any_fork() {
    let ungranted = || lock().capabilities(&["SETGID", "SETUID"]);
    let unknown = || lock().env("CAPSHIM_CAP", "x");
    let nobody = || lock().without_env("CAPSHIM_USER");
    let starts: [&dyn Fn() -> Container; 3] = [&ungranted, &unknown, &nobody];
    for start in starts {
        let [without, with] = both(start, &["/state"]);
        with.refuses(without.code, &without.stderr);
    }
}

#[test]
fn in_init_mode_the_plan_has_a_fork_and_the_parents_steps() {
    let granted = ["IPC_LOCK", "SETGID", "SETPCAP", "SETUID"];
    let start = || starts::lock().capabilities(&granted);
    let report = start().env("CAPSHIM_INIT", "group").run(&["/capshim", "--check", "/state"]).stdout;
    assert_eq!(value(&report, "settings", "CAPSHIM_INIT"), "group");
    let plan = section(&report, "plan");
    let item = |words: &str| plan.iter().position(|line| line.contains(words)).expect("a step");
    assert!(item("setresuid(1000, 1000, 1000)") + 1 == item("fork; the child goes on here"), "{report}");
    assert!(item("fork; ") + 1 == item("capset(permitted = effective = inheritable = IPC_LOCK)"), "{report}");
    assert_eq!(
        section(&report, "plan of the parent, which stays as init"),
        [
            "   1. capset(effective = permitted = SETGID, SETUID, SETPCAP, IPC_LOCK)",
            "   2. prctl(PR_CAPBSET_DROP, IPC_LOCK)",
            "   3. capset(permitted = effective = inheritable = none)",
            "   4. prctl(PR_SET_NO_NEW_PRIVS, 1)",
            "   5. read everything back and compare",
            "   6. prctl(PR_SET_DUMPABLE, 1)",
            "   7. give the child a process group and, if there is one, the terminal; close all but 0 to 2",
            "   8. let the child execute, forward signals to its process group, reap, end as it ends",
        ]
    );
    // What the parent fails with comes after what the child fails with, as in a run.
    let failing = || start().env("CAPSHIM_INIT", "1").no_new_privs().deny_prctl(libc::PR_SET_DUMPABLE, 1);
    failing().shim(&["/state"]).refuses_saying(71, "in the parent process: prctl(PR_SET_DUMPABLE, 1): EPERM");
    failing().shim(&["/nosuch"]).refuses_saying(127, "cannot execute /nosuch: ENOENT");
}
