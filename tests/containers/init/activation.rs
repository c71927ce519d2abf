//! Sockets that a service manager passes on: with a parent that stays as without one, the
//! application is the process that they are for.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

use crate::harness::container::{Container, Output};
use crate::harness::inits::lock;
use crate::harness::starts;

/// Starts the runtime as systemd would, with its standard input as the one socket.
const ACTIVATE: &str = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null";

/// What a client hears who has come before the container, and what that printed.
fn activated(start: Container, command: &[&str]) -> [String; 2] {
    // crun leaves this one to Podman.
    let mut start = start.env("LISTEN_FDS", "1");
    let words = ["sh", "-c", ACTIVATE, "activate"].map(str::to_owned);
    start.runtime.splice(0..0, words);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let output = start.stdin(listener).run(command);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let mut heard = String::new();
    // The end of a connection that nobody has accepted is an error.
    let _ = BufReader::new(client).read_line(&mut heard);
    [heard, output.stdout]
}

#[test]
fn a_client_is_served_as_without_a_parent() {
    let served = ["served\n", "served a client\n"];
    assert_eq!(activated(lock(), &["/activated"]), served);
    for init in ["0", "1", "group"] {
        let start = starts::lock().env("CAPSHIM_INIT", init);
        assert_eq!(activated(start, &["/capshim", "/activated"]), served, "CAPSHIM_INIT={init}");
    }
    let user = Container::user(1000, 1000).env("CAPSHIM_CAPS", "none").env("CAPSHIM_INIT", "1");
    assert_eq!(activated(user, &["/capshim", "/activated"]), served);
    // What its pidfd was is no longer so, and is left out.
    assert_eq!(activated(lock().env("LISTEN_PIDFDID", "1"), &["/capshim", "/activated"]), served);
    assert_eq!(activated(lock().env("LISTEN_PIDFDID", "1"), &["/activated"]), ["", "no sockets\n"]);
}

/// What the application was given of such variables.
fn given(output: &Output) -> Vec<&str> {
    let names = ["LISTEN_", "WATCHDOG_", "SYSTEMD_"];
    output.stdout.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).collect()
}

const SHOW: [&str; 4] = ["/capshim", "/state", "process", "environment"];

#[test]
fn numbers_of_the_parent_become_the_applications_and_others_stay() {
    let start = |init: &str, pid: &str| {
        let start = starts::lock().env("CAPSHIM_INIT", init).env("LISTEN_PIDFDID", "77");
        start
            .env("LISTEN_PID", pid)
            .env("LISTEN_FDS", "1")
            .env("WATCHDOG_PID", pid)
            .env("SYSTEMD_EXEC_PID", pid)
    };
    let unchanged = |pid: &str| {
        [
            "LISTEN_PIDFDID=77",
            &format!("LISTEN_PID={pid}"),
            "LISTEN_FDS=1",
            &format!("WATCHDOG_PID={pid}"),
            &format!("SYSTEMD_EXEC_PID={pid}"),
        ]
        .map(str::to_owned)
    };
    let output = start("1", "1").run(&SHOW);
    let own = output.state()["pid"];
    assert_ne!(own, "1");
    let [listen, watchdog] = ["LISTEN", "WATCHDOG"].map(|name| format!("{name}_PID={own}"));
    // That one tells whether a process is the service manager's own child.
    assert_eq!(given(&output), [&listen, "LISTEN_FDS=1", &watchdog, "SYSTEMD_EXEC_PID=1"]);
    assert_eq!(given(&start("1", "4242").run(&SHOW)), unchanged("4242"));
    assert_eq!(given(&start("0", "1").run(&SHOW)), unchanged("1"));
}

#[test]
fn numbers_are_those_that_the_two_processes_have_for_themselves() {
    // In the same PID namespace, and where the application is the first process of a new one.
    let start = || lock().capabilities(&["IPC_LOCK", "SETGID", "SETUID", "SYS_ADMIN"]);
    for before in ["exec", "exec /bin/busybox unshare -p"] {
        let script = format!("{before} /bin/sh -c 'LISTEN_PID=$$ exec {}'", SHOW.join(" "));
        let output = start().run(&[
            "/bin/sh",
            "-c",
            &format!("/bin/sh -c '{}'; exit $?", script.replace('\'', "'\\''")),
        ]);
        let own = output.state()["pid"];
        assert_eq!(given(&output), [format!("LISTEN_PID={own}")], "{}", output.stderr);
        assert_eq!(own == "1", before.contains("unshare"), "{own}");
    }
}
