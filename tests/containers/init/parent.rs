//! Init mode: what the parent that stays is, and what the application is beside it.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::harness::container::Container;
use crate::harness::inits::{lock, works_below};
use crate::harness::live::{Live, children, status};
use crate::harness::starts::GRANTED;

/// A set of these, as /proc/PID/status writes it.
fn set(names: &[&str]) -> String {
    let all = crate::harness::capabilities::NAMES;
    let bit = |name: &&str| 1u64 << all.iter().position(|known| known == name).expect("a capability");
    format!("{:016x}", names.iter().map(bit).sum::<u64>())
}

/// The parent is this user, holds nothing and has nothing open, and this is in its bounding set.
#[track_caller]
fn holds_nothing(live: &Live, [uid, gid]: [u32; 2], groups: &str, bounding: &[&str]) {
    let parent = live.pid();
    let four = |id: u32| format!("{id} {id} {id} {id}");
    for (field, value) in [
        ("Name", "capshim".to_owned()),
        ("Uid", four(uid)),
        ("Gid", four(gid)),
        ("Groups", groups.to_owned()),
        ("CapInh", set(&[])),
        ("CapPrm", set(&[])),
        ("CapEff", set(&[])),
        ("CapBnd", set(bounding)),
        ("CapAmb", set(&[])),
        ("NoNewPrivs", "1".to_owned()),
        ("Threads", "1".to_owned()),
    ] {
        assert_eq!(status(parent, field), value, "{field}");
    }
    let mut open: Vec<_> = fs::read_dir(format!("/proc/{parent}/fd"))
        .expect("descriptors")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a number"))
        .collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
    // Dumpable again: what is in /proc is its own and not root's.
    assert_eq!(fs::metadata(format!("/proc/{parent}/environ")).expect("a file").uid(), uid);
}

/// A command whose first word says that the application runs.
const UP: [&str; 4] = ["/capshim", "/bin/sh", "-c", "echo up; read line"];

fn up(start: Container) -> Live {
    let mut live = start.live(&UP);
    live.until("up\n");
    live
}

#[test]
fn the_parent_holds_nothing_while_the_application_runs() {
    holds_nothing(&up(lock()), [1000, 1000], "29 1000 1001", &GRANTED);
    let setpcap = ["IPC_LOCK", "NET_RAW", "SETGID", "SETPCAP", "SETUID"];
    holds_nothing(&up(lock().capabilities(&setpcap)), [1000, 1000], "29 1000 1001", &[]);
    let off = lock().env("CAPSHIM_NO_NEW_PRIVS", "0");
    holds_nothing(&up(off), [1000, 1000], "29 1000 1001", &GRANTED);
    let inside = up(lock().user_namespace(100_000, 65_536));
    holds_nothing(&inside, [101_000, 101_000], "100029 101000 101001", &GRANTED);
}

#[test]
fn the_parent_of_a_non_root_start_holds_nothing() {
    let start = || {
        let start = Container::user(1000, 1000).groups(&[2000]).env("CAPSHIM_CAPS", "ipc_lock");
        start.env("CAPSHIM_INIT", "1")
    };
    let plain = start().capabilities(&["IPC_LOCK"]).file_caps("/capshim", "cap_ipc_lock=p");
    holds_nothing(&up(plain), [1000, 1000], "2000", &["IPC_LOCK"]);
    let all = ["IPC_LOCK", "SETPCAP"];
    let setpcap = start().capabilities(&all).file_caps("/capshim", "cap_ipc_lock,cap_setpcap=p");
    holds_nothing(&up(setpcap), [1000, 1000], "2000", &[]);
    let ambient = start().capabilities(&all).set("inheritable", &all).set("ambient", &all);
    holds_nothing(&up(ambient), [1000, 1000], "2000", &[]);
    let nothing = start().without_env("CAPSHIM_CAPS").env("CAPSHIM_CAPS", "none");
    holds_nothing(&up(nothing), [1000, 1000], "2000", &[]);
}

#[test]
fn the_parent_of_a_root_that_stays_holds_nothing() {
    let start = || lock().without_env("CAPSHIM_USER").env("CAPSHIM_USER", "root");
    holds_nothing(&up(start().groups(&[0, 10])), [0, 0], "0 10", &GRANTED);
    let setpcap = ["IPC_LOCK", "NET_RAW", "SETPCAP"];
    holds_nothing(&up(start().capabilities(&setpcap)), [0, 0], "", &[]);
}

#[test]
fn descriptors_and_the_working_directory_are_the_applications_alone() {
    let script =
        "exec 7</etc/group 9</etc/passwd && cd /home/app && exec /capshim /bin/sh -c 'echo up; read x'";
    let mut live = lock().live(&["/bin/sh", "-c", script]);
    live.until("up\n");
    holds_nothing(&live, [1000, 1000], "29 1000 1001", &GRANTED);
    let link = |process: i32, name: &str| {
        let to = fs::read_link(format!("/proc/{process}/{name}")).expect("a link");
        to.to_str().expect("text").rsplit('/').next().unwrap_or_default().to_owned()
    };
    let app = children(live.pid())[0];
    assert_eq!([link(app, "fd/7"), link(app, "fd/9"), link(app, "cwd")], ["group", "passwd", "app"]);
    // The container's root, whose last folder has this name on the host.
    assert_eq!(link(live.pid(), "cwd"), link(live.pid(), "root"));
    let process = lock().shim(&["/state", "process"]);
    let state = process.state();
    assert_eq!((state["processes"], state["threads"]), ("2", "1"));
    // What standard input is depends on the runtime.
    let descriptors: Vec<&str> = state["descriptors"].split(", ").collect();
    assert_eq!((descriptors.len(), &descriptors[1..]), (3, &["pipe", "pipe"][..]));
    assert_eq!((state["dumpable"], state["at_secure"]), ("on", "off"));
}

#[test]
fn descriptors_are_closed_also_where_a_filter_forbids_close_range() {
    // Before Linux 5.9, as older seccomp profiles answer, and as any other may.
    for errno in [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::ENXIO] {
        let start = || lock().no_new_privs().deny("close_range", errno);
        let script = "exec 7</etc/group 900</etc/passwd && exec /capshim /bin/sh -c 'echo up; read x'";
        let mut live = start().live(&["/bin/sh", "-c", script]);
        live.until("up\n");
        holds_nothing(&live, [1000, 1000], "29 1000 1001", &GRANTED);
        start().shim(&["/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    }
}

/// Everything that a process has in its memory.
fn memory(process: i32) -> Vec<u8> {
    let memory = fs::File::open(format!("/proc/{process}/mem")).expect("memory");
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("maps");
    let mut all = Vec::new();
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r')))
    {
        let (first, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let [first, end] = [first, end].map(|address| u64::from_str_radix(address, 16).expect("an address"));
        let mut part = vec![0; (end - first) as usize];
        // The kernel's own parts are in every process, and cannot be read.
        match memory.read_exact_at(&mut part, first) {
            Ok(()) => all.extend(part),
            Err(_) => assert!(line.contains(" [v"), "{line}"),
        }
    }
    all
}

#[test]
fn nothing_of_the_starting_environment_is_left_in_the_parent() {
    let secret = "correct horse battery staple";
    let has = |process| memory(process).windows(secret.len()).any(|part| part == secret.as_bytes());
    let root = lock().without_env("CAPSHIM_USER").env("CAPSHIM_USER", "root");
    let user = Container::user(1000, 1000).env("CAPSHIM_CAPS", "none").env("CAPSHIM_INIT", "group");
    for start in [lock(), root, user] {
        let start = start.env("DB_PASSWORD", secret).env("LARGE", &secret.repeat(4000));
        // Its own is whole, and the parent's is nothing but NUL bytes.
        let script =
            "for process in 1 $$; do tr -d '\\0' </proc/$process/environ | wc -c; done; echo up; read x";
        let mut live = start.live(&["/capshim", "/bin/sh", "-c", script]);
        let [parent, own] = [live.line(), live.line()].map(|count| count.parse::<usize>().expect("a number"));
        assert!(parent == 0 && own > 4001 * secret.len(), "{parent} {own}");
        live.until("up\n");
        assert_eq!([has(children(live.pid())[0]), has(live.pid())], [true, false]);
    }
}

#[test]
fn closed_streams_stay_closed_for_both() {
    for (streams, open) in [("<&-", "1 2"), ("2>&-", "0 1"), ("<&- 2>&-", "1")] {
        // Of the shell's own /proc only what it has not opened itself can be asked for.
        let look = "for fd in 0 1 2; do test -e /proc/$$/fd/$fd && echo $fd; done; echo; ls /proc/1/fd";
        let script = format!("exec /capshim /bin/sh -c '{look}' {streams}");
        let output = lock().run(&["/bin/sh", "-c", &script]);
        let lines: Vec<&str> = output.stdout.split_whitespace().collect();
        assert_eq!((output.code, lines.join(" ")), (0, format!("{open} {open}")), "{streams}");
    }
    // A message finds no descriptor of the shim's own in the place of standard error.
    let output = lock().run(&["/bin/sh", "-c", "exec /capshim /nosuch 2>&-"]);
    assert_eq!((output.code, output.stdout.as_str()), (127, ""));
}

#[test]
fn the_application_is_exactly_what_it_is_without_a_parent() {
    for init in ["1", "true", "group"] {
        let start = lock().without_env("CAPSHIM_INIT").env("CAPSHIM_INIT", init);
        let output = start.shim(&["/state", "credentials", "environment"]);
        output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
        assert!(output.stdout.ends_with("PATH=/bin\nHOME=/home/app\n"), "{}", output.stdout);
    }
    let granted = ["IPC_LOCK", "SETGID", "SETPCAP", "SETUID"];
    let output = lock().capabilities(&granted).shim(&["/state"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
    assert_eq!(output.state()["bounding"], "IPC_LOCK");
    let off = lock().env("CAPSHIM_NO_NEW_PRIVS", "0").shim(&["/state"]);
    assert_eq!((off.state()["ambient"], off.state()["no_new_privs"]), ("IPC_LOCK", "off"));
}

#[test]
fn scripts_can_write_to_the_parents_streams() {
    let output = lock().shim(&["/bin/sh", "-c", "echo out >/proc/1/fd/1; echo err >/proc/1/fd/2"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn signal_mask_and_dispositions_are_as_for_a_direct_start() {
    let show = ["/bin/busybox", "grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    for launch in [
        &["/launch", "--"][..],
        &["/launch", "--ignore", "SIGPIPE", "--ignore", "SIGCHLD", "--"],
        &["/launch", "--ignore", "SIGHUP", "--block", "SIGUSR1", "--block", "SIGCHLD", "--"],
    ] {
        let direct = lock().run(&[launch, &show].concat()).stdout;
        let through = lock().run(&[launch, &["/capshim"], &show].concat());
        assert_eq!((through.code, through.stdout), (0, direct), "{launch:?}");
    }
}

#[test]
fn it_works_behind_a_shell_and_beside_a_pause_container() {
    works_below(lock(), &["/bin/sh", "-c"]);
    // PID 1 waits for ever, and what it did not start is no child of its own.
    let mut live = lock().live(&["/bin/sh", "-c", "(/capshim /state; echo ended $?) & wait; read x"]);
    assert!(live.until("ended ").contains("\neffective:    IPC_LOCK\n"));
    assert_eq!(live.line(), "0");
}
