//! Programs that say something where they find another user or fewer rights than they expect, and
//! what docs/troubleshooting.md has against it.

use std::path::Path;

use crate::harness::container::Container;
use crate::harness::starts::{GRANTED, GROUPS, app, as_user};
use crate::same::{run, with_peers};

/// This machine's programs, with their libraries and plug-ins.
fn with_usr(start: Container) -> Container {
    let start = start.volume(Path::new("/usr"), "/usr", &["rbind", "ro"]);
    let libraries = ["lib", "lib64"].map(|folder| (Path::new("/usr").join(folder), format!("/{folder}")));
    let there = libraries.into_iter().filter(|(source, _)| source.exists());
    there.fold(start, |start, (source, folder)| start.volume(&source, &folder, &["rbind", "ro"]))
}

#[test]
fn python_finds_a_user_without_a_passwd_entry_in_the_environment_alone() {
    let start = || with_usr(as_user("4242:4242"));
    let python = |start: Container, script: &str| start.shim(&["/usr/bin/python3", "-c", script]);
    let getuser = "import getpass; print(getpass.getuser())";
    for script in [getuser, "import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name)"] {
        let output = python(start(), script);
        // From Python 3.13 on getpass says first what the environment lacks, and ends with that.
        assert!(
            output.code == 1 && output.stderr.contains("KeyError: 'getpwuid(): uid not found: 4242'\n"),
            "{}",
            output.stderr
        );
        let passwd = "root:x:0:0::/root:/bin/sh\nweb:x:4242:4242::/:/sbin/nologin\n";
        assert_eq!(python(start().file("/etc/passwd", passwd), script).stdout, "web\n");
    }
    for name in ["USER", "LOGNAME"] {
        assert_eq!(python(start().env(name, "web"), getuser).stdout, "web\n");
    }
}

#[test]
fn iptables_legacy_takes_its_lock_where_the_user_may_write() {
    let start = || {
        let start = app().capabilities(&["NET_ADMIN", "NET_RAW", "SETGID", "SETUID"]);
        with_usr(start.env("CAPSHIM_CAPS", "net_admin,net_raw"))
    };
    let list = ["/usr/sbin/iptables-legacy", "-L"];
    start().shim(&list).refuses(4, "Fatal: can't open lock file /run/xtables.lock: Permission denied\n");
    // A kernel without these tables says so.
    let elsewhere = start().env("XTABLES_LOCKFILE", "/tmp/xtables.lock").shim(&list);
    assert!(!elsewhere.stderr.contains("lock"), "{}", elsewhere.stderr);
    let shared = start().folder("/run").owned("/run", 0, 1000, 0o775).shim(&list);
    assert!(!shared.stderr.contains("lock"), "{}", shared.stderr);
    let nftables = start().shim(&["/usr/sbin/iptables-nft", "-L"]);
    assert!(!nftables.stderr.contains("lock"), "{}", nftables.stderr);
}

/// It is set-user-ID root, which no_new_privs turns off.
#[test]
fn newuidmap_under_no_new_privs_needs_setuid_and_setgid_as_the_users_own() {
    let script = "mkfifo /tmp/go /tmp/up; unshare --user /bin/sh -c 'echo up >/tmp/up; read go' </tmp/go & \
                  exec 3>/tmp/go; read up </tmp/up; newuidmap $! 0 100000 1000 && newgidmap $! 0 100000 1000; \
                  echo $? $(cat /proc/$!/uid_map /proc/$!/gid_map)";
    let start = |caps: &str| {
        let start = with_usr(app()).env("CAPSHIM_CAPS", caps);
        let ids = "app:100000:65536\n";
        start
            .without_env("PATH")
            .env("PATH", "/usr/bin:/bin")
            .file("/etc/subuid", ids)
            .file("/etc/subgid", ids)
    };
    let output = start("none").shim(&["/bin/sh", "-c", script]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("1\n", "newuidmap: write to uid_map failed: Operation not permitted\n")
    );
    let output = start("setuid,setgid").shim(&["/bin/sh", "-c", script]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0 0 100000 1000 0 100000 1000\n", ""));
}

/// In a script behind the shim, which has changed the user already.
#[test]
fn gosu_behind_the_shim_has_nothing_to_change_with() {
    let output = run(with_peers(app()), "/capshim /gosu app /state");
    // Newer versions quote the name otherwise.
    let said = output.stderr.replace('\'', "\"");
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert_eq!(said, "error: failed switching to \"app\": operation not permitted\n");
}

#[test]
fn setpriv_behind_the_shim_leaves_the_capabilities_as_they_are() {
    let start = || with_peers(app().capabilities(&GRANTED).env("CAPSHIM_CAPS", "ipc_lock"));
    run(start(), "/capshim /setpriv --pdeathsig TERM /state").is_exactly(1000, 1000, GROUPS, "IPC_LOCK");
    let less = run(start(), "/capshim /setpriv --inh-caps=-all --ambient-caps=-all /state");
    less.is_exactly(1000, 1000, GROUPS, "none");
}
