//! The shim's own file is found however it was started, with /proc and without: what it carries
//! counts, and hints name it.

use crate::harness::container::{Container, Output};
use crate::harness::starts::{lock, user_lock};

/// The kernel executes `/capshim /state /script`.
const SCRIPT: &str = "#!/capshim /state\n";

/// Root, who is to become `app` with IPC_LOCK and without no_new_privs. The shim's file has more.
fn start() -> Container {
    let granted = ["IPC_LOCK", "NET_RAW", "SETGID", "SETUID", "SYS_ADMIN"];
    asked(&granted).file_caps("/capshim", "cap_net_raw=p")
}

fn asked(granted: &[&str]) -> Container {
    lock()
        .capabilities(granted)
        .env("CAPSHIM_NO_NEW_PRIVS", "0")
        .script("/script", SCRIPT)
        .script("/outer", "#! /script\n")
        .link("capshim", "/link")
        .link("script", "/script-link")
        .script("/linked", SCRIPT.replace("/capshim", "/link"))
        .script("/relative", SCRIPT.replace("/capshim", "./capshim"))
}

/// Without /proc, which this takes away first.
const WITHOUT_PROC: [&str; 4] = ["/launch", "--unmount", "/proc", "--"];

/// Each way to start the shim, and the path that it has where /proc does not tell.
const WAYS: [(&[&str], &str); 8] = [
    (&["/capshim", "/state"], "/capshim"),
    (&["./capshim", "/state"], "./capshim"),
    (&["/link", "/state"], "/capshim"),
    (&["/script"], "/capshim"),
    (&["/script-link"], "/capshim"),
    (&["/outer"], "/capshim"),
    (&["/linked"], "/capshim"),
    (&["/relative"], "./capshim"),
];

/// What this comes to in each way, with /proc and without, and the path that a hint is to name.
fn each_way(start: fn() -> Container, check: impl Fn(&Output, &str)) {
    for (command, path) in WAYS {
        println!("{command:?}");
        check(&start().run(command), "/capshim");
        println!("{command:?} without /proc");
        check(&start().run(&[&WITHOUT_PROC, command].concat()), path);
    }
}

#[test]
fn what_its_file_carries_counts_however_it_was_started() {
    each_way(start, |output, path| {
        output.refuses(
            78,
            &format!(
                "capshim: CAPSHIM_NO_NEW_PRIVS='0' would let the application run this program again and take NET_RAW from its file capabilities\n\
                 capshim: hint: leave CAPSHIM_NO_NEW_PRIVS out; or give the file no more than CAPSHIM_CAPS asks for: setcap cap_ipc_lock=p {path}\n"
            ),
        );
    });
}

#[test]
fn a_file_that_carries_nothing_is_no_reason_to_refuse_however_it_was_started() {
    // What the script carries is nothing that anybody could gain.
    let plain = || {
        let granted = ["IPC_LOCK", "NET_RAW", "SETGID", "SETUID", "SYS_ADMIN"];
        asked(&granted).file_caps("/script", "cap_net_raw=p")
    };
    each_way(plain, |output, _| {
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        assert_eq!((output.state()["permitted"], output.state()["no_new_privs"]), ("IPC_LOCK", "off"));
    });
}

#[test]
fn hints_and_reports_name_the_shim_and_not_the_script() {
    let user = || {
        let start = user_lock().capabilities(&["IPC_LOCK"]);
        start.script("/script", SCRIPT).script("/report", "#!/capshim --check\n")
    };
    let output = user().run(&["/script"]);
    output.refuses_saying(77, "started as uid 1000 and /capshim has no such file capabilities");
    assert!(
        output.stderr.contains(" /capshim --install /capshim --file-caps ipc_lock "),
        "{}",
        output.stderr
    );
    let report = user().file_caps("/capshim", "cap_ipc_lock=p").run(&["/report"]).stdout;
    assert!(report.contains("\n  this program          /capshim: IPC_LOCK=p\n"), "{report}");
    let set_id = user().capabilities(&["SETUID"]).owned("/capshim", 0, 0, 0o4755).run(&["/script"]);
    set_id.refuses_saying(78, "started set-user-ID or set-group-ID");
    assert!(set_id.stderr.contains("chmod u-s,g-s /capshim ("), "{}", set_id.stderr);
}

/// Why nobody can tell what the file carries, and so it may be all that the container has.
#[track_caller]
fn cannot_tell(output: &Output, path: &str, why: &str) {
    output.refuses(
        78,
        &format!(
            "capshim: CAPSHIM_NO_NEW_PRIVS='0' may let the application run this program again and take SETGID, SETUID, NET_RAW, \
             SYS_ADMIN from the file capabilities of {path}, which are not known, {why}\n\
             capshim: hint: leave CAPSHIM_NO_NEW_PRIVS out; or grant SETPCAP, so that capshim can drop the rest: Kubernetes: \
             securityContext.capabilities.add: [\"SETGID\", \"SETUID\", \"SETPCAP\", \"IPC_LOCK\"] (without CAP_: containerd takes \
             CAP_SETGID for an unknown capability and does not say so); Docker/Podman: --cap-add SETGID --cap-add SETUID \
             --cap-add SETPCAP --cap-add IPC_LOCK\n"
        ),
    );
}

#[test]
fn a_file_that_nobody_can_look_at_may_carry_anything() {
    let filtered = || start().deny("getxattr", libc::EPERM);
    cannot_tell(
        &filtered().run(&["/capshim", "/state"]),
        "/capshim",
        "getxattr: EPERM: Operation not permitted",
    );
    let report = filtered().run(&["/capshim", "--check"]);
    let line = "/capshim: its file capabilities are not known, getxattr: EPERM: Operation not permitted";
    assert!(report.stdout.replace("\n                       ", "").contains(line), "{}", report.stdout);
    let user = user_lock().capabilities(&["IPC_LOCK"]).deny("getxattr", libc::EPERM);
    user.run(&["/capshim", "/state"])
        .refuses_saying(77, "uid 1000 and the file capabilities of /capshim are not known, getxattr: EPERM");
    // Without /proc: an execute-only script, and a file that is gone.
    let closed = || start().owned("/script", 1000, 1000, 0o711);
    let command = [&WITHOUT_PROC[..], &["/script"]].concat();
    cannot_tell(&closed().run(&command), "/script", "open: EACCES: Permission denied");
    let deleted = ["/launch", "--deleted", "--unmount", "/proc", "--", "/capshim", "/state"];
    let gone =
        start().capabilities(&["DAC_OVERRIDE", "IPC_LOCK", "NET_RAW", "SETGID", "SETUID", "SYS_ADMIN"]);
    gone.run(&deleted).refuses_saying(78, ", which are not known, open: ENOENT");
    // With /proc the script's mode is no matter.
    closed().run(&["/script"]).refuses_saying(78, "and take NET_RAW from its file capabilities");
    // Nothing can be gained that was not asked for: there is nothing to tell.
    let all = "setgid,setuid,net_raw,ipc_lock,sys_admin";
    let output = closed().without_env("CAPSHIM_CAPS").env("CAPSHIM_CAPS", all).run(&command);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
}

#[test]
fn a_file_that_is_gone_is_known_by_proc() {
    let granted = ["DAC_OVERRIDE", "IPC_LOCK", "NET_RAW", "SETGID", "SETUID"];
    let gone = start().capabilities(&granted).run(&["/launch", "--deleted", "--", "/capshim", "/state"]);
    gone.refuses_saying(78, "and take NET_RAW from its file capabilities");
}

#[test]
fn where_the_node_puts_an_interpreter_in_front_either_file_may_be_what_counts() {
    // With the flag C the kernel takes the capabilities of the file that is interpreted, as where
    // an emulator runs a shim for another architecture. Linux 6.7 has such rules per namespace.
    let carrier = |path: &str| {
        let start = asked(&["IPC_LOCK", "NET_RAW", "SETGID", "SETUID"]);
        let start = start.file("/carrier", "RULE").mode("/carrier", 0o755).user_namespace(100_000, 65_536);
        let start = start.file_caps_of_namespace(path, 100_000, 1 << 13, false);
        let start = start.mount("/rules", "binfmt_misc", "binfmt_misc".as_ref(), &[]);
        start.run(&["/bin/sh", "-c", "echo ':t:M::RULE::/capshim:C' >/rules/register && exec /carrier"])
    };
    for path in ["/carrier", "/capshim"] {
        carrier(path).refuses_saying(78, "and take NET_RAW from its file capabilities");
    }
}

#[test]
fn a_folder_that_only_looks_like_proc_is_not_asked() {
    let fake = || {
        let granted = ["IPC_LOCK", "NET_RAW", "SETGID", "SETUID", "SYS_CHROOT"];
        let image = asked(&granted).folder("/fake/proc/self");
        let image = image.copy("/capshim", "/fake/capshim").copy("/state", "/fake/state");
        image.copy("/state", "/fake/proc/self/exe").file_caps("/fake/proc/self/exe", "cap_net_raw=p")
    };
    let command = ["/bin/busybox", "chroot", "/fake", "/capshim", "/state"];
    let output = fake().without_env("CAPSHIM_USER").env("CAPSHIM_USER", "1000:1000").run(&command);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let more = fake().file_caps("/fake/capshim", "cap_sys_chroot=p").without_env("CAPSHIM_USER");
    more.env("CAPSHIM_USER", "1000:1000").run(&command).refuses_saying(78, "and take SYS_CHROOT from its");
    let script = "/bin/busybox chroot /fake /capshim --install /copy && /fake/copy --version";
    let installed = fake().run(&["/bin/sh", "-c", script]);
    let version = env!("CARGO_PKG_VERSION");
    installed.installed(&format!("capshim: installed /copy without file capabilities\ncapshim {version}\n"));
}
