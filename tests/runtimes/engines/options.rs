//! Options of `docker run` and `podman run` that meet the shim's settings.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use super::engine::{ENGINES, Engine, Kind};
use super::from::APP;
use super::needs_engines;
use crate::container::{Output, built};
use crate::images::output;
use crate::machine::Machine;

const GRANT: [&str; 6] =
    ["run", "--rm", "--cap-drop=ALL", "--cap-add=IPC_LOCK", "--cap-add=SETUID", "--cap-add=SETGID"];

fn run(engine: &Engine, options: &[&str], command: &[&str]) -> Output {
    engine.run(&[&GRANT[..], options, &[APP], command].concat())
}

/// What the shim warns of where the engine has a user namespace.
const WITHOUT_ROOT: &str = "where the kernel does not honour IPC_LOCK";

/// The application is uid 1000, has these groups and exactly IPC_LOCK.
#[track_caller]
fn holds_lock(kind: Kind, output: &Output, groups: &str) {
    output.holds(1000, 1000, groups, "IPC_LOCK");
    let warned = output.stderr.contains(WITHOUT_ROOT);
    assert_eq!((warned, output.stderr.lines().count()), (kind == Kind::PodmanRootless, usize::from(warned)));
}

#[test]
fn groups_that_are_added_stay_and_roots_go() {
    needs_engines!();
    for kind in ENGINES {
        let output = run(&Engine::with_apps(kind), &["--group-add", "2000"], &[]);
        holds_lock(kind, &output, "1000, 2000");
    }
}

#[test]
fn roots_groups_of_an_image_stay_out_where_the_nodes_etc_group_is_mounted_over_the_images() {
    needs_engines!();
    let folder = Machine::get().path("node");
    fs::create_dir_all(&folder).expect("a folder");
    // As Debian's, where root is a member of nothing.
    fs::write(folder.join("group"), "root:x:0:\ndisk:x:6:\napp:x:1000:\n").expect("a file");
    fs::write(folder.join("passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")
        .expect("a file");
    let mounts = ["passwd", "group"].map(|file| format!("{}:/etc/{file}:ro", folder.join(file).display()));
    let mounts = ["-v", &mounts[0], "-v", &mounts[1], "-e", "CAPSHIM_USER=1000:1000"];
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        let output = run(&engine, &mounts, &[]);
        if kind != Kind::Docker {
            // Podman looks root's groups up in what is mounted.
            holds_lock(kind, &output, "1000");
            continue;
        }
        output.refuses_saying(78, "CAPSHIM_GROUPS='auto' cannot tell which inherited groups are root's");
        let hint = output.stderr.split("of these: ").nth(1).and_then(|rest| rest.split(';').next());
        let typed = [&mounts[..], &["-e", hint.expect("a list")]].concat();
        let all = "1, 2, 3, 4, 6, 10, 11, 20, 26, 27, 1000";
        run(&engine, &typed, &[]).is_exactly(1000, 1000, all, "IPC_LOCK");
        let none = [&mounts[..], &["-e", "CAPSHIM_GROUPS=none"]].concat();
        run(&engine, &none, &[]).is_exactly(1000, 1000, "1000", "IPC_LOCK");
    }
}

#[test]
fn a_user_that_the_runtime_starts_needs_the_shims_file_to_have_the_capability_but_for_podman() {
    needs_engines!();
    for kind in ENGINES {
        let output = run(&Engine::with_apps(kind), &["--user", "1000:1000"], &[]);
        match kind {
            Kind::Docker => {
                output.refuses_saying(77, "in the bounding set but not in the permitted set: IPC_LOCK")
            }
            _ => holds_lock(kind, &output, "1000"),
        }
    }
}

#[test]
fn what_podman_makes_ambient_beyond_the_request_is_dropped() {
    needs_engines!();
    for kind in [Kind::PodmanRunc, Kind::PodmanCrun, Kind::PodmanRootless] {
        let engine = Engine::with_apps(kind);
        let more = ["--user", "1000:1000", "--cap-add", "NET_RAW"];
        let without = run(&engine, &[&more[..], &["--entrypoint", "my-server"]].concat(), &[]);
        assert_eq!(without.state()["ambient"], "SETGID, SETUID, NET_RAW, IPC_LOCK", "{kind:?}");
        holds_lock(kind, &run(&engine, &more, &[]), "1000");
    }
}

#[test]
fn a_session_of_exec_is_roots_unless_it_passes_through_the_shim() {
    needs_engines!();
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        let name = format!("exec-{kind:?}");
        engine
            .succeed(&[&["run", "--detach", "--name", &name], &GRANT[2..], &[APP, "sleep", "3600"]].concat());
        let session = engine.run(&["exec", &name, "my-server"]);
        let state = session.state();
        assert_eq!((state["uid"], state["permitted"]), ("0", "SETGID, SETUID, IPC_LOCK"), "{kind:?}");
        // Root without KILL cannot end what another user runs.
        assert_eq!(engine.run(&["exec", &name, "kill", "-TERM", "1"]).code, 1, "{kind:?}");
        holds_lock(kind, &engine.run(&["exec", &name, "/capshim", "my-server"]), "1000");
        assert_eq!(engine.run(&["exec", &name, "/capshim", "kill", "-KILL", "1"]).code, 0, "{kind:?}");
        engine.succeed(&["rm", "--force", &name]);
    }
}

#[test]
fn a_terminal_that_the_engine_made_for_the_command_can_be_opened_again() {
    needs_engines!();
    const REOPEN: [&str; 3] = ["sh", "-c", "echo out >/dev/stdout"];
    for kind in ENGINES {
        let engine = Engine::with_apps(kind);
        let on_terminal =
            |options: &[&str]| engine.on_terminal(&[&GRANT[..], &["-t"], options, &[APP], &REOPEN].concat());
        let out = |(code, written): (i32, String)| {
            assert_eq!((code, written.lines().last()), (0, Some("out")), "{kind:?}: {written}");
            let warned = written.contains(WITHOUT_ROOT);
            assert_eq!(
                (warned, written.lines().count()),
                (kind == Kind::PodmanRootless, 1 + usize::from(warned))
            );
        };
        out(on_terminal(&[]));
        // Behind the engine's init the terminal's session is that one's.
        let (_, denied) = on_terminal(&["--init", "--cap-add=KILL"]);
        assert!(denied.contains("/dev/stdout: Permission denied"), "{kind:?}: {denied}");
        let name = format!("terminal-{kind:?}");
        engine
            .succeed(&[&["run", "--detach", "--name", &name], &GRANT[2..], &[APP, "sleep", "3600"]].concat());
        let session = [&["exec", "-t", &name, "/capshim"], &REOPEN[..]].concat();
        out(engine.on_terminal(&session));
        engine.succeed(&["rm", "--force", &name]);
    }
}

#[test]
fn a_device_has_the_nodes_mode_and_its_group_opens_it() {
    needs_engines!();
    let node = Machine::get().path("tun");
    let made =
        Machine::get().command("mknod").args(["-m", "600"]).arg(&node).args(["c", "10", "200"]).status();
    assert!(made.expect("mknod").success());
    let device = format!("--device={}:/dev/net/tun", node.display());
    let opens = ["sh", "-c", ": <>/dev/net/tun && echo opened"];
    let engines = [Kind::Docker, Kind::PodmanCrun].map(Engine::with_apps);
    for engine in &engines {
        let output = run(engine, &[&device, "--cap-add=NET_ADMIN", "--env=CAPSHIM_CAPS=net_admin"], &opens);
        assert!(output.stderr.contains("/dev/net/tun: Permission denied"), "{}", output.stderr);
    }
    fs::set_permissions(&node, fs::Permissions::from_mode(0o660)).expect("chmod");
    chown(&node, None, Some(2000)).expect("chown");
    for engine in &engines {
        let output = run(engine, &[&device, "--env=CAPSHIM_GROUPS=auto,2000"], &opens);
        assert_eq!(output.stdout, "opened\n", "{:?}: {}", engine.kind, output.stderr);
    }
}

#[test]
fn quotes_from_an_env_file_are_refused_and_named() {
    needs_engines!();
    let file = Machine::get().path("quoted.env");
    fs::write(&file, "CAPSHIM_CAPS=\"ipc_lock\"\n").expect("a file");
    for kind in ENGINES {
        let output = run(&Engine::with_apps(kind), &["--env-file", file.to_str().expect("a path")], &[]);
        output.refuses_saying(78, r#"CAPSHIM_CAPS='"ipc_lock"'"#);
    }
}

#[test]
fn a_volume_that_is_mounted_nosuid_is_so_in_dockers_containers_and_hides_file_capabilities() {
    needs_engines!();
    let machine = Machine::get();
    let engine = Engine::with_apps(Kind::Docker);
    let folder = machine.path("nosuid");
    fs::create_dir_all(&folder).expect("a folder");
    let folder = folder.to_str().expect("a path");
    let shim = format!("{folder}/capshim");
    let inside =
        |words: &[&str]| _ = output(machine.command(words[0]).args(&words[1..]).output().expect("a program"));
    inside(&["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder]);
    inside(&["cp", built("capshim").to_str().expect("a path"), &shim]);
    inside(&["setcap", "cap_ipc_lock=p", &shim]);
    let volume = format!("--volume={folder}:/shim");
    let run = || {
        let words =
            ["--user=1000:1000", "--cap-drop=ALL", "--cap-add=IPC_LOCK", "--entrypoint=/shim/capshim"];
        engine.run(&[&["run", "--rm"], &words[..], &[&volume, APP, "my-server"]].concat())
    };
    run().is_exactly(1000, 1000, "1000", "IPC_LOCK");
    inside(&["mount", "-o", "remount,nosuid", folder]);
    run().refuses_saying(77, "/shim/capshim is on a nosuid mount, where they do not count");
}

#[test]
fn without_root_a_low_port_can_be_bound_and_memory_not_locked() {
    needs_engines!();
    let engine = Engine::with_apps(Kind::PodmanRootless);
    let with = ["--cap-add", "NET_BIND_SERVICE", "--env", "CAPSHIM_CAPS=net_bind_service,ipc_lock"];
    assert_eq!(run(&engine, &with, &["bind-port"]).stdout, "bind of port 80: bound\n");
    assert_eq!(
        run(&engine, &[], &["bind-port"]).stdout,
        "bind of port 80: Permission denied (os error 13)\n"
    );
    assert_eq!(run(&engine, &with, &["lock-memory"]).stdout, "mlock of 64 MiB: ENOMEM: Out of memory\n");
}

#[test]
fn a_low_port_is_any_users_under_docker_and_under_podman_with_the_sysctl() {
    needs_engines!();
    for kind in ENGINES {
        let bind = |sysctl: &[&str]| {
            let user = ["run", "--rm", "--user=1000:1000", "--cap-drop=ALL", "--entrypoint=bind-port"];
            Engine::with_apps(kind).run(&[&user[..], sysctl, &[APP]].concat()).stdout
        };
        let by_itself = match kind {
            Kind::Docker => "bind of port 80: bound\n",
            _ => "bind of port 80: Permission denied (os error 13)\n",
        };
        assert_eq!(bind(&[]), by_itself, "{kind:?}");
        let sysctl = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=0"];
        assert_eq!(bind(&sysctl), "bind of port 80: bound\n", "{kind:?}");
    }
}

#[test]
fn podmans_ambient_is_its_childrens_and_sessions_too_and_what_is_missing_is_not_noticed() {
    needs_engines!();
    for kind in [Kind::PodmanCrun, Kind::PodmanRootless] {
        let engine = Engine::with_apps(kind);
        let user = ["--user=1000:1000", "--cap-drop=ALL", "--read-only", "--security-opt=no-new-privileges"];
        let granted = [&user[..], &["--cap-add=IPC_LOCK"]].concat();
        let child = ["--entrypoint=sh", APP, "-c", "my-server; exit"];
        engine
            .run(&[&["run", "--rm"], &granted[..], &child].concat())
            .is_exactly(1000, 1000, "1000", "IPC_LOCK");
        let output = engine.run(&[&["run", "--rm"], &user[..], &child].concat());
        assert_eq!((output.code, output.state()["permitted"]), (0, "none"), "{kind:?}");
        let defaults =
            ["run", "--rm", "--user=1000:1000", "--cap-add=IPC_LOCK", "--entrypoint=my-server", APP];
        let output = engine.run(&defaults);
        let state = output.state();
        assert_eq!((state["permitted"], state["ambient"]), ("IPC_LOCK", "IPC_LOCK"), "{kind:?}");
        assert!(state["bounding"].contains("IPC_LOCK") && state["bounding"].contains("SETUID"), "{kind:?}");

        let name = format!("ambient-{kind:?}");
        let waits = ["--entrypoint=sleep", APP, "3600"];
        engine.succeed(&[&["run", "--detach", "--name", &name], &granted[..], &waits].concat());
        engine.run(&["exec", &name, "my-server"]).is_exactly(
            1000,
            1000,
            engine.groups_of_a_session(),
            "IPC_LOCK",
        );
        engine.succeed(&["rm", "--force", &name]);
    }
}
