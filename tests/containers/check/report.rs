//! `--check`: what it reports. That its verdict is a run's is held by every test that starts
//! capshim with `Container::shim`, and by the random proof.

use crate::harness::container::{Container, GROUP, PASSWD, ROOTS_GROUPS};
use crate::harness::report::{section, value};
use crate::harness::starts::{GRANTED, app, lock};

fn check(container: Container, command: &[&str]) -> String {
    let output = container.run(&[&["/capshim", "--check"], command].concat());
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    output.stdout
}

#[test]
fn with_nothing_set_any_user_gets_a_report_even_without_proc_and_etc() {
    for (container, uid) in [(Container::root(), "0"), (Container::user(4242, 4242), "4242")] {
        // A folder with nothing but the program, as an image FROM scratch.
        let all = ["bounding", "permitted", "effective", "inheritable", "ambient"];
        let scratch = all.into_iter().fold(container.copy("/capshim", "/scratch/capshim"), |start, set| {
            start.set(set, &["SYS_CHROOT"])
        });
        let output = scratch.run(&["/bin/busybox", "chroot", "/scratch", "/capshim", "--check"]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{}", output.stdout);
        let report = output.stdout;
        assert_eq!(value(&report, "granted", "uid"), uid);
        assert_eq!(value(&report, "granted", "bounding"), "SYS_CHROOT");
        assert_eq!(value(&report, "granted", "user namespace"), "unknown, /proc/self/uid_map cannot be read");
        assert!(report.contains(
            "\noutcome\n  no CAPSHIM_ setting is there, so there is nothing to try; a run would be refused (78)\n  \
             hint:  set CAPSHIM_USER and CAPSHIM_CAPS as the application needs them, and check again\n\ngranted\n"
        ));
    }
}

#[test]
fn what_the_runtime_gave_is_reported_by_name() {
    let start = Container::user(1000, 2000)
        .groups(&[3000, 65534])
        .set("bounding", &["NET_RAW", "IPC_LOCK"])
        .set("inheritable", &["IPC_LOCK"])
        .set("permitted", &["IPC_LOCK"])
        .set("ambient", &["IPC_LOCK"])
        .no_new_privs()
        .deny("swapon", libc::EPERM)
        .copy("/capshim", "/shim")
        .file_caps("/shim", "cap_net_raw,cap_ipc_lock=p");
    let report = start.run(&["/shim", "--check"]).stdout;
    assert_eq!(
        section(&report, "granted"),
        [
            "  uid                   1000",
            "  gid                   2000",
            "  groups                3000, 65534",
            "  permitted             IPC_LOCK",
            "  effective             none",
            "  inheritable           IPC_LOCK",
            "  ambient               none",
            "  bounding              NET_RAW, IPC_LOCK",
            "  no_new_privs          on",
            "  seccomp               filter",
            "  securebits            none",
            "  user namespace        the initial one, or one that maps every id to itself",
            "  this program          /shim: NET_RAW, IPC_LOCK=p",
        ]
    );
}

#[test]
fn a_user_namespace_and_securebits_are_reported() {
    let report = check(app().user_namespace(100_000, 65536), &[]);
    assert_eq!(
        value(&report, "granted", "user namespace"),
        "its own: uid 0 to 65535 is 100000 to 165535 in its parent"
    );
    let odd = app().capabilities(&["SETGID", "SETPCAP", "SETUID"]);
    let odd = odd.run(&["/launch", "--securebits", "12", "--", "/capshim", "--check"]);
    assert_eq!(value(&odd.stdout, "granted", "securebits"), "NO_SETUID_FIXUP, NO_SETUID_FIXUP_LOCKED");
    assert_eq!(odd.code, 0);
}

#[test]
fn settings_are_shown_as_understood_or_as_they_stand() {
    let report = check(
        app()
            .capabilities(&GRANTED)
            .env("CAPSHIM_CAPS", "cap_ipc_lock perfmon?")
            .env("CAPSHIM_GROUPS", "web,7"),
        &[],
    );
    assert_eq!(
        section(&report, "settings"),
        [
            "  CAPSHIM_USER          app",
            "  CAPSHIM_CAPS          IPC_LOCK, PERFMON?",
            "  CAPSHIM_GROUPS        web,7",
            "  CAPSHIM_NO_NEW_PRIVS  1 (default)",
            "  CAPSHIM_INIT          0 (default)",
            "  CAPSHIM_LOG           warn (default)",
        ]
    );
    assert_eq!(
        value(&report, "outcome", "warning"),
        "left out as optional, because this container lacks them: PERFMON"
    );

    let mangled = app().env("CAPSHIM_CAPS", "ipc_lock\r").run(&["/capshim", "--check"]);
    assert_eq!((mangled.code, mangled.stderr.as_str()), (78, ""));
    assert_eq!(
        section(&mangled.stdout, "settings, as they stand"),
        ["  CAPSHIM_USER          'app'", "  CAPSHIM_CAPS          'ipc_lock\\r'"]
    );
    assert!(mangled.stdout.contains("\n  cause: CAPSHIM_CAPS='ipc_lock\\r' ends in a carriage return\n"));
}

#[test]
fn each_group_is_there_with_its_origin() {
    let groups = [&ROOTS_GROUPS[..], &[2000, 65534]].concat();
    let report = check(app().groups(&groups), &[]);
    let runtime = "from the runtime (fsGroup, supplementalGroups, --group-add)";
    let dropped = ROOTS_GROUPS.map(|gid| {
        format!("dropped: given to root by /etc/group or /etc/passwd; kept by CAPSHIM_GROUPS=auto,{gid}")
    });
    let rows = |rows: &[(u32, &str)]| -> Vec<String> {
        rows.iter().map(|(gid, why)| format!("  {:<22}{why}", gid.to_string())).collect()
    };
    let lines: Vec<String> =
        section(&report, "groups of the application").into_iter().map(str::to_owned).collect();
    let member = "the user is its member in /etc/group";
    let mut expected = vec![
        (29, member),
        (1000, "the application's gid"),
        (1001, member),
        (2000, runtime),
        (65534, runtime),
        (0, "dropped: root's own; kept by CAPSHIM_GROUPS=auto,0"),
    ];
    expected.extend(ROOTS_GROUPS.into_iter().zip(dropped.iter().map(String::as_str)).skip(1));
    assert_eq!(
        lines.join(" ").split_whitespace().collect::<Vec<_>>(),
        rows(&expected).join(" ").split_whitespace().collect::<Vec<_>>()
    );

    let listed = check(app().groups(&[6, 2000]).env("CAPSHIM_GROUPS", "2000,web"), &[]);
    assert_eq!(
        section(&listed, "groups of the application"),
        rows(&[
            (1000, "the application's gid"),
            (1001, "listed by CAPSHIM_GROUPS"),
            (2000, "listed by CAPSHIM_GROUPS"),
            (6, "dropped: CAPSHIM_GROUPS does not list it"),
        ])
    );
    let kept = check(app().groups(&[0, 6, 2000]).env("CAPSHIM_GROUPS", "keep,video"), &[]);
    assert_eq!(
        section(&kept, "groups of the application"),
        rows(&[
            (0, "root's own, kept"),
            (6, "root's own, kept"),
            (27, "listed by CAPSHIM_GROUPS"),
            (1000, "the application's gid"),
            (2000, "from the runtime (fsGroup, supplementalGroups, --group-add)"),
        ])
    );
    let hidden =
        app().file("/other", GROUP).bind("/other", "/etc/group", &[]).env("CAPSHIM_USER", "1000:1000");
    let hidden = check(hidden.groups(&[0, 27]).env("CAPSHIM_GROUPS", "auto,27"), &[]);
    assert_eq!(
        section(&hidden, "groups of the application"),
        [
            "  27                    listed by CAPSHIM_GROUPS",
            "  1000                  the application's gid",
            "  0                     dropped: root's own; kept by CAPSHIM_GROUPS=auto,27,0",
            "  /etc/group            is a mount, and the runtime may have read the file beneath it: it does",
            "                        not say which groups are root's",
        ]
    );
    let stays = check(Container::user(1000, 1000).groups(&[0, 2000]).env("CAPSHIM_CAPS", "none"), &[]);
    let runtime = "as the runtime gave it";
    assert_eq!(section(&stays, "groups of the application"), rows(&[(0, runtime), (2000, runtime)]));
}

#[test]
fn the_command_is_shown_with_its_path_and_what_its_file_does_to_ambient() {
    let image = || lock().copy("/state", "/bin/tool");
    let script = |image: Container| image.file("/bin/run", "#!/bin/tool\n").mode("/bin/run", 0o755);
    let plain = check(script(image()), &["--", "run", "-x"]);
    assert_eq!(
        section(&plain, "command"),
        [
            "  run                   /bin/run",
            "  run by                /bin/tool",
            "  file capabilities     none, ambient stays",
            "                        programs that it executes are not examined: use --check -- /that/program",
        ]
    );
    let capable = script(image().file_caps("/bin/tool", "cap_ipc_lock=ep"));
    let capable = check(capable, &["run"]);
    let says = section(&capable, "command")[2..4].join(" ");
    assert_eq!(
        says.split_whitespace().collect::<Vec<_>>().join(" "),
        "file capabilities IPC_LOCK=ep; ambient is cleared: the programs that it starts will not inherit IPC_LOCK, and it runs in secure mode (ld.so(8))"
    );
    assert_eq!(value(&capable, "outcome", "ambient"), "none");
    assert_eq!(value(&capable, "outcome", "permitted"), "SETGID, SETUID, IPC_LOCK -> IPC_LOCK");
}

#[test]
fn a_capability_that_makes_root_and_a_gid_of_roots_are_pointed_out() {
    let start = app().capabilities(&["BPF", "SETGID", "SETUID"]).env("CAPSHIM_CAPS", "bpf");
    let passwd = PASSWD.replace("app:x:1000:1000", "app:x:1000:0");
    let report = check(start.file("/etc/passwd", passwd), &[]);
    let notes: Vec<&str> =
        section(&report, "outcome").into_iter().filter_map(|line| line.strip_prefix("  note ")).collect();
    let notes: Vec<&str> = notes.into_iter().map(str::trim).collect();
    assert_eq!(
        notes,
        [
            "the application's group is root's (gid 0)",
            "these can be turned into root in the container or on the node: BPF"
        ]
    );
}

#[test]
fn nothing_is_changed_for_whoever_comes_after() {
    let state = "/state; stat -L -c '%u:%g %a' /proc/self/fd/1";
    let script = format!(
        "({state}) > /tmp/before; /capshim --check /state > /tmp/report; ({state}) > /tmp/after; cmp /tmp/before /tmp/after"
    );
    let output = app()
        .capabilities(&["CHOWN", "IPC_LOCK", "SETGID", "SETPCAP", "SETUID"])
        .env("CAPSHIM_CAPS", "ipc_lock");
    let output = output.run(&["/bin/sh", "-c", &script]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""));

    // A run shares the pipe that is its output; a check leaves it alone.
    let shared = "/capshim --check /state >&2; stat -L -c '%u:%g %a' /proc/self/fd/1; /capshim /bin/true; stat -L -c '%u:%g %a' /proc/self/fd/1";
    let output = app().run(&["/bin/sh", "-c", shared]);
    assert_eq!(output.stdout, "0:0 600\n0:1000 620\n", "{}", output.stderr);
}

#[test]
fn an_ignored_sigchld_does_not_change_the_verdict() {
    for init in ["0", "1"] {
        let start = || lock().env("CAPSHIM_INIT", init);
        for (command, code) in [("/state", 0), ("/nosuch", 127)] {
            let launch = ["/launch", "--ignore", "SIGCHLD", "--", "/capshim"];
            let check = start().run(&[&launch[..], &["--check", command]].concat());
            let run = start().run(&[&launch[..], &[command]].concat());
            assert_eq!(run.code, code, "{}", run.stderr);
            check.foretells(&run);
        }
    }
}

#[test]
fn what_belongs_to_another_user_namespace_is_said_to() {
    let start = Container::user(1000, 1000).capabilities(&["IPC_LOCK"]);
    let report = check(start.file_caps_of_namespace("/capshim", 100_000, 1 << 14, false), &[]);
    assert_eq!(
        value(&report, "granted", "this program"),
        "/capshim: IPC_LOCK=p of another user namespace's root"
    );
}

#[test]
fn a_filter_that_kills_is_reported_with_the_signal() {
    let start = lock().kill_prctl(libc::PR_SET_NO_NEW_PRIVS);
    let output = start.run(&["/capshim", "--check", "/state"]);
    assert_eq!(output.code, 128 + libc::SIGSYS, "{}", output.stdout);
    assert!(
        output.stdout.contains(
            "\noutcome\n  signal 31 ended the attempt, and would end a run\n  \
             hint:  a seccomp filter kills for one of the calls of the plan: use the runtime's default profile: \
             Kubernetes: securityContext.seccompProfile.type: RuntimeDefault; Docker/Podman: leave out --security-opt seccomp=FILE\n  exit code 159\n"
        ),
        "{}",
        output.stdout
    );
}

#[test]
fn there_is_colour_on_a_terminal_alone_and_not_where_it_is_unwanted() {
    let command = ["/capshim", "--check", "/state"];
    let colourful = app().on_terminal(&command);
    assert!(colourful.contains("\x1b[1mgranted\x1b[0m\n"), "{colourful}");
    assert!(colourful.contains("\x1b[32m  the application would start, with\x1b[0m\n"), "{colourful}");
    assert!(!app().env("NO_COLOR", "1").on_terminal(&command).contains('\x1b'));
    // An empty NO_COLOR counts as none (no-color.org).
    assert!(app().env("NO_COLOR", "").on_terminal(&command).contains('\x1b'));
    assert!(!app().run(&command).stdout.contains('\x1b'));
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let script = "/capshim --check /state > /dev/full";
    let output = app().run(&["/bin/sh", "-c", script]);
    output.refuses(71, "capshim: write(standard output): ENOSPC: No space left on device\n");
}
