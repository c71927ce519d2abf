//! The application can open its standard streams again, and nothing else changes hands. Without
//! CHOWN and FOWNER.

use std::io::Write;

use crate::harness::container::output::without_line;
use crate::harness::container::{Container, Output};
use crate::harness::starts::app;
use crate::harness::strace::{Fault, calls_of_capshim};

/// Mode, owner and group of what the descriptors 0 to 2 stand for.
const LOOK: &str = "for fd in 0 1 2; do stat -L -c '%a %u %g' /proc/self/fd/$fd; done";

#[test]
fn pipes_can_be_opened_again_in_the_mode_that_each_has() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"from stdin\n").unwrap();
    drop(writer);
    let script = format!("cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr; {LOOK}");
    let output = app().stdin(reader).shim(&["/bin/sh", "-c", &script]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("from stdin\nout\n640 0 1000\n620 0 1000\n620 0 1000\n", "err\n")
    );
}

#[test]
fn without_the_shims_help_a_changed_user_cannot_open_its_stdout() {
    // The user changed as other tools change it.
    let output = app().run(&["/launch", "--user", "1000", "--", "/bin/sh", "-c", "echo out > /dev/stdout"]);
    assert_eq!(
        (output.stdout.as_str(), without_line(&output.stderr).as_str()),
        ("", "/bin/sh: can't create /dev/stdout: Permission denied\n")
    );
}

#[test]
fn a_terminal_can_be_opened_again_for_reading_and_writing() {
    let script = "echo one > /dev/stdout; echo two <>/dev/stdin >&0; stat -L -c '%a %u %g' /dev/stdin; id -u";
    let written = app().on_terminal(&["/capshim", "/bin/sh", "-c", script]);
    assert_eq!(written, "one\ntwo\n660 0 1000\n1000\n");
}

/// What a start does to files that root's shell made, and which others can hold too.
fn untouched(setup: &str, streams: &str, looked_at: &str) -> Output {
    let script =
        format!("umask 077; {setup}; /capshim /bin/true {streams}; stat -L -c '%a %u %g' {looked_at}");
    app().run(&["/bin/sh", "-c", &script])
}

#[test]
fn a_named_fifo_a_file_and_dev_null_are_left_alone() {
    let output =
        untouched("mkfifo /tmp/fifo; : > /tmp/file", "<>/tmp/fifo >/tmp/file 2>&1", "/tmp/fifo /tmp/file");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("600 0 0\n600 0 0\n", ""));
    let output = untouched(":", "</dev/null >/dev/null 2>&1", "/dev/null");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("666 0 0\n", ""));
}

#[test]
fn a_socket_is_left_alone() {
    let output = app().run(&[
        "/launch",
        "--socket",
        "0",
        "--",
        "/capshim",
        "/bin/sh",
        "-c",
        "stat -L -c '%F %a %u %g' /proc/self/fd/0",
    ]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("socket 777 0 0\n", ""));
}

#[test]
fn a_start_without_a_switch_shares_nothing() {
    let output = Container::root().env("CAPSHIM_USER", "root").shim(&["/bin/sh", "-c", LOOK]);
    assert_eq!(output.stdout, "600 0 0\n600 0 0\n600 0 0\n");
}

#[test]
fn a_stream_that_cannot_be_shared_is_a_warning() {
    let output = app().no_new_privs().deny("fchmod", 1).shim(&["/state"]);
    output.holds(1000, 1000, "29, 1000, 1001", "none");
    assert_eq!(
        output.stderr,
        "capshim: warning: fchown and fchmod of descriptors 0 to 2 for gid 1000: EPERM: Operation not permitted: \
         the application may be unable to open /dev/stdout\n"
    );
}

#[test]
fn the_streams_after_one_that_cannot_be_shared_are_shared() {
    let (_, log) = app().attached(&[], &["/capshim", "/state"]);
    let calls = calls_of_capshim(&log);
    let first = calls.iter().find(|call| call.name == "fchown").expect("a fchown");
    assert!(first.line.starts_with("fchown(1, "), "{}", first.line);
    let script = "stat -L -c '%g %a' /proc/self/fd/1 /proc/self/fd/2";
    let (output, _) = app().attached(&first.inject(Fault::Eperm), &["/capshim", "/bin/sh", "-c", script]);
    assert_eq!(output.stdout, "0 600\n1000 620\n", "{}", output.stderr);
    assert!(output.stderr.starts_with("capshim: warning: fchown and fchmod"), "{}", output.stderr);
}

#[test]
fn a_pipe_that_is_not_roots_is_left_alone() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let script =
        "chown 1001 /proc/self/fd/0 && exec /capshim /bin/sh -c \"stat -L -c '%a %u %g' /proc/self/fd/0\"";
    let start = app().capabilities(&["CHOWN", "SETGID", "SETUID"]).stdin(reader);
    let output = start.run(&["/bin/sh", "-c", script]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("600 1001 0\n", ""));
}

#[test]
fn a_closed_stream_is_no_reason_for_a_warning() {
    let output = app().run(&["/launch", "--close", "0", "--", "/capshim", "/state"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001", "none");
}
