//! What applications and runtimes say where they find another user or fewer rights than they
//! expect, and what docs/troubleshooting.md has against it.

use serde_json::json;

use crate::harness::container::Container;
use crate::harness::container::run::cannot_execute;
use crate::harness::live::{eventually, status};
use crate::harness::starts::{GROUPS, app, as_user, lock};

/// A root start that switches to `app` with these capabilities, which are granted.
fn with(caps: &[&str]) -> Container {
    let granted = [&["SETGID", "SETUID"], caps].concat();
    app().capabilities(&granted).env("CAPSHIM_CAPS", &caps.join(","))
}

/// The lines that the guide has after these words.
fn block(mark: &str) -> &'static str {
    let after = include_str!("../../docs/troubleshooting.md").split(mark).nth(1);
    let block = after.and_then(|after| after.split("```").nth(1)?.strip_prefix("sh\n"));
    block.unwrap_or_else(|| panic!("no {mark}"))
}

#[test]
fn a_program_that_tests_for_uid_0_is_not_content_with_a_capability() {
    let script = "test $(/bin/busybox id -u) = 0 || { echo Not superuser; exit 1; }; exec /state";
    let output = lock().shim(&["/bin/sh", "-c", script]);
    assert_eq!((output.code, output.stdout.as_str()), (1, "Not superuser\n"), "{}", output.stderr);
    let root = lock().without_env("CAPSHIM_USER").env("CAPSHIM_USER", "root");
    root.shim(&["/bin/sh", "-c", script]).is_exactly(0, 0, "none", "IPC_LOCK");
}

#[test]
fn a_program_that_drops_root_by_itself_is_not_told_to_or_starts_as_root() {
    let httpd = ["/capshim", "/bin/busybox", "httpd", "-f", "-p", "8080"];
    let dropping = [&httpd[..], &["-u", "app"]].concat();
    app().run(&dropping).refuses(1, "httpd: setgroups: Operation not permitted\n");
    let root = || as_user("root").env("CAPSHIM_CAPS", "setgid,setuid");
    for (start, command) in [(app(), &httpd[..]), (root(), &dropping)] {
        let live = start.live(command);
        let serves =
            || status(live.pid(), "Name") == "busybox" && status(live.pid(), "Uid") == "1000 1000 1000 1000";
        eventually("a server of the user's", serves);
    }
}

#[test]
fn a_user_without_a_name_is_given_one_by_etc_passwd_or_in_the_environment() {
    let whoami = ["/bin/busybox", "whoami"];
    let start = || as_user("4242:4242");
    start().shim(&whoami).refuses(1, "whoami: unknown uid 4242\n");
    let passwd = "root:x:0:0::/root:/bin/sh\nweb:x:4242:4242::/:/sbin/nologin\n";
    assert_eq!(start().file("/etc/passwd", passwd).shim(&whoami).stdout, "web\n");
    let environment = ["/bin/sh", "-c", "echo $HOME $USER $LOGNAME"];
    assert_eq!(start().shim(&environment).stdout, "/\n");
    assert_eq!(start().env("USER", "web").shim(&environment).stdout, "/ web\n");
}

#[test]
fn a_device_of_roots_stays_roots_whatever_capability_is_held() {
    let tun = |mode: u32, gid: u32| {
        let device = json!({ "path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "fileMode": mode, "uid": 0, "gid": gid });
        let start = with(&["NET_ADMIN"]).configured(|config| {
            config["linux"]["devices"] = json!([device]);
            config["linux"]["resources"] = json!({ "devices": [{ "allow": true, "access": "rwm" }] });
        });
        // Which NET_ADMIN is for.
        start.shim(&["/bin/busybox", "tunctl", "-t", "tap0"])
    };
    for (mode, gid) in [(0o600, 0), (0o660, 0)] {
        tun(mode, gid).refuses(1, "tunctl: can't open '/dev/net/tun': Permission denied\n");
    }
    for (mode, gid) in [(0o660, 1000), (0o666, 0)] {
        let output = tun(mode, gid);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{mode:o} {gid}");
    }
}

#[test]
fn in_a_user_namespace_the_limit_on_locked_memory_stays_though_ipc_lock_is_held() {
    let limited = |start: Container, mib: u32| {
        start.configured(|config| {
            let limit = json!({ "type": "RLIMIT_MEMLOCK", "hard": mib << 20, "soft": mib << 20 });
            config["process"]["rlimits"] = json!([limit]);
        })
    };
    let inside = |mib| limited(lock().user_namespace(100_000, 65_536), mib);
    let locks = ["/bin/sh", "-c", "/state; /lock_memory 4"];
    for (start, said) in
        [(inside(1), "ENOMEM: Out of memory"), (inside(8), "locked"), (limited(lock(), 1), "locked")]
    {
        let output = start.shim(&locks);
        let state = output.state();
        assert_eq!((state["effective"], state["mlock of 4 MiB"]), ("IPC_LOCK", said));
    }
}

#[test]
fn a_script_sees_in_its_status_which_optional_capability_it_got() {
    let script = format!("sed() {{ /bin/busybox sed \"$@\"; }}\n{}", block("**Which optional capability"));
    for (granted, said) in [(&["NET_BIND_SERVICE"][..], "port 80\n"), (&[], "port 8080\n")] {
        let granted = [&["SETGID", "SETUID"], granted].concat();
        let start = app().capabilities(&granted).env("CAPSHIM_CAPS", "net_bind_service?");
        assert_eq!(start.shim(&["/bin/sh", "-c", &script]).stdout, said);
    }
}

#[test]
fn services_behind_an_inner_capshim_hold_each_its_own() {
    let both = || with(&["NET_BIND_SERVICE", "IPC_LOCK"]);
    for (caps, held) in [("ipc_lock", "IPC_LOCK"), ("net_bind_service", "NET_BIND_SERVICE"), ("none", "none")]
    {
        // As a supervisor's run script says it.
        let script =
            block("**Several services").replace("net_bind_service", caps).replace("my-server", "/state");
        both().shim(&["/bin/sh", "-c", &script]).is_exactly(1000, 1000, GROUPS, held);
    }
    let script = "CAPSHIM_CAPS=net_raw exec /capshim /state";
    let cause = "passed on only NET_BIND_SERVICE, IPC_LOCK, and not NET_RAW";
    both().run(&["/capshim", "/bin/sh", "-c", script]).refuses_saying(77, cause);
}

#[test]
fn a_user_with_too_many_processes_is_told_by_the_runtime_before_the_shim_runs() {
    let uid = 130_000 + std::process::id() % 30_000;
    let user = || Container::user(uid, uid).env("CAPSHIM_CAPS", "none");
    let mut other = user().live(&["/bin/sh", "-c", "echo up; read line"]);
    other.until("up\n");
    let output = user().most_processes(0).run(&["/capshim", "/state"]);
    let said = cannot_execute("/capshim", "Resource temporarily unavailable");
    assert!(output.code != 0 && output.stderr.contains(&said), "{}", output.stderr);
    // With runc 1.3 its threads count, too.
    user().most_processes(64).run(&["/capshim", "/state"]).is_exactly(uid, uid, "none", "none");
}
