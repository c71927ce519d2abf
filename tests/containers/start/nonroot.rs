//! The non-root start for real: an init container puts the shim into a volume, and an image that
//! knows nothing of capshim is started by it, as another user than root.

use std::process::Command;

use crate::harness::container::run::cannot_execute;
use crate::harness::container::{Container, Output};
use crate::harness::install::{INSTALL, SAID, init};
use crate::harness::volume::Volume;

const RUN: [&str; 2] = ["/shim/capshim", "/state"];

/// Root with SETFCAP alone, no_new_privs, a seccomp filter and a read-only root has installed
/// the shim.
fn installed(volume: Volume) -> Volume {
    init(&volume).no_new_privs().runtime_default().run(&INSTALL).installed(SAID);
    volume
}

/// The application's container, without the grant, by Pod Security's *restricted*: no root, no
/// privilege escalation, a seccomp filter, and nothing to write to.
fn restricted(volume: &Volume, uid: u32) -> Container {
    let image = Container::user(uid, uid).without("/capshim").read_only();
    let image = image.no_new_privs().runtime_default().env("CAPSHIM_CAPS", "ipc_lock");
    image.volume(volume.folder(), "/shim", &["ro"])
}

/// The same with the grant.
fn app(volume: &Volume) -> Container {
    restricted(volume, 1000).capabilities(&["IPC_LOCK"])
}

/// Runs it, after a check that says the same.
fn checked(container: impl Fn() -> Container, command: &[&str]) -> Output {
    let check = container().run(&[&[command[0], "--check", "--"], &command[1..]].concat());
    let run = container().run(command);
    check.foretells(&run);
    run
}

#[test]
fn an_image_that_nobody_rebuilt_gets_exactly_the_capability() {
    for volume in [Volume::on_disk(), Volume::in_memory("size=1m")] {
        let volume = installed(volume);
        let start = || app(&volume).groups(&[2000]);
        let output = checked(start, &["/shim/capshim", "/state", "credentials", "process"]);
        output.is_exactly(1000, 1000, "2000", "IPC_LOCK");
        let state = output.state();
        assert_eq!((state["bounding"], state["at_secure"], state["dumpable"]), ("IPC_LOCK", "off", "on"));
        assert_eq!(start().run(&["/shim/capshim", "/lock_memory"]).stdout, "mlock of 64 MiB: locked\n");
        // With nothing in the image but busybox, as the kernel itself says it.
        let image = ["/state", "/lock_memory", "/bind_port", "/launch", "/etc/passwd", "/etc/group"];
        let busybox = image.into_iter().fold(start(), Container::without);
        let output = busybox.run(&["/shim/capshim", "/bin/busybox", "grep", "^Cap", "/proc/self/status"]);
        let sets = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}:\t0000000000004000\n"));
        assert_eq!((output.stdout, output.stderr.as_str()), (sets.concat(), ""));
    }
}

#[test]
fn in_a_user_namespace_the_copy_counts_for_its_own_and_for_no_other() {
    for volume in [Volume::on_disk(), Volume::in_memory("size=1m")] {
        let install = init(&volume).no_new_privs().runtime_default().user_namespace(100_000, 65_536);
        install.run(&INSTALL).installed(SAID);
        let inside = |first: u32| app(&volume).user_namespace(first, 65_536).env("CAPSHIM_LOG", "quiet");
        let output = checked(|| inside(100_000), &RUN);
        output.is_exactly(1000, 1000, "none", "IPC_LOCK");
        assert_eq!(output.state()["bounding"], "IPC_LOCK");
        // Another namespace cannot even see the attribute.
        checked(|| inside(300_000), &RUN).refuses_saying(
            77,
            "in the bounding set but not in the permitted set: IPC_LOCK; the container was started as uid 1000 and /shim/capshim has no such \
             file capabilities",
        );
        // The initial one sees whose it is.
        checked(|| app(&volume), &RUN)
            .refuses_saying(77, "; /shim/capshim has them, but they belong to another user namespace");
    }
}

#[test]
fn in_a_user_namespace_with_id_mapped_volumes_it_is_the_same() {
    // As in a pod with hostUsers: false.
    let volume = Volume::id_mapped(100_000);
    let install = init(&volume).no_new_privs().runtime_default().user_namespace(100_000, 65_536);
    install.run(&INSTALL).installed(SAID);
    let start = || app(&volume).user_namespace(100_000, 65_536).env("CAPSHIM_LOG", "quiet");
    checked(start, &RUN).is_exactly(1000, 1000, "none", "IPC_LOCK");
    assert_eq!(volume.getcap("capshim"), "cap_ipc_lock=p [rootid=100000]");
}

#[test]
fn behind_a_shell_it_works_without_no_new_privs_alone() {
    let volume = installed(Volume::on_disk());
    let script = ["/bin/sh", "-c", "exec /shim/capshim /state"];
    app(&volume).run(&script).refuses(
        77,
        "capshim: in the bounding set but not in the permitted set: IPC_LOCK; /shim/capshim has them, but with no_new_privs on they count only in \
         the container's first program, and only if the runtime passes them on to it: another program ran before, or the \
         runtime is LXC or a Docker older than 23.0.7 or 24.0.6\n\
         capshim: hint: make /shim/capshim the first word of the container's command, without sh -c before it (and update such a Docker); or Kubernetes: \
         securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt no-new-privileges; \
         LXC: no lxc.no_new_privs\n",
    );
    let start = Container::user(1000, 1000).capabilities(&["IPC_LOCK"]).env("CAPSHIM_CAPS", "ipc_lock");
    let start = start.volume(volume.folder(), "/shim", &["ro"]).read_only();
    start.run(&script).is_exactly(1000, 1000, "none", "IPC_LOCK");
    // The shell may come after.
    app(&volume)
        .run(&["/shim/capshim", "/bin/sh", "-c", "/state"])
        .is_exactly(1000, 1000, "none", "IPC_LOCK");
}

#[test]
fn a_missing_grant_is_named_by_the_shim_and_is_no_bare_eperm_of_the_runtime() {
    let volume = installed(Volume::on_disk());
    let hint = "Kubernetes: securityContext.capabilities.add: [\"IPC_LOCK\"] (without CAP_: containerd takes CAP_IPC_LOCK for an \
                unknown capability and does not say so); Docker/Podman: --cap-add IPC_LOCK";
    checked(|| restricted(&volume, 1000), &RUN).refuses(
        77,
        &format!(
            "capshim: not granted to this container, not in its bounding set: IPC_LOCK\ncapshim: hint: {hint}\n"
        ),
    );
    // What the hint says to add is what was missing.
    app(&volume).run(&RUN).is_exactly(1000, 1000, "none", "IPC_LOCK");
    // The effective bit on the same file: exec fails, and no program says why.
    let setcap = Command::new("setcap").arg("cap_ipc_lock=ep").arg(volume.path("capshim")).status();
    assert!(setcap.expect("setcap").success());
    let output = restricted(&volume, 1000).run(&RUN);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.trim_end()),
        ("", cannot_execute("/shim/capshim", "Operation not permitted").as_str())
    );
}

#[test]
fn a_volume_that_is_mounted_nosuid_is_named() {
    let volume = installed(Volume::on_disk());
    let start = || {
        let start = Container::user(1000, 1000).capabilities(&["IPC_LOCK"]).env("CAPSHIM_CAPS", "ipc_lock");
        start.no_new_privs().volume(volume.folder(), "/shim", &["ro", "nosuid"])
    };
    checked(start, &RUN).refuses(
        77,
        "capshim: in the bounding set but not in the permitted set: IPC_LOCK; /shim/capshim is on a nosuid mount, where they do not count\n\
         capshim: hint: run a copy that is in the image, with them: setcap cap_ipc_lock=p COPY; or mount its folder without \
         nosuid, and put it there again: Kubernetes: an emptyDir; Docker/Podman: a named volume, -v NAME:/shim (under Podman -v NAME:/shim:suid)\n",
    );
}

#[test]
fn a_copy_that_lost_its_attribute_is_named() {
    let start = |volume: &Volume, script: &str| {
        let root = Container::user(0, 0).capabilities(&["CHOWN", "FOWNER", "FSETID", "DAC_OVERRIDE"]);
        let output = root.volume(volume.folder(), "/shim", &[]).run(&["/bin/sh", "-c", script]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        app(volume).run(&RUN)
    };
    for keeps in ["chmod 0555 /shim/capshim", "mv /shim/capshim /shim/x && ln /shim/x /shim/capshim"] {
        start(&installed(Volume::on_disk()), keeps).is_exactly(1000, 1000, "none", "IPC_LOCK");
    }
    for loses in [
        "cp /shim/capshim /shim/x && mv /shim/x /shim/capshim",
        "chown 0:0 /shim/capshim",
        "cat /shim/capshim >/tmp/x && cat /tmp/x >/shim/capshim",
        "cd /shim && tar -cf /tmp/x capshim && tar -xf /tmp/x",
    ] {
        start(&installed(Volume::on_disk()), loses).refuses(
            77,
            "capshim: in the bounding set but not in the permitted set: IPC_LOCK; the container was started as uid 1000 and /shim/capshim has no \
             such file capabilities\n\
             capshim: hint: put them on the file where the volume is filled, as in an init container: /capshim --install /shim/capshim --file-caps ipc_lock \
             (or setcap cap_ipc_lock=p /shim/capshim); or start as root with CAPSHIM_USER=1000:1000: Kubernetes: \
             securityContext.runAsUser: 0, runAsNonRoot: false and securityContext.capabilities.add: [\"SETGID\", \
             \"SETUID\", \"IPC_LOCK\"]; Docker/Podman: --user 0 --cap-add SETGID --cap-add SETUID --cap-add IPC_LOCK\n",
        );
    }
}

#[test]
fn a_copy_for_another_architecture_is_named_by_the_runtime() {
    let volume = installed(Volume::on_disk());
    // e_machine, elf(5): x86_64 is 62 and aarch64 is 183.
    let mut program = volume.content("capshim");
    program[18] = if program[18] == 183 { 62 } else { 183 };
    let volume = volume.file("capshim", program);
    let output = app(&volume).run(&RUN);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.trim_end()),
        ("", cannot_execute("/shim/capshim", "Exec format error").as_str())
    );
}

#[test]
fn any_user_who_may_execute_the_copy_may_have_its_capabilities() {
    let start = |volume: &Volume, uid: u32| restricted(volume, uid).capabilities(&["IPC_LOCK"]).run(&RUN);
    let volume = installed(Volume::on_disk());
    start(&volume, 2000).is_exactly(2000, 2000, "none", "IPC_LOCK");
    // Up to the bounding set.
    restricted(&volume, 2000).run(&RUN).refuses_saying(77, "not in its bounding set: IPC_LOCK");
    // The group that an init container with runAsGroup gave, and then a mode, make it one user's.
    let volume = Volume::on_disk();
    let install = Container::user(0, 1000).capabilities(&["SETFCAP"]).volume(volume.folder(), "/shim", &[]);
    install
        .run(&["/bin/sh", "-c", &format!("{} && chmod 0750 /shim/capshim", INSTALL.join(" "))])
        .installed(SAID);
    start(&volume, 1000).is_exactly(1000, 1000, "none", "IPC_LOCK");
    let refused = start(&volume, 2000);
    // runc 1.1.15 looks before it executes, and quotes the path.
    let said = cannot_execute("/shim/capshim", "Permission denied");
    assert!(
        refused.stderr.replace(['"', '\\', ':'], "").contains(&said.replace(':', "")),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.stdout, "");
}

#[test]
fn an_application_with_a_wrong_effective_file_runs_as_a_copy() {
    let volume = installed(Volume::on_disk());
    let image = || app(&volume).copy("/state", "/app").file_caps("/app", "cap_net_raw=ep");
    checked(image, &["/shim/capshim", "/app"]).refuses(
        126,
        "capshim: /app: its file capabilities demand NET_RAW, not granted to this container, so it cannot be executed\n\
         capshim: hint: remove them when the image is built, capshim gives the capabilities instead: setcap -r /app; or replace the \
         file by a copy, which has none: cp /app /app.new && mv /app.new /app\n",
    );
    // As an init container makes it, from the application's own image into the volume.
    let copier = image().volume(volume.folder(), "/copies", &[]);
    assert_eq!(copier.run(&["/bin/sh", "-c", "cp /app /copies/app"]).code, 0);
    checked(image, &["/shim/capshim", "/shim/app"]).is_exactly(1000, 1000, "none", "IPC_LOCK");
}
