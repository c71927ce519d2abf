//! Hints on settings and command lines: `config`, `cli`, and `report` without settings.

use crate::harness::container::Container;
use crate::harness::start::Start;
use crate::refuse::hints::names::USERS;
use crate::refuse::hints::{GROUPS, STATE, Way::*, app, as_app, caps, exactly, granted, performs, with_lock};

/// The value as it was meant.
const LOCK: [fn(Start) -> Start; 1] = [|start| start.env("CAPSHIM_CAPS", "ipc_lock")];

#[test]
fn what_was_forgotten_is_set() {
    // A check without settings only reports: see below.
    let unchecked = || granted().command(&["/launch", "--", "/capshim", "/state"]);
    performs("settings::parse", unchecked, &[Typed(&with_lock)]);
    // A shim before this one has removed its own settings.
    let again = || app().command(&["/launch", "--", "/capshim", "/bin/sh", "-c", "exec /capshim /state"]);
    performs(
        "settings::parse",
        again,
        &[ByHand(
            "a capshim that ran before in this container has removed its own",
            &[|start| {
                let script = "CAPSHIM_CAPS=none exec /capshim /state";
                start.command(&["/launch", "--", "/capshim", "/bin/sh", "-c", script])
            }],
            &as_app,
        )],
    );
    performs(
        "check/report::nothing_set",
        || granted().command(&["/capshim", "--check"]),
        &[ByHand(
            "set CAPSHIM_USER and CAPSHIM_CAPS",
            &[|start| start.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock")],
            &|output| {
                let would =
                    output.stdout.contains("\n  an application would start, if it can be executed, with\n");
                assert!(output.code == 0 && would, "{}", output.stdout);
            },
        )],
    );
}

#[test]
fn an_empty_value_is_written_or_left_out() {
    performs(
        "settings/values::empty",
        || granted().env("CAPSHIM_USER", ""),
        &[ByHand("write user, uid, user:group or uid:gid", &USERS, &exactly(1000, 1000, "1000", "none"))],
    );
    performs(
        "settings/values::empty 2",
        caps(""),
        &[ByHand("write a list", &LOCK, &with_lock), Typed(&as_app)],
    );
    for setting in ["CAPSHIM_GROUPS", "CAPSHIM_NO_NEW_PRIVS", "CAPSHIM_LOG"] {
        let values: [fn(Start) -> Start; 1] = [|start| {
            start.env("CAPSHIM_GROUPS", "auto").env("CAPSHIM_NO_NEW_PRIVS", "1").env("CAPSHIM_LOG", "quiet")
        }];
        let left_out: [fn(Start) -> Start; 1] = [|start| {
            start.with(|container| {
                let names = ["CAPSHIM_GROUPS", "CAPSHIM_NO_NEW_PRIVS", "CAPSHIM_LOG"];
                names.into_iter().fold(container, Container::without_env)
            })
        }];
        performs(
            "settings/values::empty 3",
            || app().env(setting, ""),
            &[
                ByHand("write a value", &values, &as_app),
                ByHand("leave the variable out", &left_out, &as_app),
            ],
        );
    }
}

#[test]
fn a_mangled_value_is_written_as_it_was_meant() {
    let by_hand = |words| [ByHand(words, &LOCK, &with_lock)];
    performs("settings/values::text", caps("ipc_lock\r"), &by_hand("Windows line ends: convert it"));
    performs("settings/values::text 2", caps("ipc_lock\n"), &by_hand("write the value on one line"));
    performs("settings/values::text 3", caps("\"ipc_lock\""), &by_hand("write the value without them"));
    performs(
        "settings/values::text 4",
        caps("{{ .Values.caps }}"),
        &[
            ByHand("write the value itself", &LOCK, &with_lock),
            ByHand("render the template", &LOCK, &with_lock),
        ],
    );
    performs("settings/values::text 5", caps("[\"ipc_lock\"]"), &by_hand("write plain words"));
    performs("settings/values::text 6", caps("$(CAPS)"), &by_hand("write the value itself"));
    performs("settings/values::text 7", caps("ipc\tlock"), &by_hand("write the value again by hand"));
    // No runtime's configuration can hold these bytes; a shell can.
    let script = "CAPSHIM_CAPS=$(printf 'ipc_lock\\377') exec /capshim /state";
    let bytes = || app().command(&["/bin/sh", "-c", script]);
    performs(
        "settings/values::text 8",
        bytes,
        &[ByHand(
            "write the value again by hand",
            &[|start| start.env("CAPSHIM_CAPS", "ipc_lock").command(&STATE)],
            &with_lock,
        )],
    );
}

#[test]
fn a_value_is_one_of_those_that_there_are() {
    performs(
        "settings::boolean",
        || app().env("CAPSHIM_NO_NEW_PRIVS", "yes"),
        &[ByHand(
            "write 1 or 0",
            &[
                |start| start.env("CAPSHIM_NO_NEW_PRIVS", "1"),
                |start| {
                    start.env("CAPSHIM_NO_NEW_PRIVS", "0").command(&[
                        "/capshim",
                        "/launch",
                        "--no-new-privs",
                        "1",
                        "--",
                        "/state",
                    ])
                },
            ],
            &as_app,
        )],
    );
    performs(
        "settings::from_str 2",
        || app().env("CAPSHIM_LOG", "debug"),
        &[ByHand(
            "write quiet, warn or info",
            &[
                |start| start.env("CAPSHIM_LOG", "quiet"),
                |start| start.env("CAPSHIM_LOG", "warn"),
                |start| start.env("CAPSHIM_LOG", "info"),
            ],
            &|output| {
                output.holds(1000, 1000, GROUPS, "none");
            },
        )],
    );
    performs(
        "settings::from_str",
        || app().env("CAPSHIM_INIT", "child"),
        &[ByHand(
            "write 1, 0 or group",
            &[
                |start| start.env("CAPSHIM_INIT", "1"),
                |start| start.env("CAPSHIM_INIT", "0"),
                |start| start.env("CAPSHIM_INIT", "group"),
            ],
            &as_app,
        )],
    );
}

#[test]
fn a_setting_is_one_of_those_that_there_are_and_there_once() {
    performs(
        "settings/values::unknown",
        || app().env("CAPSHIM_CAP", "ipc_lock"),
        &[ByHand(
            "the nearest one is CAPSHIM_CAPS",
            &[|start| {
                start.env("CAPSHIM_CAPS", "ipc_lock").with(|container| container.without_env("CAPSHIM_CAP"))
            }],
            &with_lock,
        )],
    );
    let twice = || app().command(&["/launch", "--env", "CAPSHIM_USER=0", "--", "/capshim", "/state"]);
    let as_root = exactly(0, 0, "none", "none");
    performs(
        "settings/values::collect",
        twice,
        &[ByHand("remove one of the two", &[|start| start.command(&STATE)], &as_app)],
    );
    performs(
        "settings/values::collect",
        twice,
        &[ByHand(
            "remove one of the two",
            &[|start| start.with(|container| container.without_env("CAPSHIM_USER"))],
            &as_root,
        )],
    );
}

#[test]
fn a_command_line_has_a_command() {
    performs(
        "settings/arguments::parse",
        || app().command(&["/capshim"]),
        &[ByHand(
            "repeat the image's ENTRYPOINT and CMD after capshim",
            &[|start| start.command(&STATE)],
            &as_app,
        )],
    );
    performs(
        "settings/arguments::not_empty",
        || app().command(&["/capshim", "", "/state"]),
        &[ByHand(
            "look for a variable or template before it that came out empty",
            &[|start| start.command(&STATE)],
            &as_app,
        )],
    );
    let option = || granted().command(&["/capshim", "--user=app", "/state"]);
    performs(
        "settings/arguments::unknown_option",
        option,
        &[ByHand(
            "settings are environment variables, see capshim --help; a COMMAND that begins with - goes after --",
            &[
                |start| start.env("CAPSHIM_USER", "app").command(&STATE),
                |start| {
                    let image = |image: Container| image.copy("/state", "/bin/--user=app");
                    start.env("CAPSHIM_USER", "app").with(image).command(&["/capshim", "--", "--user=app"])
                },
            ],
            &as_app,
        )],
    );
}
