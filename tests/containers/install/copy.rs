//! `--install`: the copy that it makes, whatever was there and however it was started.
//!
//! What the copy is good for is in `nonroot`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::harness::container::{Container, built, find};
use crate::harness::install::{INSTALL, SAID, init, root};
use crate::harness::volume::Volume;

#[test]
fn a_copy_carries_what_was_asked_for_as_permitted_alone() {
    for volume in [Volume::on_disk(), Volume::in_memory("size=1m"), Volume::on_disk().with_old_file()] {
        init(&volume).run(&INSTALL).installed(SAID);
        volume.has_the_copy();
    }
    let volume = Volume::on_disk();
    let list = "CAP_NET_RAW, ipc_lock checkpoint_restore";
    let output = init(&volume).run(&["/capshim", "--install", "/shim/x", "--file-caps", list]);
    output.installed("capshim: installed /shim/x with NET_RAW, IPC_LOCK, CHECKPOINT_RESTORE=p\n");
    volume.has_copy_at("x", "cap_net_raw,cap_ipc_lock,cap_checkpoint_restore=p");
}

#[test]
fn what_can_be_turned_into_root_is_told() {
    let volume = Volume::on_disk();
    let output = init(&volume).run(&["/capshim", "--install", "/shim", "--file-caps", "ipc_lock,sys_ptrace"]);
    assert_eq!(output.stdout, "capshim: installed /shim/capshim with IPC_LOCK, SYS_PTRACE=p\n");
    let info = "capshim: info: whoever may execute the copy can turn SYS_PTRACE into root in the container or on the node\n";
    assert_eq!((output.stderr.as_str(), output.code), (info, 0));
}

#[test]
fn a_plain_copy_needs_no_capability_and_has_none() {
    let volume = Volume::on_disk();
    init(&volume).run(&INSTALL).installed(SAID);
    let plain = "capshim: installed /shim/capshim without file capabilities\n";
    // The file that carries some may be what is copied, and what is replaced.
    let user = Container::user(1000, 1000).volume(volume.folder(), "/shim", &[]);
    user.run(&["/shim/capshim", "--install", "/shim/"]).installed(plain);
    volume.has_copy_at("capshim", "");
    assert_eq!(fs::metadata(volume.path("capshim")).expect("a copy").uid(), 1000);
    root(&volume).run(&["/capshim", "--install", "/shim/capshim"]).installed(plain);
    volume.has_copy_at("capshim", "");
}

#[test]
fn the_installed_copy_tells_what_it_carries() {
    let volume = Volume::on_disk();
    init(&volume).run(&INSTALL).installed(SAID);
    let report = root(&volume).run(&["/shim/capshim", "--check"]).stdout;
    assert!(report.contains("\n  this program          /shim/capshim: IPC_LOCK=p\n"), "{report}");
}

#[test]
fn a_directory_takes_the_copy_and_a_symbolic_link_to_a_file_is_replaced_itself() {
    let in_folder = "with IPC_LOCK=p";
    for (path, said, name) in [
        ("/shim/", "/shim/capshim", "capshim"),
        ("/shim/.", "/shim/./capshim", "capshim"),
        ("/shim/folder", "/shim/folder/capshim", "folder/capshim"),
        ("/shim/link-to-folder", "/shim/link-to-folder/capshim", "folder/capshim"),
        ("/shim/link-to-file", "/shim/link-to-file", "link-to-file"),
        ("/shim/dangling", "/shim/dangling", "dangling"),
        ("/shim/loop", "/shim/loop", "loop"),
        ("folder/shim", "folder/shim", "folder/shim"),
        ("shim", "./shim", "shim"),
    ] {
        let volume = Volume::on_disk().file("file", "precious");
        fs::create_dir(volume.path("folder")).expect("a folder");
        for (to, link) in
            [("folder", "link-to-folder"), ("file", "link-to-file"), ("none", "dangling"), ("loop", "loop")]
        {
            symlink(to, volume.path(link)).expect("a link");
        }
        let output =
            init(&volume).cwd("/shim").run(&["/capshim", "--install", path, "--file-caps", "ipc_lock"]);
        output.installed(&format!("capshim: installed {said} {in_folder}\n"));
        volume.has_copy_at(name, "cap_ipc_lock=p");
        assert_eq!(volume.content("file"), b"precious");
        assert!(!volume.path("none").exists());
    }
}

#[test]
fn a_program_that_runs_can_be_replaced_this_one_too() {
    let busybox = fs::read(find("busybox").expect("busybox")).expect("busybox");
    let volume = Volume::on_disk().file("sh", &busybox).owned("sh", 0, 0, 0o755);
    let script = "/capshim --install /shim/sh --file-caps ipc_lock && /shim/sh --version";
    init(&volume).run(&["/shim/sh", "-c", script]).installed(&format!(
        "capshim: installed /shim/sh with IPC_LOCK=p\ncapshim {}\n",
        env!("CARGO_PKG_VERSION")
    ));
    volume.has_copy_at("sh", "cap_ipc_lock=p");
    init(&volume)
        .run(&["/shim/sh", "--install", "/shim/sh", "--file-caps", "net_raw"])
        .installed("capshim: installed /shim/sh with NET_RAW=p\n");
    volume.has_copy_at("sh", "cap_net_raw=p");
    // As RUN in a Dockerfile does it.
    let image = Container::user(0, 0).capabilities(&["DAC_OVERRIDE", "SETFCAP"]);
    let script = "/capshim --install /capshim --file-caps ipc_lock && /capshim --check";
    let output = image.run(&["/bin/sh", "-c", script]);
    assert!(output.stdout.starts_with("capshim: installed /capshim with IPC_LOCK=p\n"), "{}", output.stderr);
    assert!(output.stdout.contains("/capshim: IPC_LOCK=p\n"), "{}", output.stdout);
}

#[test]
fn a_program_in_an_images_layer_is_replaced_by_a_copy_above_it() {
    let layers = Volume::in_memory("size=2m");
    for folder in ["lower", "upper", "work"] {
        fs::create_dir(layers.path(folder)).expect("a folder");
    }
    fs::copy(built("capshim"), layers.path("lower/capshim")).expect("a copy");
    let image = layers.layered();
    init(&image)
        .run(&["/shim/capshim", "--install", "/shim/capshim", "--file-caps", "ipc_lock"])
        .installed(SAID);
    image.has_the_copy();
    layers.has_copy_at("lower/capshim", "");
    layers.has_copy_at("upper/capshim", "cap_ipc_lock=p");
}

#[test]
fn it_copies_itself_however_it_was_started() {
    for script in [
        "cp /capshim /tmp/it && ln -s it /tmp/link && exec /tmp/link",
        "cp /capshim /tmp/it && PATH=/tmp && exec it",
        "cp /capshim /tmp/it && cd /tmp && exec ./it",
        "exec /launch --deleted -- /capshim",
    ] {
        let volume = Volume::on_disk();
        let image = Container::user(0, 0).capabilities(&["DAC_OVERRIDE", "SETFCAP"]).volume(
            volume.folder(),
            "/shim",
            &[],
        );
        let script = format!("{script} --install /shim --file-caps ipc_lock");
        image.run(&["/bin/sh", "-c", &script]).installed(SAID);
        volume.has_the_copy();
    }
}

#[test]
fn an_image_with_nothing_in_it_will_do() {
    // No shell, no /etc, no /tmp, and no /proc.
    let volume = Volume::on_disk();
    let image =
        Container::user(0, 0).capabilities(&["SETFCAP", "SYS_CHROOT"]).copy("/capshim", "/scratch/capshim");
    let image = image.read_only().volume(volume.folder(), "/scratch/shim", &[]);
    image.run(&[&["/bin/busybox", "chroot", "/scratch"], &INSTALL[..]].concat()).installed(SAID);
    volume.has_the_copy();
}

#[test]
fn it_copies_itself_and_not_the_script_that_names_it() {
    // The kernel executes `/capshim --install /shim/x --file-caps ipc_lock`.
    let script = ["/shim/x", "--file-caps", "ipc_lock"];
    for (root, before) in [("", &[][..]), ("/without-proc", &["/bin/busybox", "chroot", "/without-proc"])] {
        let volume = Volume::on_disk().file("x", "#!/capshim --install\n").owned("x", 0, 0, 0o755);
        let image = Container::user(0, 0).capabilities(&["SETFCAP", "SYS_CHROOT"]);
        let image = image.copy("/capshim", "/without-proc/capshim");
        let image = image.volume(volume.folder(), &format!("{root}/shim"), &[]);
        let output = image.run(&[before, &script].concat());
        output.installed("capshim: installed /shim/x with IPC_LOCK=p\n");
        volume.has_copy_at("x", "cap_ipc_lock=p");
    }
}

#[test]
fn the_mode_is_the_same_under_every_umask_and_in_every_directory() {
    for mask in ["0777", "077", "0"] {
        let volume = Volume::on_disk().owned("", 0, 2000, 0o2777);
        init(&volume)
            .run(&["/bin/sh", "-c", &format!("umask {mask}; {}", INSTALL.join(" "))])
            .installed(SAID);
        volume.has_the_copy();
        assert_eq!(fs::metadata(volume.path("capshim")).expect("a copy").gid(), 2000);
    }
}

#[test]
fn a_mount_on_which_the_copy_would_not_count_is_warned_about() {
    let where_it_runs = |option: &str| format!("mount it without {option} where the copy is to run\n");
    let nosuid = format!(
        "capshim: warning: /shim is on a nosuid mount here, where file capabilities do not count: {}",
        where_it_runs("nosuid")
    );
    let noexec = format!(
        "capshim: warning: /shim is on a noexec mount here, where nothing can be executed: {}",
        where_it_runs("noexec")
    );
    for (options, said) in [
        (&["nosuid"][..], nosuid.clone()),
        (&["noexec"], noexec.clone()),
        (&["nosuid", "noexec"], nosuid + &noexec),
    ] {
        let volume = Volume::on_disk();
        let start =
            Container::user(0, 0).capabilities(&["SETFCAP"]).volume(volume.folder(), "/shim", options);
        let output = start.run(&INSTALL);
        assert_eq!((output.stderr.as_str(), output.stdout.as_str(), output.code), (said.as_str(), SAID, 0));
        volume.has_the_copy();
        let start = Container::user(0, 0).volume(volume.folder(), "/shim", options);
        let plain = start.run(&["/capshim", "--install", "/shim"]);
        assert_eq!(
            (plain.stderr.contains("noexec"), plain.stderr.contains("nosuid")),
            (said.contains("noexec"), false)
        );
    }
}

#[test]
fn in_a_user_namespace_the_copy_belongs_to_its_root() {
    for volume in [Volume::on_disk(), Volume::in_memory("size=1m")] {
        init(&volume).user_namespace(100_000, 65_536).run(&INSTALL).installed(SAID);
        assert_eq!(volume.names(), ["capshim"]);
        volume.has_copy_at("capshim", "cap_ipc_lock=p [rootid=100000]");
        assert_eq!(fs::metadata(volume.path("capshim")).expect("a copy").uid(), 100_000);
    }
}
