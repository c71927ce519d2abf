//! What is said where the container was not granted what the settings need. Each case is
//! told apart from what was observed, with the words to type.

use crate::harness::container::Container;
use crate::harness::container::output::lines;
use crate::harness::starts::{GRANTED, app, lock, user_lock};

const ADD_LOCK: &str = "Kubernetes: securityContext.capabilities.add: [\"IPC_LOCK\"] (without CAP_: containerd takes CAP_IPC_LOCK for \
     an unknown capability and does not say so); Docker/Podman: --cap-add IPC_LOCK";
const WITHOUT_SECUREBIT: &str = "a program that ran before capshim set it, as capsh --secbits and setpriv --securebits do: start capshim without that";
const NON_ROOT: &str = "put them on the file as the image is built: /capshim --install /capshim --file-caps ipc_lock (or setcap cap_ipc_lock=p /capshim); or start as root with \
     CAPSHIM_USER=1000:1000: Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false and securityContext.capabilities.add: [\"SETGID\", \"SETUID\", \
     \"IPC_LOCK\"]; Docker/Podman: --user 0 --cap-add SETGID --cap-add SETUID --cap-add IPC_LOCK";

fn says(container: Container, command: &[&str], cause: &str, hint: &str) {
    container.run(command).refuses(77, &lines(cause, hint));
}

#[test]
fn a_non_root_start_without_the_grant() {
    let cause = "not granted to this container, not in its bounding set: IPC_LOCK";
    says(
        user_lock(),
        &["/capshim", "/state"],
        cause,
        &format!("{ADD_LOCK}; then, for a start as uid 1000, {NON_ROOT}"),
    );
    says(user_lock().file_caps("/capshim", "cap_ipc_lock=p"), &["/capshim", "/state"], cause, ADD_LOCK);
}

#[test]
fn a_non_root_start_with_the_grant_but_without_file_capabilities() {
    for container in [user_lock(), user_lock().no_new_privs()] {
        says(
            container.capabilities(&["IPC_LOCK"]),
            &["/capshim", "/state"],
            "in the bounding set but not in the permitted set: IPC_LOCK; the container was started as uid 1000 and /capshim has no such file capabilities",
            NON_ROOT,
        );
    }
}

#[test]
fn a_shell_before_the_shim_under_no_new_privs() {
    let start = || user_lock().capabilities(&["IPC_LOCK"]).file_caps("/capshim", "cap_ipc_lock=p");
    says(
        start().no_new_privs(),
        &["/bin/sh", "-c", "exec /capshim /state"],
        "in the bounding set but not in the permitted set: IPC_LOCK; /capshim has them, but with no_new_privs on they count only in the \
         container's first program, and only if the runtime passes them on to it: another program ran before, or the \
         runtime is LXC or a Docker older than 23.0.7 or 24.0.6",
        "make /capshim the first word of the container's command, without sh -c before it (and update such a Docker); or Kubernetes: \
         securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt no-new-privileges; \
         LXC: no lxc.no_new_privs",
    );
    // Without no_new_privs the file's capabilities count in any program.
    start().run(&["/bin/sh", "-c", "exec /capshim /state"]).is_exactly(1000, 1000, "none", "IPC_LOCK");
}

#[test]
fn file_capabilities_on_a_nosuid_mount() {
    let start = || {
        let copied = user_lock().capabilities(&["IPC_LOCK"]).copy("/capshim", "/shim/capshim");
        copied.file_caps("/shim/capshim", "cap_ipc_lock=p")
    };
    let cause = |path: &str| {
        format!(
            "in the bounding set but not in the permitted set: IPC_LOCK; {path} is on a nosuid mount, where they do not count"
        )
    };
    let copy = "run a copy that is in the image, with them: setcap cap_ipc_lock=p COPY";
    says(
        start().bind("/shim", "/nosuid", &["nosuid"]),
        &["/nosuid/capshim", "/state"],
        &cause("/nosuid/capshim"),
        &format!(
            "{copy}; or mount its folder without nosuid, and put it there again: \
             Kubernetes: an emptyDir; Docker/Podman: a named volume, -v NAME:/nosuid (under Podman -v NAME:/nosuid:suid)"
        ),
    );
    // No volume lies at the root.
    let file = start().bind("/shim/capshim", "/capshim", &["nosuid"]);
    says(file, &["/capshim", "/state"], &cause("/capshim"), copy);
}

#[test]
fn file_capabilities_that_belong_to_another_user_namespace() {
    // The attribute that setcap -n writes: revision 3, for a namespace whose root is 100000.
    for container in [user_lock, || user_lock().no_new_privs()] {
        says(
            container().capabilities(&["IPC_LOCK"]).file_caps_of_namespace(
                "/capshim",
                100_000,
                1 << 14,
                false,
            ),
            &["/capshim", "/state"],
            "in the bounding set but not in the permitted set: IPC_LOCK; /capshim has them, but they belong to another user namespace",
            "write them again from inside this user namespace: setcap cap_ipc_lock=p /capshim",
        );
    }
}

#[test]
fn file_capabilities_that_the_kernel_did_not_apply_for_a_reason_of_its_own() {
    // Another process has the same working directory: who changes it would change it for both.
    let start = user_lock().capabilities(&["IPC_LOCK"]).file_caps("/capshim", "cap_ipc_lock=p");
    start.run(&["/launch", "--share-folder", "--", "/capshim", "/state"]).refuses(
        77,
        "capshim: in the bounding set but not in the permitted set: IPC_LOCK; /capshim has them, but the kernel did not apply them, as where a \
         process without privileges traces this one or shares its working directory (CLONE_FS), the mount is another user namespace's, \
         or the kernel was booted with no_file_caps\n",
    );
}

#[test]
fn a_root_start_without_setuid_or_setgid() {
    let hint = "Kubernetes: securityContext.capabilities.add: [\"SETGID\", \"SETUID\", \"IPC_LOCK\"] (without CAP_: containerd takes \
         CAP_SETGID for an unknown capability and does not say so); Docker/Podman: --cap-add SETGID --cap-add SETUID --cap-add IPC_LOCK";
    for (granted, missing) in [
        (&["IPC_LOCK", "SETGID"][..], "SETUID"),
        (&["IPC_LOCK", "SETUID"], "SETGID"),
        (&["IPC_LOCK"], "SETGID, SETUID"),
    ] {
        let root = lock().capabilities(granted);
        let cause = format!(
            "not granted to this container, not in its bounding set: {missing} ({missing} to become uid 1000)"
        );
        says(root, &["/capshim", "/state"], &cause, hint);
    }
    let nothing = Container::user(0, 0).env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock");
    let cause = "not granted to this container, not in its bounding set: SETGID, SETUID, IPC_LOCK (SETGID, SETUID to become uid 1000)";
    says(nothing, &["/capshim", "/state"], cause, hint);
}

#[test]
fn a_root_start_after_a_program_that_gave_a_capability_up() {
    let root = |granted: &[&str]| lock().capabilities(granted);
    // SECBIT_NOROOT: root's exec gives nothing any more.
    says(
        root(&["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"]),
        &["/launch", "--securebits", "1", "--", "/capshim", "/state"],
        "in the bounding set but not in the permitted set: SETGID, SETUID, IPC_LOCK; started as root, but securebits has SECBIT_NOROOT",
        WITHOUT_SECUREBIT,
    );
    let given_up = root(&["IPC_LOCK", "SETGID", "SETUID"])
        .set("permitted", &["SETGID", "SETUID"])
        .set("effective", &["SETGID", "SETUID"]);
    says(
        given_up.no_new_privs(),
        &["/capshim", "/state"],
        "in the bounding set but not in the permitted set: IPC_LOCK; started as root, but a program that ran before capshim dropped it",
        "make /capshim the first word of the container's command",
    );
}

#[test]
fn a_securebit_that_forbids_ambient() {
    // SECBIT_NO_CAP_AMBIENT_RAISE.
    let start = |caps: &str| {
        let granted = ["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"];
        app().capabilities(&granted).env("CAPSHIM_CAPS", caps)
    };
    let command = ["/launch", "--securebits", "64", "--", "/capshim", "/state"];
    says(
        start("ipc_lock"),
        &command,
        "securebits 0x40 has SECBIT_NO_CAP_AMBIENT_RAISE: ambient cannot take IPC_LOCK",
        WITHOUT_SECUREBIT,
    );
    start("none").run(&command).is_exactly(1000, 1000, "29, 1000, 1001", "none");
    let optional = start("ipc_lock?").run(&command);
    optional.holds(1000, 1000, "29, 1000, 1001", "none");
}

#[test]
fn a_securebit_that_forbids_ambient_matters_not_where_it_is_there_already() {
    let both = ["IPC_LOCK", "SETPCAP"];
    let start =
        Container::user(1000, 1000).capabilities(&both).set("inheritable", &both).set("ambient", &both);
    let start = start.env("CAPSHIM_CAPS", "ipc_lock");
    start
        .run(&["/launch", "--securebits", "64", "--", "/capshim", "/state"])
        .is_exactly(1000, 1000, "none", "IPC_LOCK");
}

#[test]
fn a_securebit_that_locks_keepcaps() {
    let granted = ["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"];
    let start = lock().capabilities(&granted);
    says(
        start,
        &["/launch", "--securebits", "32", "--", "/capshim", "/state"],
        "securebits 0x20 has SECBIT_KEEP_CAPS_LOCKED: IPC_LOCK cannot be kept in a change of user",
        WITHOUT_SECUREBIT,
    );
}

#[test]
fn an_optional_capability_that_keepcaps_cannot_keep_is_left_out() {
    let granted = ["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"];
    let start = app().capabilities(&granted).env("CAPSHIM_CAPS", "ipc_lock?");
    let output = start.run(&["/launch", "--securebits", "32", "--", "/capshim", "/state"]);
    output.holds(1000, 1000, "29, 1000, 1001", "none");
    assert_eq!(
        output.stderr,
        "capshim: warning: left out as optional, because this container lacks them: IPC_LOCK\n"
    );
}

#[test]
fn a_sandbox_that_does_not_know_securebits_has_none_set() {
    // PR_GET_SECUREBITS (27) is EINVAL.
    lock().no_new_privs().deny_prctl(27, 22).shim(&["/state"]).is_exactly(
        1000,
        1000,
        "29, 1000, 1001",
        "IPC_LOCK",
    );
}

#[test]
fn a_sandbox_without_ambient_capabilities() {
    // A seccomp filter stands in for the sandbox: PR_CAP_AMBIENT (47) is EINVAL.
    let start =
        |caps: &str| app().capabilities(&GRANTED).env("CAPSHIM_CAPS", caps).no_new_privs().deny_prctl(47, 22);
    says(
        start("ipc_lock"),
        &["/capshim", "/state"],
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET): EINVAL: this kernel or sandbox has no ambient capabilities, which would keep IPC_LOCK",
        "run it on a node with Linux 4.3 or newer; or without that sandbox: Kubernetes: runtimeClassName; Docker/Podman: --runtime",
    );
    assert_eq!(start("none").shim(&["/bin/sh", "-c", "id -u"]).stdout, "1000\n");
}

#[test]
fn groups_that_change_without_a_switch_of_user() {
    let start = |policy: &str| {
        Container::user(1000, 1000).groups(&[2000]).env("CAPSHIM_CAPS", "none").env("CAPSHIM_GROUPS", policy)
    };
    let cause = "CAPSHIM_GROUPS='none' changes the groups of a start as uid 1000, which needs SETGID";
    let hint = "leave CAPSHIM_GROUPS out and let the runtime give none: Kubernetes: no fsGroup and no supplementalGroups in the \
         pod's securityContext; Docker/Podman: no --group-add";
    says(start("none"), &["/capshim", "/state"], cause, hint);
    // First things first: the grant alone would not help.
    let both = user_lock().capabilities(&["IPC_LOCK"]).groups(&[2000]).env("CAPSHIM_GROUPS", "none");
    says(both, &["/capshim", "/state"], cause, hint);
    for policy in ["auto", "keep"] {
        start(policy).shim(&["/state"]).is_exactly(1000, 1000, "2000", "none");
    }
    // Nothing would change, so nothing is needed.
    start("2000,1000").groups(&[1000, 2000]).shim(&["/state"]).is_exactly(1000, 1000, "1000, 2000", "none");
}

#[test]
fn a_gid_that_changes_without_a_switch_of_user() {
    says(
        Container::user(0, 500).env("CAPSHIM_USER", "root"),
        &["/capshim", "/state"],
        "CAPSHIM_USER='root' changes gid 500 of a start as uid 0 to 0, which needs SETGID",
        "Kubernetes: securityContext.runAsGroup: 0; Docker/Podman: --user 0:0; or keep the gid: CAPSHIM_USER=0:500; or Kubernetes: \
         securityContext.capabilities.add: [\"SETGID\"] (without CAP_: containerd takes CAP_SETGID for an unknown capability and does \
         not say so); Docker/Podman: --cap-add SETGID",
    );
    Container::user(0, 500).env("CAPSHIM_USER", "0:500").shim(&["/state"]).is_exactly(0, 500, "none", "none");
}

#[test]
fn a_seccomp_filter_that_forbids_a_step_is_a_failed_call() {
    for (call, said) in [
        ("setresuid", "capshim: setresuid(1000, 1000, 1000): EPERM: Operation not permitted"),
        ("setresgid", "capshim: setresgid(1000, 1000, 1000): EPERM: Operation not permitted"),
        ("capset", "capshim: capset(effective = permitted = SETGID, SETUID): EPERM: Operation not permitted"),
    ] {
        // The filter is loaded last where no_new_privs is on, so that runc's own calls pass.
        app().no_new_privs().deny(call, 1).shim(&["/state"]).refuses(
            71,
            &format!(
                "{said}
capshim: hint: capshim holds every capability that the call needs, so a seccomp filter or security module forbids it: \
                 use the runtime's default profile: Kubernetes: securityContext.seccompProfile.type: RuntimeDefault; \
                 Docker/Podman: leave out --security-opt seccomp=FILE
"
            ),
        );
    }
}

#[test]
fn a_call_that_fails_for_another_reason_is_named_with_its_errno() {
    let start = || app().no_new_privs();
    // EAGAIN (11) and EIO (5).
    start()
        .deny("setresuid", 11)
        .shim(&["/state"])
        .refuses(71, "capshim: setresuid(1000, 1000, 1000): EAGAIN: Try again\n");
    start().deny("getxattr", 5).shim(&["/state"]).refuses(71, "capshim: getxattr(/state): EIO: I/O error\n");
}

#[test]
fn a_locked_keepcaps_matters_not_where_a_change_of_user_keeps_all() {
    // SECBIT_KEEP_CAPS_LOCKED and SECBIT_NO_SETUID_FIXUP.
    let granted = ["IPC_LOCK", "SETGID", "SETUID", "SETPCAP"];
    let start = lock().capabilities(&granted);
    let output = start.run(&["/launch", "--securebits", "36", "--", "/capshim", "/state"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}
