//! Hints on the files that a start reads, and on what only a check does: `outcome`, `plan`,
//! `prepare`, `check`, `report`.

use crate::harness::container::{Container, Output};
use crate::harness::perform::unfiltered;
use crate::harness::start::Start;
use crate::refuse::hints::{self, GROUPS, STATE, Way::*, exactly, performs, with_lock, without_no_new_privs};

/// `app` with IPC_LOCK; NET_RAW is there too.
fn lock() -> Start {
    hints::lock().with(|container| container.capabilities(&["IPC_LOCK", "NET_RAW", "SETGID", "SETUID"]))
}

/// Runs with what its own file gives, without ambient.
fn lends(capability: &'static str) -> impl Fn(&Output) {
    move |output| {
        let state = output.state();
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        let sets = ["inheritable", "permitted", "effective", "ambient"].map(|set| state[set]);
        assert_eq!((state["uid"], sets), ("1000", [capability, capability, capability, "none"]));
    }
}

#[test]
fn file_capabilities_go_or_are_asked_for() {
    let file = |words: &'static str| move || lock().with(|image| image.file_caps("/state", words));
    let gone = |way| [Typed(way), Typed(way)];
    for words in ["cap_ipc_lock=p", "cap_ipc_lock=i", "="] {
        performs("command/refusals::without_capabilities", file(words), &gone(&with_lock));
    }
    let [remove, copy] = gone(&with_lock);
    performs(
        "command/refusals::without_capabilities",
        file("cap_net_raw=ep"),
        &[remove, copy, Typed(&lends("NET_RAW"))],
    );
    performs(
        "command/refusals::without_capabilities",
        file("cap_sys_admin,cap_ipc_lock=ep"),
        &gone(&with_lock),
    );
    // Dropped from the bounding set, as nobody asks for it.
    let dropped = || {
        let granted = ["IPC_LOCK", "NET_RAW", "SETGID", "SETPCAP", "SETUID"];
        file("cap_net_raw=ep")().with(|container| container.capabilities(&granted))
    };
    let [remove, copy] = gone(&with_lock);
    performs("command/refusals::without_capabilities", dropped, &[remove, copy, Typed(&lends("NET_RAW"))]);
    // A non-root start, whose shim could not have what the file gives.
    let user = || {
        let container = Container::user(1000, 1000)
            .capabilities(&["IPC_LOCK", "NET_RAW"])
            .env("CAPSHIM_CAPS", "ipc_lock");
        let container =
            container.file_caps("/capshim", "cap_ipc_lock=p").file_caps("/state", "cap_net_raw=ep");
        Start::new(container, &STATE)
    };
    let comes = exactly(1000, 1000, "none", "IPC_LOCK");
    performs("command/refusals::without_capabilities", user, &gone(&comes));
    // Or that could be taken again, if less were asked for.
    let without = || {
        let shim = |image: Container| image.file_caps("/capshim", "cap_net_raw,cap_ipc_lock=p");
        user().with(shim).env("CAPSHIM_CAPS", "ipc_lock,net_raw").env("CAPSHIM_NO_NEW_PRIVS", "0")
    };
    let comes = without_no_new_privs(1000, "none", "NET_RAW, IPC_LOCK");
    performs("command/refusals::without_capabilities", without, &gone(&comes));
    // By a link, by a name that it acts by, or as the interpreter of a script.
    for command in [
        &["/capshim", "/bin/sh", "-c", "exec /state"][..],
        &["/capshim", "sh", "-c", "exec /state"],
        &["/capshim", "/script"],
    ] {
        let shell = || {
            let image = |image: Container| image.script("/script", "#!/bin/sh\nexec /state\n");
            lock().command(command).with(image).with(|image| image.file_caps("/bin/busybox", "cap_kill=ep"))
        };
        performs("command/refusals::without_capabilities", shell, &gone(&with_lock));
    }
    // No malformed attribute can be written: a filter says that there is one.
    let unfiltered: [fn(Start) -> Start; 1] = [|start| start.with(unfiltered)];
    let malformed = || lock().with(|container| container.no_new_privs().deny("getxattr", libc::EINVAL));
    performs(
        "command/refusals::without_capabilities",
        malformed,
        &[
            ByHand("setcap -r /state", &unfiltered, &with_lock),
            ByHand("replace the file by a copy, which has none", &unfiltered, &with_lock),
        ],
    );
}

#[test]
fn set_id_bits_go_or_do_not_count() {
    let ways = [Typed(&without_no_new_privs(1000, GROUPS, "IPC_LOCK")), Typed(&with_lock)];
    for (group, mode) in [(0, 0o4755), (29, 0o2755), (29, 0o6755)] {
        let start =
            || lock().env("CAPSHIM_NO_NEW_PRIVS", "0").with(|image| image.owned("/state", 0, group, mode));
        performs("command/refusals::Exec", start, &ways);
    }
    let shim = || {
        let container = Container::user(1000, 1000).env("CAPSHIM_CAPS", "none");
        Start::new(container.mode("/capshim", 0o6755), &STATE)
    };
    performs("plan/refusals::set_id", shim, &[Typed(&exactly(1000, 1000, "none", "none"))]);
}

#[test]
fn the_account_files_can_be_read() {
    let script = "rm /etc/passwd && mkdir /etc/passwd && exec /capshim /state";
    performs(
        "run/account_files::not_read",
        || lock().command(&["/bin/sh", "-c", script]),
        &[ByHand("put a file at /etc/passwd", &[|start| start.command(&STATE)], &with_lock)],
    );
    let closed = || {
        let container = Container::user(1000, 1000).env("CAPSHIM_CAPS", "none").mode("/etc", 0o700);
        // A name is looked up, and here it changes nothing.
        Start::new(container.groups(&[0]).env("CAPSHIM_GROUPS", "root"), &STATE)
    };
    performs("run/account_files::not_opened", closed, &[Typed(&exactly(1000, 1000, "0", "none"))]);
    for file in ["/etc/passwd", "/etc/group"] {
        performs(
            "run/account_files::not_opened 2",
            || lock().with(|image| image.owned(file, 1, 1, 0o600)),
            &[Typed(&with_lock)],
        );
    }
    let script = "rm /etc/passwd && ln -s /dev/zero /etc/passwd && exec /capshim /state";
    performs(
        "run/account_files::unusable",
        || lock().command(&["/bin/sh", "-c", script]),
        &[
            ByHand(
                "put a file of the usual kind at /etc/passwd",
                &[|start| start.command(&STATE)],
                &with_lock,
            ),
            ByHand(
                "write ids in place of names: CAPSHIM_USER=1000:1000",
                &[|start| start.env("CAPSHIM_USER", "1000:1000")],
                &|output| {
                    output.holds(1000, 1000, "1000", "IPC_LOCK");
                },
            ),
        ],
    );
}

#[test]
fn init_mode_has_a_process_more_and_a_check_no_filter_that_kills() {
    let would_start = |output: &Output| {
        assert!(
            output.code == 0 && output.stdout.contains("\n  the application would start, with\n"),
            "{}",
            output.stdout
        );
    };
    // A uid that no other process has: the limit counts all of a user's. A root start: with runc 1.3
    // the threads of runc count, too, where it changes to the user itself.
    let limited = || {
        let container = hints::app().container.env("CAPSHIM_USER", "48151:48151").env("CAPSHIM_INIT", "1");
        Start::new(container.most_processes(1), &["/capshim", "--check", "/state"])
    };
    performs("process/failures::fork_failed", limited, &[Typed(&would_start)]);
    let init = || limited().command(&["/capshim", "--", "/state"]);
    performs("process/failures::fork_failed", init, &[Typed(&exactly(48_151, 48_151, "48151", "none"))]);
    let killed = || {
        let container = lock().container.kill_prctl(libc::PR_SET_NO_NEW_PRIVS);
        Start::new(container, &["/capshim", "--check", "/state"])
    };
    performs("check/report::killed", killed, &[Typed(&would_start)]);
}
