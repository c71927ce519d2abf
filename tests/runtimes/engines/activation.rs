//! Sockets that systemd passes to Podman, as a Quadlet with a `.socket` beside it has them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use super::engine::{Engine, Kind};
use super::from::APP;
use super::needs_engines;
use crate::container::Output;

/// Starts the engine as systemd would, with standard input as the one socket.
const ACTIVATE: &str = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null";

/// What a client hears who has come before the container, and what that printed.
fn activated(engine: &Engine, options: &[&str], command: &[&str]) -> [String; 2] {
    let run = engine.command(&[&["podman", "run", "--rm"], options, &[APP], command].concat());
    let mut words: Vec<OsString> = run.get_args().map(OsString::from).collect();
    let at = words.iter().position(|word| word == "podman").expect("the engine");
    words.splice(at..at, ["sh", "-c", ACTIVATE, "activate"].map(OsString::from));
    let mut podman = Command::new(run.get_program());
    podman.args(words).env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));

    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let output = podman.stdin(Stdio::from(OwnedFd::from(listener))).output().expect("podman");
    let output = Output::of(output);
    assert_eq!(output.code, 0, "{}", output.stderr);
    // It has the socket, too. The end of a connection that nobody has accepted is an error.
    drop(podman);
    let mut heard = String::new();
    let _ = BufReader::new(client).read_line(&mut heard);
    [heard, output.stdout]
}

#[test]
fn podman_passes_a_socket_to_the_application_with_init_mode_as_without() {
    needs_engines!();
    for kind in [Kind::PodmanRunc, Kind::PodmanCrun, Kind::PodmanRootless] {
        let engine = Engine::with_apps(kind);
        let granted = ["--cap-drop=ALL", "--cap-add=IPC_LOCK", "--cap-add=SETUID", "--cap-add=SETGID"];
        let seen =
            |option: &str, command: &[&str]| activated(&engine, &[&granted[..], &[option]].concat(), command);
        let served = ["served\n", "served a client\n"];
        assert_eq!(seen("--entrypoint=activated", &[]), served, "{kind:?}, without the shim");
        assert_eq!(seen("--env=CAPSHIM_INIT=0", &["activated"]), served, "{kind:?}");
        assert_eq!(seen("--env=CAPSHIM_INIT=1", &["activated"]), served, "{kind:?}, init mode");
    }
}
