//! Hints on what a kernel, a namespace or a filter does not let happen.

use crate::harness::perform::unfiltered;
use crate::harness::start::Start;
use crate::refuse::hints::{STATE, Way::*, exactly, lock, performs, with_lock};

/// The same behind a program that sets up what no runtime does.
fn launched(options: &[&str], granted: &[&str]) -> Start {
    lock()
        .with(|container| container.capabilities(granted))
        .command(&[&["/launch"], options, &["--", "/capshim", "/state"]].concat())
}

#[test]
fn nothing_before_the_shim_takes_from_root() {
    let with_setpcap = ["IPC_LOCK", "SETGID", "SETPCAP", "SETUID"];
    let by_securebit =
        |securebit: &'static str| move || launched(&["--securebits", securebit], &with_setpcap);
    let without = [ByHand("start capshim without that", &[|start| start.command(&STATE)], &with_lock)];
    // SECBIT_NOROOT, SECBIT_NO_CAP_AMBIENT_RAISE, SECBIT_KEEP_CAPS_LOCKED.
    performs("plan/refusals::GivenUp", by_securebit("1"), &without);
    performs("plan/refusals::AmbientLocked", by_securebit("64"), &without);
    performs("plan/refusals::KeepCapsLocked", by_securebit("32"), &without);
    let narrowed = "CAPSHIM_USER=root CAPSHIM_CAPS=setuid,setgid /capshim /bin/busybox env CAPSHIM_USER=app CAPSHIM_CAPS=ipc_lock /capshim /state";
    performs(
        "plan/refusals::GivenUp 2",
        || lock().command(&["/bin/sh", "-c", narrowed]),
        &[ByHand("make /capshim the first word", &[|start| start.command(&STATE)], &with_lock)],
    );
}

#[test]
fn ambient_capabilities_are_there_without_the_sandbox() {
    // A filter stands in for the sandbox: PR_CAP_AMBIENT (47) is EINVAL.
    let elsewhere: [fn(Start) -> Start; 1] = [|start| start.with(unfiltered)];
    performs(
        "plan/refusals::NoAmbient",
        || lock().with(|container| container.no_new_privs().deny_prctl(47, libc::EINVAL)),
        &[
            ByHand("Linux 4.3 or newer", &elsewhere, &with_lock),
            ByHand("runtimeClassName", &elsewhere, &with_lock),
        ],
    );
}

#[test]
fn ids_are_mapped_or_others_are_chosen() {
    for (ids, uid, gid, groups) in [("1000:5", 1000, 5, "5"), ("5:1000", 5, 1000, "1000")] {
        performs(
            "process/failures::step_failed",
            || {
                let start = lock().env("CAPSHIM_USER", ids).env("CAPSHIM_LOG", "quiet");
                start.with(|container| container.user_namespace(100_000, 1000))
            },
            &[
                ByHand(
                    "choose one that /proc/self/",
                    &[|start| start.env("CAPSHIM_USER", "5:5")],
                    &exactly(5, 5, "5", "IPC_LOCK"),
                ),
                Typed(&exactly(uid, gid, groups, "IPC_LOCK")),
            ],
        );
    }
    // Enough for the first program to make a namespace of its own.
    let granted = ["IPC_LOCK", "SETGID", "SETUID", "SETFCAP", "SYS_ADMIN"];
    performs(
        "process/failures::step_failed 2",
        || {
            launched(&["--user-namespace-without-setgroups", "0 0 1,1000 1000 1"], &granted)
                .env("CAPSHIM_USER", "1000:1000")
                .env("CAPSHIM_LOG", "quiet")
        },
        &[
            ByHand(
                "newuidmap and newgidmap",
                &[|start| {
                    // As these do, from outside and as root.
                    let maps = ["--user-namespace", "0 0 1,1000 1000 1", "--", "/capshim", "/state"];
                    start.command(&[&["/launch"], &maps[..]].concat())
                }],
                &exactly(1000, 1000, "1000", "IPC_LOCK"),
            ),
            ByHand(
                "as the node's root, without one",
                &[|start| start.command(&STATE)],
                &exactly(1000, 1000, "1000", "IPC_LOCK"),
            ),
        ],
    );
}

#[test]
fn the_default_seccomp_profile_forbids_no_step_and_does_not_lie() {
    let filtered =
        |call: &str, errno: i32| lock().with(|container| container.no_new_privs().deny(call, errno));
    for (call, errno) in [("setresuid", libc::EPERM), ("getgroups", libc::EPERM), ("getxattr", libc::ENOSYS)]
    {
        performs("process/failures::failed", || filtered(call, errno), &[Typed(&with_lock)]);
    }
    // Errno 0: the call reports success and does nothing.
    for call in ["setresuid", "capget", "getresgid"] {
        performs("process/failures::call_lied", || filtered(call, 0), &[Typed(&with_lock)]);
    }
}
