//! Hints on users, groups and capabilities: `identity`, `groups`, `capset`, `words`.

use crate::harness::container::{Container, GROUP, PASSWD, ROOTS_GROUPS};
use crate::harness::start::Start;
use crate::refuse::hints::{GROUPS, STATE, Way::*, app, as_app, caps, exactly, granted, performs, with_lock};

fn user(value: &'static str) -> impl Fn() -> Start {
    move || granted().env("CAPSHIM_USER", value)
}

fn groups(value: &'static str) -> impl Fn() -> Start {
    move || app().env("CAPSHIM_GROUPS", value)
}

/// The value as it was meant.
const LOCK: [fn(Start) -> Start; 1] = [|start| start.env("CAPSHIM_CAPS", "ipc_lock")];

/// Every way to write the same user and group.
pub const USERS: [fn(Start) -> Start; 4] = [
    |start| start.env("CAPSHIM_USER", "app").env("CAPSHIM_GROUPS", "none"),
    |start| start.env("CAPSHIM_USER", "1000").env("CAPSHIM_GROUPS", "none"),
    |start| start.env("CAPSHIM_USER", "app:app"),
    |start| start.env("CAPSHIM_USER", "1000:1000"),
];

#[test]
fn an_id_is_plain_and_a_name_is_there() {
    performs(
        "settings/user::parse",
        user("01000"),
        &[ByHand(
            "write the id in plain decimal digits",
            &[|start| start.env("CAPSHIM_USER", "1000")],
            &as_app,
        )],
    );
    performs(
        "settings/user::parse 2",
        user("+1000"),
        &[ByHand(
            "write an id in plain decimal digits or a name, without sign or space",
            &[|start| start.env("CAPSHIM_USER", "1000"), |start| start.env("CAPSHIM_USER", "app")],
            &as_app,
        )],
    );
    let as_1000 = exactly(1000, 1000, "1000", "none");
    let users = [ByHand("write user, uid, user:group or uid:gid", &USERS, &as_1000)];
    performs("settings/user::from_str", user("app:"), &users);
    performs("settings/user::from_str", user(":1000"), &users);
    performs("settings/user::from_str 2", user("app:app:app"), &users);
    performs(
        "accounts/resolve::resolve",
        user("new"),
        &[
            ByHand(
                "add the user to the image",
                &[|start| {
                    start.with(|image| image.file("/etc/passwd", format!("{PASSWD}new:x:1000:1000::/:\n")))
                }],
                &as_1000,
            ),
            Typed(&as_1000),
        ],
    );
    let named_0 = |name: &'static str, passwd: &'static str| {
        move || user(name)().with(|image| image.file("/etc/passwd", format!("{passwd}{PASSWD}")))
    };
    for start in [named_0("toor", "toor:x:0:0::/:\n"), named_0("root", "root:x:5:5::/:\n")] {
        performs(
            "accounts/resolve::resolve 2",
            start,
            &[
                ByHand("name another user", &[|start| start.env("CAPSHIM_USER", "app")], &as_app),
                Typed(&exactly(0, 0, "none", "none")),
            ],
        );
    }
    performs("accounts/resolve::no_gid", user("4242"), &[Typed(&exactly(4242, 4242, "4242", "none"))]);
}

#[test]
fn a_group_is_there() {
    let added: [fn(Start) -> Start; 1] =
        [|start| start.with(|image| image.file("/etc/group", format!("{GROUP}new:x:4242:\n")))];
    performs(
        "accounts/resolve::named_group",
        user("app:new"),
        &[
            ByHand("add the group to the image", &added, &exactly(1000, 4242, "4242", "none")),
            ByHand(
                "write its gid",
                &[|start| start.env("CAPSHIM_USER", "app:4242")],
                &exactly(1000, 4242, "4242", "none"),
            ),
        ],
    );
    performs(
        "accounts/resolve::named_group",
        groups("29,new"),
        &[
            ByHand("add the group to the image", &added, &exactly(1000, 1000, "29, 1000, 4242", "none")),
            ByHand(
                "write its gid",
                &[|start| start.env("CAPSHIM_GROUPS", "29,4242")],
                &exactly(1000, 1000, "29, 1000, 4242", "none"),
            ),
        ],
    );
    let staff = || {
        let image = |image: Container| image.file("/etc/group", format!("{GROUP}staff:x:0:\n"));
        groups("staff")().with(image)
    };
    performs(
        "accounts/resolve::named_group 2",
        staff,
        &[
            ByHand(
                "write another group",
                &[|start| start.env("CAPSHIM_GROUPS", "audio")],
                &exactly(1000, 1000, "29, 1000", "none"),
            ),
            ByHand(
                "0 if root's group is meant",
                &[|start| start.env("CAPSHIM_GROUPS", "0")],
                &exactly(1000, 1000, "0, 1000", "none"),
            ),
        ],
    );
}

#[test]
fn groups_are_a_word_or_a_list() {
    let runtime = |value| move || groups(value)().with(|container| container.groups(&ROOTS_GROUPS[..2]));
    performs(
        "settings/groups::from_str",
        runtime("none,2000"),
        &[
            ByHand(
                "write none alone",
                &[|start| start.env("CAPSHIM_GROUPS", "none")],
                &exactly(1000, 1000, "1000", "none"),
            ),
            ByHand(
                "leave none out of the list",
                &[|start| start.env("CAPSHIM_GROUPS", "2000")],
                &exactly(1000, 1000, "1000, 2000", "none"),
            ),
        ],
    );
    performs(
        "settings/groups::from_str 2",
        runtime("auto,keep"),
        &[
            ByHand("write auto", &[|start| start.env("CAPSHIM_GROUPS", "auto")], &as_app),
            ByHand(
                "write keep",
                &[|start| start.env("CAPSHIM_GROUPS", "keep")],
                &exactly(1000, 1000, "0, 1, 1000", "none"),
            ),
        ],
    );
    let hidden = || {
        let container = groups("auto")().container.groups(&[0, 6, 2000]).file("/other", "");
        Start::new(container.env("CAPSHIM_USER", "1000:1000").bind("/other", "/etc/group", &[]), &STATE)
    };
    performs(
        "plan/refusals::UnknownGroups",
        || hidden().env("CAPSHIM_USER", "1000:1000"),
        &[Typed(&exactly(1000, 1000, "6, 1000, 2000", "none")), Typed(&exactly(1000, 1000, "1000", "none"))],
    );
    let unmapped = |inherited: &'static str| {
        move || {
            let granted = ["SETFCAP", "SETGID", "SETUID", "SYS_ADMIN"];
            let maps = ["--user-namespace", "0 0 1,1000 1000 1,2000 2000 1", "--", "/capshim", "/state"];
            let command = [&["/launch", "--groups", inherited], &maps[..]].concat();
            let container = Container::root().capabilities(&granted).env("CAPSHIM_USER", "1000:1000");
            Start::new(container.env("CAPSHIM_GROUPS", "keep"), &command)
        }
    };
    // 4242 is not mapped and reads as 65534.
    performs(
        "plan/refusals::UnmappedGroup",
        unmapped("2000,4242"),
        &[Typed(&exactly(1000, 1000, "1000, 2000", "none"))],
    );
    performs(
        "plan/refusals::UnmappedGroup",
        unmapped("4242"),
        &[Typed(&exactly(1000, 1000, "1000", "none"))],
    );
    let many = || {
        let lines: String = (1..=70_000).map(|gid| format!("g{gid}:x:{gid}:app\n")).collect();
        app().with(|image| image.file("/etc/group", lines))
    };
    let first = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1000";
    performs("plan/refusals::TooManyGroups", many, &[Typed(&exactly(1000, 1000, first, "none"))]);
}

#[test]
fn capabilities_are_listed_by_name() {
    performs(
        "settings/capabilities::from_str",
        caps("ipc_lock,ipc_lock?"),
        &[
            ByHand("with ?", &[|start| start.env("CAPSHIM_CAPS", "ipc_lock?")], &with_lock),
            ByHand("without ?", &LOCK, &with_lock),
        ],
    );
    performs(
        "settings/capabilities::from_str 2",
        caps("none,ipc_lock"),
        &[
            ByHand("write none alone", &[|start| start.env("CAPSHIM_CAPS", "none")], &as_app),
            ByHand("leave none out of the list", &LOCK, &with_lock),
        ],
    );
    performs("settings/capabilities::parse_cap", caps("all"), &[ByHand("list the ones", &LOCK, &with_lock)]);
    performs(
        "settings/capabilities::parse_cap 2",
        caps("ipc_lok"),
        &[ByHand(
            "the nearest one is IPC_LOCK",
            &[|start| start.env("CAPSHIM_CAPS", "IPC_LOCK")],
            &with_lock,
        )],
    );
    performs(
        "settings/words::list",
        caps("ipc_lock,,setuid"),
        &[ByHand(
            "write the words with one comma between them",
            &[|start| start.env("CAPSHIM_CAPS", "ipc_lock,setuid")],
            &exactly(1000, 1000, GROUPS, "SETUID, IPC_LOCK"),
        )],
    );
}
