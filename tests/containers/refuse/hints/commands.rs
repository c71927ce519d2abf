//! Hints on the command: `exec`.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;

use capshim::command::elf;

use crate::harness::container::{Container, find};
use crate::harness::elf::{ELSEWHERE, HERE, header};
use crate::harness::start::Start;
use crate::refuse::hints::{
    GROUPS, STATE, Way::*, as_app, exactly, lock, performs, with_lock, without_no_new_privs,
};

/// The same for another command, in an image prepared for it.
fn image(command: &'static str, prepare: fn(Container) -> Container) -> impl Fn() -> Start {
    move || lock().with(prepare).command(&["/capshim", command])
}

const STATE_BY_PATH: [fn(Start) -> Start; 1] = [|start| start.command(&STATE)];

const STATIC_ENV: [fn(Start) -> Start; 1] =
    [|start| start.with(|image| image.without("/usr/bin/env").copy("/bin/busybox", "/usr/bin/env"))];

/// A script that is right.
const SCRIPT: &str = "#!/bin/sh\n/state\n";

/// An executable file.
fn program(container: Container, path: &str, content: impl AsRef<[u8]>) -> Container {
    container.file(path, content).mode(path, 0o755)
}

#[test]
fn a_command_is_named_so_that_it_is_found() {
    let by_name: [fn(Start) -> Start; 1] =
        [|start| start.with(|image| image.copy("/state", "/bin/tool")).command(&["/capshim", "tool"])];
    for missing in ["/nosuch", "/state/x", "./nosuch"] {
        performs(
            "command/search::search",
            image(missing, |image| image),
            &[
                ByHand("the path of a program that is in the image", &STATE_BY_PATH, &with_lock),
                ByHand("its name alone", &by_name, &with_lock),
            ],
        );
    }
    performs(
        "command/search::search 2",
        image("stat", |image| image),
        &[
            ByHand("check the spelling", &by_name, &with_lock),
            ByHand("its whole path", &STATE_BY_PATH, &with_lock),
        ],
    );
    performs(
        "command/explain::with_access",
        image("/etc", |image| image),
        &[ByHand("name the program", &STATE_BY_PATH, &with_lock)],
    );
    performs(
        "command/explain::with_access 3",
        image("/dev/null", |image| image),
        &[ByHand("name a program", &STATE_BY_PATH, &with_lock)],
    );
}

#[test]
fn a_command_may_be_executed_and_its_folders_searched() {
    let tool = |container: Container| container.copy("/state", "/a/b/tool");
    let closed: [fn(Container) -> Container; 5] = [
        |image| image.mode("/a/b", 0o700),
        |image| image.mode("/a", 0o700),
        |image| image.mode("/", 0o700),
        // Through links to a file and to a folder, of which the target is closed.
        |image| {
            symlink("../a/b/tool", image.path("/bin/tool")).expect("a link");
            image.mode("/a", 0o700)
        },
        |image| {
            symlink("/a/b", image.path("/links")).expect("a link");
            image.mode("/a/b", 0o700)
        },
    ];
    for (command, close) in
        ["/a/b/tool", "/a/b/tool", "/a/b/tool", "/bin/tool", "/links/tool"].into_iter().zip(closed)
    {
        let start = || lock().with(tool).with(close).command(&["/capshim", command]);
        performs("command/explain::with_access 2", start, &[Typed(&with_lock)]);
    }
    performs(
        "command/explain::with_access 5",
        image("/state", |image| image.mode("/state", 0o644)),
        &[Typed(&with_lock)],
    );
    // The interpreter of a script, and a link.
    let script = image("/script", |image| {
        program(image.copy("/bin/busybox", "/a/sh").mode("/a/sh", 0o600), "/script", "#!/a/sh\n/state\n")
    });
    performs("command/explain::with_access 5", script, &[Typed(&with_lock)]);
    // An interpreter that is a script itself: the kernel does not come to the next one.
    let between = image("/script", |image| {
        let image = program(image, "/inner", "#!/bin/sh\nexec /state\n").mode("/inner", 0o644);
        program(image, "/script", "#!/inner\n")
    });
    performs("command/explain::with_access 5", between, &[Typed(&with_lock)]);
    let link = image("/bin/tool", |image| {
        symlink("/state", image.path("/bin/tool")).expect("a link");
        image.mode("/state", 0o640)
    });
    performs("command/explain::with_access 5", link, &[Typed(&with_lock)]);
    let noexec = image("/noexec/state", |image| {
        image.copy("/state", "/shared/state").bind("/shared", "/noexec", &["noexec"])
    });
    performs(
        "command/explain::with_access 4",
        noexec,
        &[
            ByHand("run a copy that is in the image", &STATE_BY_PATH, &with_lock),
            ByHand(
                "mount its folder without noexec",
                &[|start| {
                    start.with(|container| {
                        container.configured(|config| {
                            let mounts = config["mounts"].as_array_mut().expect("mounts");
                            mounts.last_mut().expect("a mount")["options"] = vec!["bind"].into();
                        })
                    })
                }],
                &with_lock,
            ),
        ],
    );
}

#[test]
fn a_script_has_an_interpreter() {
    let text = |content: &'static str| {
        move || lock().with(|image| program(image, "/script", content)).command(&["/capshim", "/script"])
    };
    performs("command/explain::explain", text("#!/bin/sh\r\n/state\r\n"), &[Typed(&with_lock)]);
    let right: [fn(Start) -> Start; 1] = [|start| start.with(|image| program(image, "/script", SCRIPT))];
    performs(
        "command/explain::explain 2",
        text("#!/usr/bin/ash\n/state\n"),
        &[
            ByHand(
                "install the interpreter in the image",
                &[|start| start.with(|image| image.copy("/bin/busybox", "/usr/bin/ash"))],
                &with_lock,
            ),
            ByHand("correct the first line of /script", &right, &with_lock),
        ],
    );
    let chain = image("/s5", |image| {
        let image = program(image, "/s0", SCRIPT);
        (1..=5).fold(image, |image, i| program(image, &format!("/s{i}"), format!("#!/s{}\n", i - 1)))
    });
    performs(
        "command/explain::explain 3",
        chain,
        &[ByHand(
            "name a program in the first line of /s5",
            &[|start| start.with(|image| program(image, "/s5", SCRIPT))],
            &with_lock,
        )],
    );
    performs("command/explain::explain_format", text("#!\n/state\n"), &[Typed(&with_lock)]);
    performs("command/explain::explain_format 7", text("/state\n"), &[Typed(&with_lock), Typed(&with_lock)]);
    // What cannot be read only exec itself finds wrong, so that a check does not tell.
    let unreadable = || {
        let start = text("/state\n")().with(|image| image.mode("/script", 0o711));
        start.env("CAPSHIM_CAPS", "none").command(&["/launch", "--", "/capshim", "/script"])
    };
    performs("command/explain::explain_format 5", unreadable, &[Typed(&as_app)]);
    let inner = || {
        let inner = |image| program(image, "/inner", "/state\n");
        text("#!/inner\n")().with(inner)
    };
    performs("command/explain::explain_format 6", inner, &[Typed(&with_lock)]);
}

#[test]
fn what_decides_the_capabilities_can_be_read() {
    for command in ["/script", "/outer"] {
        let closed = || {
            let script = |image| program(image, "/script", SCRIPT).mode("/script", 0o711);
            lock().with(script).with(|image| program(image, "/outer", "#!/script\n"))
        };
        let start = || closed().command(&["/capshim", command]);
        performs("command/refusals::unknown_file", start, &[Typed(&with_lock)]);
    }
    let off = || {
        let start = lock().with(|image| image.mode("/state", 0o711)).env("CAPSHIM_CAPS", "none");
        start.env("CAPSHIM_NO_NEW_PRIVS", "0")
    };
    let ways = [Typed(&without_no_new_privs(1000, GROUPS, "none")), Typed(&as_app)];
    performs("command/refusals::unknown_file", off, &ways);
}

#[test]
fn a_loader_can_be_executed() {
    let env = find("env").expect("env");
    let program = CString::new(env.to_str().expect("text")).expect("a path");
    let loader = String::from_utf8(elf::loader(&program).expect("a loader")).expect("text");
    let closed = || {
        let image = lock().with(|image| image.import_program(&env).mode(&loader, 0o644));
        image.command(&["/capshim", env.to_str().expect("text"), "/state"])
    };
    closed().run().refuses_saying(126, "EACCES: Permission denied: it needs the loader /");
    closed().run().refuses_saying(126, ", which cannot be executed");
    performs("command/explain::with_access 5", closed, &[Typed(&with_lock)]);
}

#[test]
fn a_user_may_have_another_process() {
    // A uid that no other process has: the limit counts all of a user's.
    let limited = || {
        let start = lock().env("CAPSHIM_USER", "48152:48152");
        let start = start.with(|container| container.most_processes(0));
        // It counts where there is another process already.
        let script = "/bin/busybox mkfifo /tmp/up; /capshim /bin/sh -c 'echo up; kill -STOP $$' >/tmp/up & \
                      read up </tmp/up; exec /capshim /state";
        start.command(&["/bin/sh", "-c", script])
    };
    let said = "EAGAIN: Try again: its user has as many processes as the limit allows";
    limited().run().refuses_saying(126, said);
    performs("command/explain::explain 4", limited, &[Typed(&exactly(48_152, 48_152, "48152", "IPC_LOCK"))]);
}

#[test]
fn a_program_is_whole_and_for_this_machine() {
    let whole: [fn(Start) -> Start; 1] = [|start| {
        start.with(|image| {
            let state = fs::read(image.path("/state")).expect("a program");
            program(image, "/program", state)
        })
    }];
    performs(
        "command/explain::explain_format 2",
        image("/program", |image| program(image, "/program", header(ELSEWHERE))),
        &[ByHand("for this node's architecture", &whole, &with_lock)],
    );
    performs(
        "command/explain::explain_format 3",
        image("/program", |image| program(image, "/program", header(HERE))),
        &[ByHand("put the whole program into the image", &whole, &with_lock)],
    );
    performs(
        "command/explain::explain_format 4",
        image("/program", |image| program(image, "/program", "")),
        &[ByHand("put the whole program into the image", &whole, &with_lock)],
    );
    // env of this machine, linked to its libc; it executes /state.
    let dynamic = || {
        let env = fs::read(find("env").expect("env")).expect("a program");
        lock().with(|image| program(image.folder("/usr/bin"), "/usr/bin/env", env)).command(&[
            "/capshim",
            "/usr/bin/env",
            "/state",
        ])
    };
    performs(
        "command/explain::explain_missing_loader",
        dynamic,
        &[
            ByHand(
                "use an image that has it",
                &[|start| start.with(|image| image.import_program(&find("env").expect("env")))],
                &with_lock,
            ),
            ByHand("link the program statically", &STATIC_ENV, &with_lock),
        ],
    );
    let unfit = || {
        let loader = CString::new(find("env").expect("env").to_str().expect("text")).expect("a path");
        let loader = String::from_utf8(elf::loader(&loader).expect("a loader")).expect("text");
        let image = lock().with(|image| image.import_program(&find("env").expect("env")));
        image.with(|image| program(image, &loader, "cut off")).command(&[
            "/capshim",
            "/usr/bin/env",
            "/state",
        ])
    };
    performs(
        "command/explain::explain 5",
        unfit,
        &[
            ByHand(
                "put the loader that the program was linked for into the image",
                &[|start| start.with(|image| image.import_program(&find("env").expect("env")))],
                &with_lock,
            ),
            ByHand("link the program statically", &STATIC_ENV, &with_lock),
        ],
    );
}
