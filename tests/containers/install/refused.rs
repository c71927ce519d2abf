//! `--install` where there can be no copy: what is said, and that nothing has changed.

use std::fs;

use crate::harness::container::output::lines;
use crate::harness::container::{Container, built};
use crate::harness::install::{INSTALL, SAID, init, root};
use crate::harness::volume::Volume;

#[test]
fn a_missing_directory_is_named_with_the_way_to_make_it() {
    let volume = Volume::on_disk().file("file", "");
    for (path, folder) in
        [("/shim/a/b/capshim", "/shim/a/b"), ("/shim/a/", "/shim/a/"), ("/shim/a/.", "/shim/a/.")]
    {
        init(&volume).run(&["/capshim", "--install", path]).refuses(
            71,
            &lines(
                &format!("open({folder}): ENOENT: No such file or directory"),
                &format!(
                    "make the directory first: mkdir -p {folder}; or WORKDIR {folder} in a Dockerfile; or mount a volume there: \
                     Kubernetes: volumeMounts.mountPath: {folder}; Docker/Podman: -v VOLUME:{folder}"
                ),
            ),
        );
    }
    for (path, folder) in [("/shim/file/", "/shim/file/"), ("/shim/file/x", "/shim/file")] {
        init(&volume).run(&["/capshim", "--install", path]).refuses(
            71,
            &lines(
                &format!("open({folder}): ENOTDIR: Not a directory"),
                "install to another path: this one leads through a file",
            ),
        );
    }
    assert_eq!(volume.names(), ["file"]);
}

#[test]
fn a_container_without_setfcap_is_told_what_to_add() {
    let cause = "fsetxattr(/shim/.capshim.*, security.capability, IPC_LOCK=p): EPERM: Operation not permitted: \
                 this process does not have SETFCAP";
    let volume = Volume::on_disk().with_old_file();
    root(&volume).run(&INSTALL).refuses(
        77,
        &lines(
            cause,
            "Kubernetes: securityContext.capabilities.add: [\"SETFCAP\"] (without CAP_: containerd takes CAP_SETFCAP for an unknown \
             capability and does not say so); Docker/Podman: --cap-add SETFCAP",
        ),
    );
    let user = Container::user(1000, 1000).capabilities(&["SETFCAP"]).volume(volume.folder(), "/shim", &[]);
    user.run(&INSTALL).refuses(
        77,
        &lines(
            cause,
            "Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false and securityContext.capabilities.add: [\"SETFCAP\"]; Docker/Podman: --user 0 \
             --cap-add SETFCAP; in a Dockerfile: USER 0 before it",
        ),
    );
    volume.is_untouched();
}

#[test]
fn a_user_without_the_right_to_write_is_told_what_has_it() {
    let roots = Volume::on_disk().with_old_file().owned("", 0, 0, 0o755);
    let user = || Container::user(1000, 1000).volume(roots.folder(), "/shim", &[]);
    let cause = "open(/shim/.capshim.*, O_CREAT | O_EXCL): EACCES: Permission denied";
    user().run(&["/capshim", "--install", "/shim"]).refuses(
        71,
        &lines(
            cause,
            "Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false; Docker/Podman: --user 0; in a Dockerfile: USER 0 before it",
        ),
    );
    user().run(&INSTALL).refuses(
        71,
        &lines(
            cause,
            "Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false and securityContext.capabilities.add: [\"SETFCAP\"]; Docker/Podman: --user 0 \
             --cap-add SETFCAP; in a Dockerfile: USER 0 before it",
        ),
    );
    roots.is_untouched();
    // Root without DAC_OVERRIDE has no more rights than another in somebody else's directory.
    let theirs = Volume::on_disk().with_old_file().owned("", 1000, 1000, 0o755);
    init(&theirs).run(&INSTALL).refuses(
        71,
        &lines(
            cause,
            "Kubernetes: securityContext.capabilities.add: [\"DAC_OVERRIDE\", \"SETFCAP\"] (without CAP_: containerd takes \
             CAP_DAC_OVERRIDE for an unknown capability and does not say so); Docker/Podman: --cap-add DAC_OVERRIDE --cap-add SETFCAP",
        ),
    );
    theirs.is_untouched();
    root(&theirs).capabilities(&["DAC_OVERRIDE", "SETFCAP"]).run(&INSTALL).installed(SAID);
    theirs.has_the_copy();
}

#[test]
fn a_full_volume_keeps_what_it_had() {
    let size = fs::metadata(built("capshim")).expect("capshim").len();
    let hint = "make room for the copy beside the file that it replaces: Kubernetes: emptyDir.sizeLimit: 1Mi or more; \
                Docker/Podman: --tmpfs /shim:size=1m or more";
    let cause = format!("write(/shim/.capshim.*, {size} bytes): ENOSPC: No space left on device");
    let volume = Volume::in_memory("size=64k").with_old_file();
    init(&volume).run(&INSTALL).refuses(71, &lines(&cause, hint));
    volume.is_untouched();
    // The folder and the old file are two.
    let volume = Volume::in_memory("nr_inodes=2").with_old_file();
    let cause = "open(/shim/.capshim.*, O_CREAT | O_EXCL): ENOSPC: No space left on device";
    init(&volume).run(&INSTALL).refuses(71, &lines(cause, hint));
    volume.is_untouched();
}

#[test]
fn a_limit_on_the_size_of_files_is_no_signal() {
    let volume = Volume::on_disk().with_old_file();
    let output =
        init(&volume).run(&["/bin/sh", "-c", &format!("ulimit -f 20; {}; echo $?", INSTALL.join(" "))]);
    assert_eq!(output.stdout, "71\n");
    assert!(output.stderr.starts_with("capshim: write(/shim/.capshim.*, "), "{}", output.stderr);
    assert!(
        output.stderr.ends_with(
            " bytes): EFBIG: File too large\ncapshim: hint: raise the limit on the size of files: Docker/Podman: --ulimit fsize=-1\n"
        ),
        "{}",
        output.stderr
    );
    volume.is_untouched();
}

#[test]
fn a_read_only_volume_is_told_apart() {
    let volume = Volume::on_disk().with_old_file();
    let start = Container::user(0, 0).capabilities(&["SETFCAP"]).volume(volume.folder(), "/shim", &["ro"]);
    start.run(&INSTALL).refuses(
        71,
        &lines(
            "open(/shim/.capshim.*, O_CREAT | O_EXCL): EROFS: Read-only file system",
            "mount a volume there that can be written: Kubernetes: an emptyDir at volumeMounts.mountPath: /shim, without readOnly: true; \
             Docker/Podman: -v VOLUME:/shim",
        ),
    );
    volume.is_untouched();
}

#[test]
fn what_is_no_file_is_not_replaced() {
    let hint = "install to another path; or remove it first";
    let volume = Volume::on_disk();
    fs::create_dir(volume.path("capshim")).expect("a folder");
    let start = || init(&volume).capabilities(&["DAC_OVERRIDE", "SETFCAP"]);
    start().run(&INSTALL).refuses(71, &lines("/shim/capshim is a directory: it is not replaced", hint));
    nix::unistd::mkfifo(&volume.path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    for path in ["/shim/fifo", "/dev/null"] {
        start()
            .run(&["/capshim", "--install", path])
            .refuses(71, &lines(&format!("{path} is no regular file: it is not replaced"), hint));
    }
    assert_eq!(volume.names(), ["capshim", "fifo"]);
    assert_eq!(fs::read_dir(volume.path("capshim")).expect("a folder").count(), 0);
}

#[test]
fn a_single_file_that_is_mounted_cannot_be_replaced() {
    let volume = Volume::on_disk().with_old_file();
    let other = Volume::on_disk().file("mounted", "mounted");
    let start = init(&volume).volume(&other.path("mounted"), "/shim/capshim", &[]);
    start.run(&INSTALL).refuses(
        71,
        &lines(
            "rename(/shim/.capshim.*, /shim/capshim): EBUSY: Device or resource busy",
            "a single file is mounted there: mount its directory /shim instead",
        ),
    );
    volume.is_untouched();
    assert_eq!(other.content("mounted"), b"mounted");
}

#[test]
fn a_file_system_without_file_capabilities_is_named() {
    let volume = Volume::on_disk();
    let start = init(&volume).mount("/ram", "ramfs", "ramfs".as_ref(), &[]);
    let script = "/capshim --install /ram --file-caps ipc_lock; echo $?; ls -A /ram; /capshim --install /ram && ls -A /ram";
    let output = start.run(&["/bin/sh", "-c", script]);
    assert_eq!(
        output.stderr,
        lines(
            "fsetxattr(/ram/.capshim.*, security.capability, IPC_LOCK=p): EOPNOTSUPP: Operation not supported on transport endpoint: \
             the file system at /ram has no file capabilities",
            "use another volume: Kubernetes: emptyDir: {} or emptyDir: {medium: Memory}; Docker/Podman: --tmpfs, or a volume \
             on a local disk"
        )
    );
    assert_eq!(output.stdout, "71\ncapshim: installed /ram/capshim without file capabilities\ncapshim\n");
}

#[test]
fn a_filter_that_forbids_the_attribute_or_fakes_it_is_found_out() {
    let volume = Volume::on_disk().with_old_file();
    init(&volume).no_new_privs().deny("fsetxattr", 1).run(&INSTALL).refuses(
        71,
        &lines(
            "fsetxattr(/shim/.capshim.*, security.capability, IPC_LOCK=p): EPERM: Operation not permitted: SETFCAP is held, but a seccomp \
             filter, a security module or the file system refuses",
            "use the runtime's default profile: Kubernetes: securityContext.seccompProfile.type: RuntimeDefault; Docker/Podman: \
             leave out --security-opt seccomp=FILE; or run it on Linux 4.14 or newer, if in a user namespace; or use another volume: \
             Kubernetes: emptyDir: {} or emptyDir: {medium: Memory}; Docker/Podman: --tmpfs, or a volume on a local disk",
        ),
    );
    let size = fs::metadata(built("capshim")).expect("capshim").len();
    let hint = "a seccomp filter or sandbox reports success for a call that it does not make: use the runtime's default profile: \
                Kubernetes: securityContext.seccompProfile.type: RuntimeDefault; Docker/Podman: leave out --security-opt seccomp=FILE";
    for (call, mode, caps) in
        [("fsetxattr", "0755", "no file capabilities"), ("fchmod", "0600", "IPC_LOCK=p")]
    {
        let cause = format!(
            "the copy for /shim/capshim reads back as {size} bytes, mode {mode}, {caps}; it should be {size} bytes, mode 0755, IPC_LOCK=p"
        );
        init(&volume).no_new_privs().deny(call, 0).run(&INSTALL).refuses(71, &lines(&cause, hint));
    }
    volume.is_untouched();
}

#[test]
fn a_set_user_id_installation_installs_nothing() {
    let volume = Volume::on_disk().with_old_file().owned("", 0, 0, 0o755);
    let start =
        Container::user(1000, 1000).capabilities(&["DAC_OVERRIDE", "SETFCAP"]).mode("/capshim", 0o4755);
    start.volume(volume.folder(), "/shim", &[]).run(&INSTALL).refuses_saying(
        78,
        "started set-user-ID or set-group-ID (real uid 1000 gid 1000, effective uid 0 gid 1000)",
    );
    volume.is_untouched();
}

#[test]
fn what_a_shims_file_permits_is_not_raised_to_write_files() {
    let volume = Volume::on_disk().with_old_file().owned("", 0, 0, 0o755);
    let start = |caps: &str| {
        let start = Container::user(1000, 1000).capabilities(&["DAC_OVERRIDE", "SETFCAP"]);
        start.volume(volume.folder(), "/shim", &[]).file_caps("/capshim", caps)
    };
    let cause = "open(/shim/.capshim.*, O_CREAT | O_EXCL): EACCES: Permission denied";
    start("cap_dac_override,cap_setfcap=p").run(&INSTALL).refuses_saying(71, cause);
    // With the effective bit there would be nothing to raise.
    start("cap_dac_override,cap_setfcap=ep").run(&INSTALL).refuses(
        78,
        &lines(
            "the file capabilities of /capshim are effective: whoever executes it could write files with DAC_OVERRIDE, SETFCAP",
            "to install, start as root: Kubernetes: securityContext.runAsUser: 0, runAsNonRoot: false; Docker/Podman: --user 0; in a \
             Dockerfile: USER 0 before it; and make them permitted only: setcap cap_dac_override,cap_setfcap=p /capshim",
        ),
    );
    volume.is_untouched();
    // What the runtime itself made ambient is this container's to use.
    let granted = ["DAC_OVERRIDE", "SETFCAP"];
    let ambient = Container::user(1000, 1000)
        .capabilities(&granted)
        .set("inheritable", &granted)
        .set("ambient", &granted);
    ambient.volume(volume.folder(), "/shim", &[]).run(&INSTALL).installed(SAID);
    volume.has_the_copy();
}

#[test]
fn a_group_that_the_user_namespace_does_not_map_is_told_apart() {
    // The directory gives its files a group that is not mapped.
    let start = |volume: &Volume| {
        let start = init(volume).capabilities(&["SETFCAP", "SETGID", "SETUID", "SYS_ADMIN"]);
        start.run(&[&["/launch", "--user-namespace", "0 0 1", "--"], &INSTALL[..]].concat())
    };
    let volume = Volume::on_disk().with_old_file().owned("", 0, 2000, 0o2777);
    start(&volume).refuses(
        77,
        &lines(
            "fsetxattr(/shim/.capshim.*, security.capability, IPC_LOCK=p): EPERM: Operation not permitted: SETFCAP is held, but the \
             group that the directory gives its files is not mapped in this user namespace",
            "chmod g-s /shim; or map its group: Kubernetes: hostUsers: true; Docker/Podman: --userns host",
        ),
    );
    volume.is_untouched();
    let volume = volume.owned("", 0, 2000, 0o777);
    start(&volume).installed(SAID);
    volume.has_the_copy();
}
