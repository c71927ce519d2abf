//! Where setpriv, capsh and gosu leave the application more or less than the contract of capshim
//! has it, and what they say when they fail. Both outcomes are rows of docs/peers.md.

use crate::harness::container::{Container, Output};
use crate::harness::starts::{self, as_user};
use crate::same::{run, with_peers};
use crate::table::{CAPSH, CAPSH_LOCK, Outcome, SETPRIV, SETPRIV_LOCK, refused, right, row, wrong};

/// Granted IPC_LOCK and these, and asked for it.
fn lock(granted: &[&str]) -> Container {
    let granted = [&["IPC_LOCK", "SETGID", "SETUID"], granted].concat();
    starts::lock().capabilities(&granted)
}

/// What was asked for is IPC_LOCK.
fn holds_lock(output: &Output) -> Outcome {
    let state = output.state();
    match (output.code, state.get("effective"), state.get("ambient")) {
        (0, Some(&"IPC_LOCK"), Some(&"IPC_LOCK")) => right("holds it"),
        (0, Some(&"none"), Some(&"none")) => wrong("runs without it, exit 0"),
        (0, Some(others), Some(&"none")) => wrong(format!("runs with {others} in place of it, exit 0")),
        _ => refused(output),
    }
}

#[test]
fn a_granted_capability_is_dropped_by_gosu() {
    row(
        "IPC_LOCK, granted",
        || lock(&[]),
        holds_lock,
        [
            &format!("{SETPRIV_LOCK} /state"),
            &format!("{CAPSH_LOCK}/state --"),
            "/gosu app /state",
            "/capshim /state",
        ],
    );
}

#[test]
fn a_capability_that_was_not_granted_is_refused_by_all_that_can_be_asked_for_it() {
    // Not even setpriv is wrong here: what fails is making it inheritable, which it checks.
    for line in [&format!("{SETPRIV_LOCK} /state"), &format!("{CAPSH_LOCK}/state --"), "/capshim /state"] {
        let start = as_user("app").env("CAPSHIM_CAPS", "ipc_lock");
        assert!(!holds_lock(&run(with_peers(start), line)).wrong, "{line}");
    }
}

#[test]
fn a_failed_ambient_raise_is_ignored_by_setpriv() {
    // SECBIT_NO_CAP_AMBIENT_RAISE.
    let launch = "/launch --securebits 64 --";
    row(
        "IPC_LOCK, under a securebit that forbids the raise",
        || lock(&["SETPCAP"]),
        holds_lock,
        [
            &format!("{launch} {SETPRIV_LOCK} /state"),
            &format!("{launch} {CAPSH_LOCK}/state --"),
            "",
            &format!("{launch} /capshim /state"),
        ],
    );
}

#[test]
fn an_ambient_capability_that_is_not_inheritable_is_ignored_by_setpriv() {
    row(
        "IPC_LOCK, ambient asked for and inheritable not",
        || lock(&[]),
        holds_lock,
        [
            &format!("{SETPRIV} --ambient-caps=+ipc_lock /state"),
            "/capsh --keep=1 --user=app --addamb=cap_ipc_lock --shell=/state --",
            "",
            "/capshim /state",
        ],
    );
}

#[test]
fn a_program_with_file_capabilities_loses_ambient_after_setpriv_and_capsh() {
    row(
        "IPC_LOCK, for a program whose file has `cap_net_raw=ep`",
        || lock(&["NET_RAW"]).file_caps("/state", "cap_net_raw=ep"),
        holds_lock,
        [&format!("{SETPRIV_LOCK} /state"), &format!("{CAPSH_LOCK}/state --"), "", "/capshim /state"],
    );
}

#[test]
fn a_setuid_root_program_becomes_root_unless_no_new_privs_is_asked_for() {
    let start = || as_user("app").mode("/state", 0o4755);
    let root = |output: &Output| match (output.state()["uid"], output.state()["effective"]) {
        ("1000", "none") => right("stays uid 1000"),
        ("1000/0/0", held) => wrong(format!("uid 0 with {held}")),
        other => panic!("{other:?}"),
    };
    row(
        "a setuid-root program",
        start,
        root,
        [&format!("{SETPRIV} /state"), &format!("{CAPSH}/state --"), "/gosu app /state", "/capshim /state"],
    );
    for line in [
        format!("{SETPRIV} --no-new-privs /state"),
        "/capsh --user=app --no-new-privs --shell=/state --".into(),
    ] {
        assert!(!root(&run(with_peers(start()), &line)).wrong, "{line}");
    }
}

#[test]
fn dev_stdout_cannot_be_opened_after_all_three() {
    let start =
        || as_user("app").file("/script", "#!/bin/sh\necho out > /dev/stdout\n").mode("/script", 0o755);
    let opens = |output: &Output| match output.stdout.as_str() {
        "out\n" => right("opened"),
        _ => {
            assert_eq!(output.stderr, "/script: line 2: can't create /dev/stdout: Permission denied\n");
            wrong("Permission denied")
        }
    };
    row(
        "opening /dev/stdout",
        start,
        opens,
        [
            &format!("{SETPRIV} /script"),
            &format!("{CAPSH}/script --"),
            "/gosu app /script",
            "/capshim /script",
        ],
    );
}

#[test]
fn a_missing_setuid_is_not_named_by_any_of_the_three() {
    let start = || as_user("app").capabilities(&["SETGID"]);
    let named = |output: &Output| {
        let refusal = refused(output).words;
        if output.stderr.contains("SETUID") {
            right(format!("{refusal}, named"))
        } else {
            assert!(output.stderr.to_lowercase().contains("operation not permitted"), "{}", output.stderr);
            wrong(format!("{refusal}, not named"))
        }
    };
    row(
        "SETUID, not granted",
        start,
        named,
        [&format!("{SETPRIV} /state"), &format!("{CAPSH}/state --"), "/gosu app /state", "/capshim /state"],
    );
}

#[test]
fn a_command_that_is_not_there_is_any_failure_to_capsh_and_gosu() {
    let code = |output: &Output| match output.code {
        127 => refused(output),
        _ => wrong(refused(output).words),
    };
    row(
        "a command that is not there",
        || as_user("app"),
        code,
        [
            &format!("{SETPRIV} /nosuch"),
            &format!("{CAPSH}/nosuch --"),
            "/gosu app /nosuch",
            "/capshim /nosuch",
        ],
    );
}
