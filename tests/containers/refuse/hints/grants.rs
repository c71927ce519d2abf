//! Hints on what a container was granted.

use crate::harness::container::{Container, Output};
use crate::harness::start::Start;
use crate::harness::starts::{GRANTED, lock, user_lock};
use crate::refuse::hints::{GROUPS, STATE, Way::*, exactly, hint, performs, with_lock, without_no_new_privs};

fn start(container: Container) -> Start {
    Start::new(container, &STATE)
}

/// A start as root that is to become `app` with IPC_LOCK.
fn app(granted: &[&str]) -> Start {
    start(lock().capabilities(granted))
}

fn root() -> Container {
    Container::user(0, 0).env("CAPSHIM_USER", "root")
}

fn as_user(output: &Output) {
    output.is_exactly(1000, 1000, "none", "IPC_LOCK");
}

#[test]
fn a_user_is_set() {
    performs(
        "plan/refusals::NoUser",
        || start(Container::root().capabilities(&GRANTED).env("CAPSHIM_CAPS", "ipc_lock")),
        &[
            Typed(&with_lock),
            Typed(&exactly(1000, 1000, "1000", "IPC_LOCK")),
            Typed(&exactly(0, 0, "none", "IPC_LOCK")),
        ],
    );
}

#[test]
fn no_new_privs_goes_or_stays() {
    performs(
        "plan/refusals::NoNewPrivsIsOn",
        || app(&GRANTED).env("CAPSHIM_NO_NEW_PRIVS", "0").with(Container::no_new_privs),
        &[Typed(&without_no_new_privs(1000, GROUPS, "IPC_LOCK")), Typed(&with_lock)],
    );
}

#[test]
fn a_root_start_is_granted_what_it_lacks() {
    for granted in [&[][..], &["IPC_LOCK"], &["SETGID", "SETUID"], &["IPC_LOCK", "SETUID"]] {
        performs("plan/refusals::NotGranted", || app(granted), &[Typed(&with_lock)]);
    }
    // A list that is replaced by the hint's keeps what is optional.
    performs(
        "plan/refusals::NotGranted",
        || app(&["NET_RAW", "SETGID", "SETUID"]).env("CAPSHIM_CAPS", "ipc_lock,net_raw?,kill?"),
        &[Typed(&|output| {
            let warning = "left out as optional, because this container lacks them: KILL\n";
            assert!(output.stderr.ends_with(warning), "{}", output.stderr);
            output.holds(1000, 1000, GROUPS, "NET_RAW, IPC_LOCK");
        })],
    );
}

#[test]
fn a_non_root_start_is_granted_what_it_lacks() {
    for container in [user_lock, || user_lock().no_new_privs()] {
        let ways = [Typed(&as_user), Typed(&exactly(1000, 1000, "1000", "IPC_LOCK"))];
        performs("plan/refusals::NotGrantedToUser 2", || start(container()), &ways);
        let granted = || start(container().capabilities(&["IPC_LOCK"]));
        performs("plan/refusals::HasNone", granted, &ways);
        let carried = || start(container().file_caps("/capshim", "cap_ipc_lock=p"));
        performs("plan/refusals::NotGrantedToUser", carried, &[Typed(&as_user)]);
    }
    // Nothing that is optional is lost.
    let optional = || {
        let container =
            user_lock().capabilities(&["IPC_LOCK", "NET_RAW"]).file_caps("/capshim", "cap_net_raw=p");
        start(container).env("CAPSHIM_CAPS", "ipc_lock,net_raw?")
    };
    let both = "NET_RAW, IPC_LOCK";
    let ways = [Typed(&exactly(1000, 1000, "none", both)), Typed(&exactly(1000, 1000, "1000", both))];
    performs("plan/refusals::HasNone", optional, &ways);
}

#[test]
fn the_shim_leaves_a_nosuid_mount() {
    let build = || {
        let container = user_lock().capabilities(&["IPC_LOCK"]).copy("/capshim", "/shim/capshim");
        let container = container.file_caps("/shim/capshim", "cap_ipc_lock=p");
        start(container.bind("/shim", "/nosuid", &["nosuid"])).command(&["/nosuid/capshim", "/state"])
    };
    performs(
        "plan/refusals::NosuidMount",
        build,
        &[
            ByHand(
                "run a copy that is in the image, with them: setcap cap_ipc_lock=p COPY",
                &[|start| {
                    let image = |container: Container| container.file_caps("/capshim", "cap_ipc_lock=p");
                    start.with(image).command(&STATE)
                }],
                &as_user,
            ),
            ByHand("mount its folder without nosuid", &[|start| start.with(without_mount_options)], &as_user),
        ],
    );
}

fn without_mount_options(container: Container) -> Container {
    container.configured(|config| {
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.last_mut().expect("a mount")["options"] = vec!["bind"].into();
    })
}

#[test]
fn the_shim_is_the_containers_first_program() {
    let carrying = || user_lock().file_caps("/capshim", "cap_ipc_lock=p").no_new_privs();
    let shell = ["/bin/sh", "-c", "/capshim /state"];
    performs(
        "plan/refusals::NotFirstProgram",
        || start(carrying().capabilities(&["IPC_LOCK"])).command(&shell),
        &[
            ByHand("the first word of the container's command", &[|start| start.command(&STATE)], &as_user),
            Typed(&as_user),
        ],
    );
    // What an old Docker gives to a user: nothing but the bounding set.
    performs(
        "plan/refusals::NotFirstProgram",
        || start(carrying().set("bounding", &["IPC_LOCK"])),
        &[
            ByHand(
                "and update such a Docker",
                &[|start| start.with(|container| container.capabilities(&["IPC_LOCK"]))],
                &as_user,
            ),
            Typed(&as_user),
        ],
    );
}

#[test]
fn file_capabilities_are_written_inside_the_user_namespace() {
    let granted = || user_lock().capabilities(&["IPC_LOCK"]);
    for container in [user_lock, || user_lock().no_new_privs()] {
        performs(
            "plan/refusals::OfAnotherNamespace",
            || {
                start(container().capabilities(&["IPC_LOCK"]).file_caps_of_namespace(
                    "/capshim",
                    100_000,
                    1 << 14,
                    false,
                ))
            },
            &[Typed(&as_user)],
        );
    }
    // Inside of a namespace, those of one that it does not know count as none.
    let foreign = || {
        let container = granted().env("CAPSHIM_LOG", "quiet").user_namespace(100_000, 65_536);
        start(container.file_caps_of_namespace("/capshim", 300_000, 1 << 14, false))
    };
    let as_root = exactly(1000, 1000, "1000", "IPC_LOCK");
    performs("plan/refusals::HasNone", foreign, &[Typed(&as_user), Typed(&as_root)]);
}

#[test]
fn a_start_as_root_becomes_the_user_that_the_setting_names() {
    // As `docker run --user 1000`, which leaves the gid at 0.
    let by_uid = |user: &str| {
        let container = Container::user(1000, 0).capabilities(&["IPC_LOCK"]).env("CAPSHIM_CAPS", "ipc_lock");
        // Otherwise it is a warning that the gid stays.
        start(container.env("CAPSHIM_USER", user).env("CAPSHIM_LOG", "quiet"))
    };
    let on_file = exactly(1000, 0, "none", "IPC_LOCK");
    let as_root = exactly(1000, 1000, "1000", "IPC_LOCK");
    performs("plan/refusals::HasNone", || by_uid("1000:1000"), &[Typed(&on_file), Typed(&as_root)]);
    let named = |start: Start, said: &str| {
        let hint = hint(&start.run());
        assert!(hint.contains(&format!("start as root with CAPSHIM_USER={said}: ")), "{hint}");
    };
    for (user, said) in [("app", "app"), ("1000", "1000"), ("1001:1001", "1000:0"), ("nobody:0", "1000:0")] {
        named(by_uid(user), said);
        named(by_uid(user).with(|container| container.capabilities(&[])), said);
    }
    // Root would not know this user's group.
    let unknown = Container::user(1500, 0).capabilities(&["IPC_LOCK"]).env("CAPSHIM_CAPS", "ipc_lock");
    named(start(unknown.env("CAPSHIM_USER", "1500")), "1500:0");
}

#[test]
fn who_stays_is_given_its_gid_and_groups() {
    performs(
        "plan/refusals::GidNeedsSetgid",
        || start(Container::user(0, 500).env("CAPSHIM_USER", "root")),
        &[
            Typed(&exactly(0, 0, "none", "none")),
            Typed(&exactly(0, 500, "none", "none")),
            Typed(&exactly(0, 0, "0", "none")),
        ],
    );
    performs(
        "plan/refusals::GroupsNeedSetgid",
        || start(root().groups(&[2000]).env("CAPSHIM_GROUPS", "none")),
        &[Typed(&exactly(0, 0, "0", "none")), Typed(&exactly(0, 0, "2000", "none"))],
    );
    let given = |before: &'static [u32], list: &'static str| {
        let container = || Container::user(1000, 1000).groups(before).env("CAPSHIM_CAPS", "none");
        move || start(container().env("CAPSHIM_GROUPS", list))
    };
    for (before, list, after) in
        [(&[][..], "2000,3000", "2000, 3000"), (&[2000], "none", "none"), (&[], "audio,1000,web", "29, 1001")]
    {
        let ways = [Typed(&exactly(1000, 1000, after, "none"))];
        performs("plan/refusals::GroupsNeedSetgid 2", given(before, list), &ways);
    }
    // More than a line of words can hold: without numbers.
    performs(
        "plan/refusals::GroupsNeedSetgid 2",
        given(&[], "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"),
        &[ByHand(
            "leave CAPSHIM_GROUPS out and let the runtime give them",
            &[|start| {
                let groups: Vec<u32> = (1..=17).collect();
                start.with(|container| container.without_env("CAPSHIM_GROUPS").groups(&groups))
            }],
            &exactly(1000, 1000, "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17", "none"),
        )],
    );
}

#[test]
fn without_no_new_privs_there_is_nothing_to_regain() {
    let stay = |granted: &[&str], caps: &str| {
        start(root().capabilities(granted).env("CAPSHIM_CAPS", caps)).env("CAPSHIM_NO_NEW_PRIVS", "0")
    };
    for (caps, held) in [("ipc_lock", "IPC_LOCK"), ("none", "none")] {
        performs(
            "plan/refusals::RootWouldRegain",
            || stay(&["IPC_LOCK", "NET_RAW"], caps),
            &[Typed(&exactly(0, 0, "none", held)), Typed(&without_no_new_privs(0, "none", held))],
        );
    }
    performs(
        "plan/refusals::RootWouldRegain",
        || {
            let groups = |container: Container| container.groups(&[2000]).env("CAPSHIM_GROUPS", "none");
            stay(&["IPC_LOCK", "SETGID"], "ipc_lock").with(groups)
        },
        &[Typed(&exactly(0, 0, "0", "IPC_LOCK")), Typed(&without_no_new_privs(0, "0", "IPC_LOCK"))],
    );
    for (caps, held) in [("ipc_lock", "IPC_LOCK"), ("none", "none")] {
        performs(
            "plan/refusals::file_would_regain",
            || {
                let container = user_lock().capabilities(&["IPC_LOCK", "NET_RAW"]);
                start(container.file_caps("/capshim", "cap_ipc_lock,cap_net_raw=p"))
                    .env("CAPSHIM_CAPS", caps)
                    .env("CAPSHIM_NO_NEW_PRIVS", "0")
            },
            &[Typed(&exactly(1000, 1000, "none", held)), Typed(&without_no_new_privs(1000, "none", held))],
        );
    }
}

#[test]
fn a_file_that_cannot_be_told_gives_nothing_with_no_new_privs_or_without_a_bounding_set() {
    // An execute-only script that the shim interprets, where /proc is not mounted: who takes that
    // away needs SYS_ADMIN.
    let hidden = |container: Container| {
        let image = container.file("/script", "#!/capshim /state\n").owned("/script", 1, 1, 0o711);
        let image = image.env("CAPSHIM_NO_NEW_PRIVS", "0");
        Start::new(image, &["/launch", "--unmount", "/proc", "--", "/script"])
    };
    let user = || {
        let sets = ["bounding", "permitted", "effective", "inheritable", "ambient"];
        hidden(sets.into_iter().fold(user_lock(), |user, set| user.set(set, &["IPC_LOCK", "SYS_ADMIN"])))
    };
    performs("plan/refusals::file_would_regain", user, &[Typed(&as_user)]);
    let root = || {
        let granted = ["IPC_LOCK", "SETGID", "SETUID", "SYS_ADMIN"];
        let root = Container::root().capabilities(&granted);
        hidden(root.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock"))
    };
    let drop: [fn(Start) -> Start; 1] = [|start| {
        let granted = ["IPC_LOCK", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN"];
        start.with(|container| container.capabilities(&granted))
    }];
    performs(
        "plan/refusals::file_would_regain",
        root,
        &[
            Typed(&with_lock),
            ByHand(
                "grant SETPCAP, so that capshim can drop the rest: Kubernetes: securityContext.capabilities.add: [\"SETGID\", \"SETUID\", \"SETPCAP\", \"IPC_LOCK\"]",
                &drop,
                &without_no_new_privs(1000, GROUPS, "IPC_LOCK"),
            ),
        ],
    );
}
