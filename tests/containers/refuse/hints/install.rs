//! Hints on an installation: `install_error`, and `cli` on its words.

use std::cell::RefCell;
use std::fs;

use serde_json::Value;

use crate::harness::container::{Container, Output, find};
use crate::harness::install::{INSTALL, SAID, init, root};
use crate::harness::perform::unfiltered;
use crate::harness::race::{crowded, outrun, placed};
use crate::harness::start::Start;
use crate::harness::volume::Volume;
use crate::refuse::hints::{Way::*, performs};

fn installed(output: &Output) {
    output.installed(SAID);
}

/// Every start has a volume of its own, at /shim.
fn fresh(volume: fn() -> Volume, container: fn(&Volume) -> Container) -> impl Fn() -> Start {
    let volumes = RefCell::new(Vec::new());
    move || {
        let volume = volume();
        let start = Start::new(container(&volume), &INSTALL);
        volumes.borrow_mut().push(volume);
        start
    }
}

/// The same with another command.
fn told<F: Fn() -> Start>(command: &[&str], start: F) -> impl Fn() -> Start + use<F> {
    let command: Vec<String> = command.iter().map(|word| word.to_string()).collect();
    move || Start { command: command.clone(), ..start() }
}

fn user(volume: &Volume) -> Container {
    Container::user(1000, 1000).volume(volume.folder(), "/shim", &[])
}

/// What a runtime mounts.
fn mounts(start: Start, change: fn(&mut Vec<Value>)) -> Start {
    let change = |config: &mut Value| change(config["mounts"].as_array_mut().expect("mounts"));
    start.with(|container| container.configured(change))
}

const ELSEWHERE: [fn(Start) -> Start; 1] = [|start| start.command(&INSTALL)];

/// Another volume in its place.
const IN_MEMORY: [fn(Start) -> Start; 1] =
    [|start| start.with(|container| container.mount("/shim", "tmpfs", "tmpfs".as_ref(), &["size=1m"]))];

#[test]
fn an_install_has_a_path_and_a_list() {
    let with =
        |words: &[&str]| told(&[&["/capshim", "--install"], words].concat(), fresh(Volume::on_disk, init));
    // The words of the hint itself.
    const EXAMPLE: [fn(Start) -> Start; 1] =
        [|start| start.command(&["/capshim", "--install", "/shim/capshim", "--file-caps", "ipc_lock"])];
    for words in [&[][..], &["--file-caps", "ipc_lock"], &["/x", "/y"], &["/x", "--file-caps"]] {
        let example = "capshim --install /shim/capshim --file-caps ipc_lock";
        performs("settings/arguments::install", with(words), &[ByHand(example, &EXAMPLE, &installed)]);
    }
    let script = "exec /capshim --install /shim --file-caps $(printf '\\377')";
    let bytes = told(&["/bin/sh", "-c", script], fresh(Volume::on_disk, init));
    performs(
        "settings/arguments::file_caps",
        bytes,
        &[ByHand("--file-caps ipc_lock", &ELSEWHERE, &installed)],
    );
    let optional = with(&["/shim", "--file-caps", "ipc_lock?"]);
    let without = [ByHand("write it without the question mark", &ELSEWHERE, &installed)];
    performs("settings/arguments::file_caps 2", optional, &without);
    let plain: [fn(Start) -> Start; 1] = [|start| start.command(&INSTALL[..3])];
    performs(
        "settings/arguments::file_caps 3",
        with(&["/shim", "--file-caps", "none"]),
        &[ByHand("leave --file-caps out for a plain copy", &plain, &|output| {
            output.installed("capshim: installed /shim/capshim without file capabilities\n");
        })],
    );
    let means = with(&["/shim", "--file-caps", "ipc_lock,setuid"]);
    performs(
        "settings/arguments::file_caps 4",
        means,
        &[ByHand("list what the application needs", &ELSEWHERE, &installed)],
    );
}

#[test]
fn there_is_a_directory_that_can_be_written() {
    let below = ["/capshim", "--install", "/shim/a/b/capshim", "--file-caps", "ipc_lock"];
    let below = told(&below, fresh(Volume::on_disk, init));
    let there = |output: &Output| output.installed("capshim: installed /shim/a/b/capshim with IPC_LOCK=p\n");
    performs(
        "install/refusals::failed",
        below,
        &[
            Typed(&there),
            Typed(&there),
            ByHand(
                "mount a volume there",
                &[|start| {
                    start.with(|container| container.mount("/shim/a/b", "tmpfs", "tmpfs".as_ref(), &[]))
                }],
                &there,
            ),
        ],
    );
    let file = fresh(|| Volume::on_disk().file("file", ""), init);
    let through = told(&["/capshim", "--install", "/shim/file/capshim"], file);
    let another = [ByHand("install to another path", &ELSEWHERE, &installed)];
    performs("install/refusals::failed 2", through, &another);
    let read_only = |volume: &Volume| init(volume).volume(volume.folder(), "/shim", &["ro"]);
    performs(
        "install/refusals::failed 3",
        fresh(Volume::on_disk, read_only),
        &[ByHand(
            "without readOnly: true",
            &[|start| {
                mounts(start, |mounts| mounts.last_mut().expect("a mount")["options"] = vec!["bind"].into())
            }],
            &installed,
        )],
    );
    let full = fresh(|| Volume::in_memory("size=64k"), init);
    performs("install/refusals::failed 4", full, &[ByHand("make room for the copy", &IN_MEMORY, &installed)]);
    let script = format!("ulimit -f 20; exec {}", INSTALL.join(" "));
    let limited = told(&["/bin/sh", "-c", &script], fresh(Volume::on_disk, init));
    let raised = [ByHand("raise the limit on the size of files", &ELSEWHERE, &installed)];
    performs("install/refusals::failed 5", limited, &raised);
    let single = |volume: &Volume| init(volume).volume(&volume.path("capshim"), "/shim/capshim", &[]);
    performs(
        "install/refusals::failed 6",
        fresh(|| Volume::on_disk().with_old_file(), single),
        &[ByHand(
            "mount its directory /shim instead",
            &[|start| mounts(start, |mounts| drop(mounts.pop()))],
            &installed,
        )],
    );
}

#[test]
fn who_installs_may_write_the_file_and_its_capabilities() {
    let roots = || Volume::on_disk().owned("", 0, 0, 0o755);
    let users = || Volume::on_disk().owned("", 1000, 1000, 0o755);
    for start in [fresh(roots, user), fresh(users, root), fresh(users, init)] {
        performs("install/refusals::failed 7", start, &[Typed(&installed)]);
    }
    for start in [fresh(Volume::on_disk, root), fresh(Volume::on_disk, user)] {
        performs("install/refusals::caps_refused", start, &[Typed(&installed)]);
    }
    let effective = |volume: &Volume| {
        user(volume).capabilities(&["DAC_OVERRIDE"]).file_caps("/capshim", "cap_dac_override=ep")
    };
    let plain = told(&INSTALL[..3], fresh(roots, effective));
    performs(
        "install/refusals::effective_file",
        plain,
        &[Typed(&|output| {
            output.installed("capshim: installed /shim/capshim without file capabilities\n");
        })],
    );
}

#[test]
fn a_volume_can_have_file_capabilities() {
    let of_group = || Volume::on_disk().owned("", 0, 2000, 0o2777);
    let mapped = |volume: &Volume| init(volume).user_namespace(100_000, 1000);
    performs(
        "install/refusals::caps_refused 2",
        fresh(of_group, mapped),
        &[Typed(&installed), Typed(&installed)],
    );
    let filtered = |volume: &Volume| init(volume).no_new_privs().deny("fsetxattr", libc::EPERM);
    // An older kernel or another security module cannot be had here: the filter stands in.
    let elsewhere: [fn(Start) -> Start; 1] = [|start| start.with(unfiltered)];
    performs(
        "install/refusals::caps_refused 3",
        fresh(Volume::on_disk, filtered),
        &[
            Typed(&installed),
            ByHand("Linux 4.14 or newer", &elsewhere, &installed),
            ByHand("use another volume", &elsewhere, &installed),
        ],
    );
    let ramfs = |volume: &Volume| init(volume).mount("/shim", "ramfs", "ramfs".as_ref(), &[]);
    let another = [ByHand("use another volume", &IN_MEMORY, &installed)];
    performs("install/refusals::caps_refused 5", fresh(Volume::on_disk, ramfs), &another);
    // A ramfs and a filter stand in for a sandbox that knows neither, as some releases of gVisor.
    let sandbox = |volume: &Volume| {
        let ramfs = init(volume).mount("/shim", "ramfs", "ramfs".as_ref(), &[]);
        ramfs.no_new_privs().deny_prctl(47, libc::EINVAL)
    };
    let node: [fn(Start) -> Start; 1] = [|start| IN_MEMORY[0](start.with(unfiltered))];
    performs(
        "install/refusals::caps_refused 4",
        fresh(Volume::on_disk, sandbox),
        &[ByHand("without that sandbox: Kubernetes: runtimeClassName", &node, &installed)],
    );
}

#[test]
fn a_volume_can_have_modes() {
    // As on SMB and the like, whose modes come from the mount's options.
    let fixed = || Volume::with_modes_of_its_own("a=rwX");
    performs(
        "install/refusals::mode_differs",
        fresh(fixed, init),
        &[ByHand("use another volume", &IN_MEMORY, &installed)],
    );
}

#[test]
fn what_is_in_the_way_goes() {
    let taken = || {
        let volume = Volume::on_disk();
        fs::create_dir(volume.path("capshim")).expect("a folder");
        volume
    };
    performs(
        "install/refusals::in_the_way",
        fresh(taken, init),
        &[
            ByHand(
                "install to another path",
                &[|start| {
                    start.command(&["/capshim", "--install", "/shim/other", "--file-caps", "ipc_lock"])
                }],
                &|output| output.installed("capshim: installed /shim/other with IPC_LOCK=p\n"),
            ),
            ByHand(
                "remove it first",
                &[|start| {
                    fs::remove_dir(start.container.path_in_volume("/shim/capshim")).expect("rmdir");
                    start
                }],
                &installed,
            ),
        ],
    );
    // strace makes the removal of the temporary file fail, too.
    let tampered = |volume: &Volume| init(volume).import_program(&find("strace").expect("strace"));
    let strace = find("strace").expect("strace");
    let faults = ["-e", "inject=fchmod:error=EIO", "-e", "inject=unlinkat:error=EPERM", "-o", "/dev/null"];
    let struck = [&[strace.to_str().expect("a path")], &faults[..], &INSTALL].concat();
    let struck = told(&struck, fresh(Volume::on_disk, tampered));
    performs(
        "install/refusals::left_behind",
        struck,
        &[ByHand("rm /shim/.capshim.", &ELSEWHERE, &installed)],
    );
}

#[test]
fn nobody_else_may_write_where_the_copy_goes() {
    let shared = || Volume::on_disk().file("mine", "").owned("mine", 1000, 1000, 0o755);
    let script = outrun("/shim", "delay_exit", &placed("/shim/capshim"), "mv -f /shim/mine /shim/capshim");
    let replaced = told(&["/bin/sh", "-c", &script], fresh(shared, crowded));
    performs("install/refusals::taken", replaced, &[Typed(&installed)]);
    // The folder itself is root's, and is exchanged.
    let nested = || {
        let volume = Volume::on_disk();
        fs::create_dir(volume.path("sub")).expect("a folder");
        volume
    };
    let path = "/shim/sub/capshim";
    let exchange = "mv /shim/sub /shim/old; mkdir /shim/sub; cp /state /shim/sub/capshim";
    let script = outrun(path, "delay_exit", &placed(path), exchange);
    let elsewhere: [fn(Start) -> Start; 1] = [|start| {
        let roots = |image: Container| image.mount("/safe", "tmpfs", "tmpfs".as_ref(), &["mode=755"]);
        start.with(roots).command(&["/capshim", "--install", "/safe", "--file-caps", "ipc_lock"])
    }];
    let said = "capshim: installed /safe/capshim with IPC_LOCK=p\n";
    performs(
        "install/refusals::taken 2",
        told(&["/bin/sh", "-c", &script], fresh(nested, crowded)),
        &[ByHand("to a path of whose folders nobody else may write any", &elsewhere, &|output| {
            output.installed(said);
        })],
    );
}
