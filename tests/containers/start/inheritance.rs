//! What the application inherits besides credentials: as if it had been started directly.

use crate::harness::container::Container;
use crate::harness::starts::app;

/// The same command directly and through the shim.
fn both(before: &[&str], command: &[&str]) -> [String; 2] {
    [&[][..], &["/capshim"]].map(|shim| app().run(&[before, shim, command].concat()).stdout)
}

#[test]
fn signal_mask_and_dispositions_are_as_for_a_direct_start() {
    let show = ["/bin/busybox", "grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    for (launch, blocked, ignored) in [
        (&["/launch", "--"][..], 0, 0),
        (&["/launch", "--ignore", "SIGPIPE", "--"], 0, 0x1000),
        (&["/launch", "--ignore", "SIGHUP", "--block", "SIGUSR1", "--"], 0x200, 1),
    ] {
        let [direct, through] = both(launch, &show);
        // What the host gave runc beside, such as C's internal real-time signals, is not ours.
        let bits = |name: &str| {
            let line = through.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            u64::from_str_radix(line.trim(), 16).expect("a mask") & 0x7fff_ffff
        };
        assert_eq!([bits("SigBlk:"), bits("SigIgn:"), bits("SigCgt:")], [blocked, ignored, 0], "{through}");
        assert_eq!(direct, through);
    }
}

#[test]
fn inherited_descriptors_stay_and_none_is_added() {
    let output = app().run(&["/bin/sh", "-c", "exec 7</etc/group && exec /capshim /state process"]);
    assert_eq!(output.state()["descriptors"], "/etc/group, pipe, pipe, pipe", "{}", output.stderr);
}

#[test]
fn closed_descriptors_stay_closed() {
    let output = app().run(&[
        "/launch",
        "--close",
        "0",
        "--close",
        "2",
        "--",
        "/capshim",
        "/bin/busybox",
        "ls",
        "/proc/self/fd",
    ]);
    // 0 is ls's own, of the folder that it lists.
    assert_eq!((output.code, output.stdout.as_str()), (0, "0\n1\n"));
    let refused =
        app().env("CAPSHIM_LOG", "debug").run(&["/launch", "--close", "2", "--", "/capshim", "/state"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (78, ""));
}

#[test]
fn working_directory_umask_and_limits_are_as_for_a_direct_start() {
    let command = ["/bin/sh", "-c", "cd /home/app; umask 027; ulimit -n 77; exec \"$@\"", "sh"];
    let [direct, through] = both(&command, &["/bin/sh", "-c", "pwd; umask; ulimit -n; ulimit -l"]);
    assert_eq!(through, "/home/app\n0027\n77\n8192\n");
    assert_eq!(direct, through);
    let outside = app().cwd("/home").folder("/home").shim(&["/state", "process"]);
    assert_eq!(outside.state()["cwd"], "/home");
}

#[test]
fn the_exit_code_and_a_fatal_signal_come_through() {
    assert_eq!(app().shim(&["/bin/sh", "-c", "exit 3"]).code, 3);
    assert_eq!(app().shim(&["/bin/sh", "-c", "exit 78"]).stderr, "");
    // PID 1 cannot kill itself with a signal that it does not handle; its child can.
    assert_eq!(app().shim(&["/bin/sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, 137);
}

#[test]
fn libc_opens_closed_streams_in_a_start_by_file_capabilities() {
    // As in every program that gains privileges by exec, before its main.
    let start =
        Container::user(1000, 1000).capabilities(&["IPC_LOCK"]).file_caps("/capshim", "cap_ipc_lock=p");
    let output = start
        .env("CAPSHIM_CAPS", "ipc_lock")
        .run(&["/launch", "--close", "0", "--", "/capshim", "/state", "process"]);
    assert_eq!(output.state()["descriptors"], "/dev/null, pipe, pipe", "{}", output.stderr);
}

#[test]
fn the_session_keyring_stays_the_one_that_root_had() {
    let command = ["/launch", "--session-key", "capshim", "--", "/capshim", "/state", "session"];
    for init in ["0", "1"] {
        let key = |start: Container| {
            start.env("CAPSHIM_INIT", init).run(&command).state()["session_key"].to_owned()
        };
        assert_eq!(key(app()), "capshim");
    }
    // The runtimes' default filter forbids keys altogether.
    let output = app().no_new_privs().runtime_default().run(&["/capshim", "/state", "session"]);
    assert_eq!(output.state()["session_key"], "EPERM");
}

#[test]
fn a_signal_for_the_parents_death_stays_where_neither_the_user_changes_nor_a_parent_stays() {
    let signal = |start: Container, command: &[&str]| {
        let command =
            [&["/launch", "--death-signal", "SIGUSR1", "--"], command, &["/state", "session"]].concat();
        start.run(&command).state()["death_signal"].to_owned()
    };
    let user = || Container::user(1000, 1000).env("CAPSHIM_CAPS", "none");
    assert_eq!(signal(user(), &["/capshim"]), "10");
    assert_eq!(signal(user().env("CAPSHIM_INIT", "1"), &["/capshim"]), "0");
    assert_eq!(signal(app(), &["/capshim"]), "0");
    let user = user().without_env("CAPSHIM_CAPS").env("CAPSHIM_CAPS", "ipc_lock").capabilities(&["IPC_LOCK"]);
    assert_eq!(signal(user.file_caps("/capshim", "cap_ipc_lock=p"), &["/capshim"]), "0");
}
