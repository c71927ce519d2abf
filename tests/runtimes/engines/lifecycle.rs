//! How a container ends: signals and exit codes.

use super::engine::{ENGINES, Engine, Kind};
use super::from::{APP, NON_ROOT, context};
use super::needs_engines;

/// An application that ends in order when it is told to.
const SERVER: [&str; 3] =
    ["sh", "-c", "trap 'echo told to stop; exit 3' TERM; echo ready; while :; do sleep 3600 & wait $!; done"];

/// Starts the server, stops it as soon as it is ready, and returns its exit code and what it
/// printed.
fn stopped(engine: &Engine, options: &[&str], image: &str) -> (String, String) {
    stopped_by(engine, options, image, &SERVER)
}

fn stopped_by(engine: &Engine, options: &[&str], image: &str, server: &[&str]) -> (String, String) {
    let words = [options, &[image]].concat().join("").replace(['-', '=', ' ', ':'], "");
    let name = format!("stop-{:?}-{words}", engine.kind);
    let start = [&["run", "--detach", "--name", &name], options, &[image], server].concat();
    engine.succeed(&start);
    engine.wait_for_line(&name, "ready");
    engine.succeed(&["stop", "--time", "5", &name]);
    let code = engine.succeed(&["inspect", "--format", "{{.State.ExitCode}}", &name]);
    let printed = engine.succeed(&["logs", &name]);
    engine.succeed(&["rm", &name]);
    (code, printed)
}

const GRANT: [&str; 4] = ["--cap-drop=ALL", "--cap-add=IPC_LOCK", "--cap-add=SETUID", "--cap-add=SETGID"];
const GRANT_FILE: [&str; 2] = ["--cap-drop=ALL", "--cap-add=IPC_LOCK"];

#[test]
fn a_stop_reaches_the_application() {
    needs_engines!();
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        for (grant, image) in [(&GRANT[..], APP), (&GRANT_FILE, NON_ROOT)] {
            let (code, printed) = stopped(&engine, grant, image);
            assert_eq!((code.as_str(), printed.as_str()), ("3", "ready\ntold to stop"), "{kind:?} {image}");
        }
    }
}

#[test]
fn a_stop_is_the_signal_that_the_image_or_the_user_chose() {
    needs_engines!();
    let server = SERVER[2].replace(" TERM;", " QUIT;");
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        let dockerfile = format!("FROM {APP}\nSTOPSIGNAL SIGQUIT\n");
        let folder = context(&format!("context-{kind:?}-quit"), &dockerfile);
        engine.succeed(&["build", "-t", "my-app-quit:1.0", folder.to_str().expect("a path")]);
        for (options, image) in [(&["--stop-signal=SIGQUIT"][..], APP), (&[], "my-app-quit:1.0")] {
            for init in ["0", "1", "group"] {
                let init = format!("--env=CAPSHIM_INIT={init}");
                let options = [&GRANT[..], options, &[&init]].concat();
                let (code, printed) = stopped_by(&engine, &options, image, &["sh", "-c", &server]);
                assert_eq!(
                    (code.as_str(), printed.as_str()),
                    ("3", "ready\ntold to stop"),
                    "{kind:?} {options:?}"
                );
            }
        }
    }
}

#[test]
fn behind_an_init_of_roots_a_stop_reaches_the_application_only_with_kill() {
    needs_engines!();
    let with = |more: &[&'static str]| [&GRANT[..], &["--init"], more].concat();
    // catatonit stays, and the stop's time runs out: the application is not told either.
    for kind in [Kind::PodmanCrun, Kind::PodmanRootless] {
        let engine = Engine::with_apps(kind);
        assert_eq!(stopped(&engine, &with(&[]), APP), ("137".into(), "ready".into()), "{kind:?}");
        let told = ("3".into(), "ready\ntold to stop".into());
        assert_eq!(stopped(&engine, &with(&["--cap-add=KILL"]), APP), told, "{kind:?}");
    }
    let engine = Engine::with_apps(Kind::Docker);
    // tini gives up, and with it the container ends: the application is not told.
    assert_eq!(stopped(&engine, &with(&[]), APP), ("1".into(), "ready".into()));
    assert_eq!(stopped(&engine, &with(&["--cap-add=KILL"]), APP), ("3".into(), "ready\ntold to stop".into()));
    // An init that is not root's may signal the application, which has the same uid.
    let non_root = [&GRANT_FILE[..], &["--init"]].concat();
    assert_eq!(stopped(&engine, &non_root, NON_ROOT), ("3".into(), "ready\ntold to stop".into()));
}

#[test]
fn a_stop_reaches_the_application_behind_the_shim_as_init() {
    needs_engines!();
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        for (grant, image) in [(&GRANT[..], APP), (&GRANT_FILE, NON_ROOT)] {
            // As PID 1, and behind one, which as root's needs KILL.
            for init in [&[][..], &["--init", "--cap-add=KILL"]] {
                let options = [grant, init, &["--env=CAPSHIM_INIT=1"]].concat();
                let (code, printed) = stopped(&engine, &options, image);
                assert_eq!(
                    (code.as_str(), printed.as_str()),
                    ("3", "ready\ntold to stop"),
                    "{kind:?} {options:?}"
                );
            }
        }
    }
}

#[test]
fn the_shim_as_init_is_pid_1_or_a_child_of_the_engines_init() {
    needs_engines!();
    // The application's parent, and that one's.
    let parents = "echo $PPID $(awk '{ print $4 }' /proc/$PPID/stat)";
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        for (grant, image) in [(&GRANT[..], APP), (&GRANT_FILE, NON_ROOT)] {
            let run = |init: &[&str]| {
                let words =
                    [&["run", "--rm", "--env=CAPSHIM_INIT=1"], grant, init, &[image, "sh", "-c", parents]];
                engine.run(&words.concat()).stdout
            };
            assert_eq!(run(&[]), "1 0\n", "{kind:?} {image}");
            let behind = run(&["--init", "--cap-add=KILL"]);
            assert!(behind != "1 0\n" && behind.ends_with(" 1\n"), "{kind:?} {image}: {behind}");
        }
    }
}

#[test]
fn the_exit_codes_come_through() {
    needs_engines!();
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        let code = |options: &[&str], command: &[&str]| {
            engine.run(&[&["run", "--rm"], &GRANT[..], options, &[APP], command].concat()).code
        };
        let codes = [
            (code(&[], &["sh", "-c", "exit 0"]), 0),
            (code(&[], &["sh", "-c", "exit 3"]), 3),
            // An --entrypoint discards the image's CMD: the first mistake that everyone makes.
            (code(&["--entrypoint", "/capshim"], &[]), 64),
            (code(&["--env", "CAPSHIM_CAPS=net_raw"], &[]), 77),
            (code(&["--env", "CAPSHIM_USER=nobody-there"], &[]), 78),
            (code(&[], &["/etc/passwd"]), 126),
            (code(&[], &["no-such-command"]), 127),
        ];
        for (found, expected) in codes {
            assert_eq!(found, expected, "{kind:?}");
        }
        for init in [&[][..], &["--init", "--cap-add=KILL"]] {
            let as_init = |command| code(&[init, &["--env=CAPSHIM_INIT=1"]].concat(), &["sh", "-c", command]);
            assert_eq!((as_init("exit 3"), as_init("kill -KILL $$")), (3, 137), "{kind:?} {init:?}");
        }
    }
}
