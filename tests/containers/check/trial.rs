//! `--check` asks the kernel whether it would execute the command: it says what the kernel says
//! to a run, nothing of the command ever runs, and where the kernel cannot be asked it says so.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::container::Container;
use crate::harness::elf::{ELSEWHERE, HERE, header, needing};
use crate::harness::live::{Live, children, eventually, kill};
use crate::harness::report::{section, value};
use crate::harness::starts::{app, as_user, lock};

fn program(container: Container, path: &str, content: impl AsRef<[u8]>) -> Container {
    container.file(path, content).mode(path, 0o755)
}

/// A program whose first instructions write `ran` to standard output, without libc.
fn witness() -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    const CODE: [u8; 40] = [
        0xb8, 1, 0, 0, 0, // mov $SYS_write, %eax
        0xbf, 1, 0, 0, 0, // mov $1, %edi
        0x48, 0x8d, 0x35, 23, 0, 0, 0, // lea ran(%rip), %rsi
        0xba, 4, 0, 0, 0, // mov $4, %edx
        0x0f, 0x05, // syscall
        0xb8, 60, 0, 0, 0, // mov $SYS_exit, %eax
        0x31, 0xff, // xor %edi, %edi
        0x0f, 0x05, // syscall
        0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    ];
    #[cfg(target_arch = "aarch64")]
    const CODE: [u8; 32] = [
        0x20, 0x00, 0x80, 0xd2, // mov x0, #1
        0xe1, 0x00, 0x00, 0x10, // adr x1, ran
        0x82, 0x00, 0x80, 0xd2, // mov x2, #4
        0x08, 0x08, 0x80, 0xd2, // mov x8, #SYS_write
        0x01, 0x00, 0x00, 0xd4, // svc #0
        0x00, 0x00, 0x80, 0xd2, // mov x0, #0
        0xa8, 0x0b, 0x80, 0xd2, // mov x8, #SYS_exit
        0x01, 0x00, 0x00, 0xd4, // svc #0
    ];
    const AT: u64 = 0x40_0000;
    let mut program = header(HERE);
    program.resize(120, 0);
    let mut put = |at: usize, bytes: &[u8]| program[at..at + bytes.len()].copy_from_slice(bytes);
    for (at, number) in [(20, 1), (52, 64), (54, 56), (56, 1)] {
        put(at, &[number]);
    }
    let length = 120 + CODE.len() as u64 + 4;
    // The entry and the program headers; then of the one to load: its place, in memory too, and
    // its length, there too.
    for (at, number) in
        [(24, AT + 120), (32, 64), (80, AT), (88, AT), (96, length), (104, length), (112, 4096)]
    {
        put(at, &number.to_le_bytes());
    }
    // PT_LOAD, to be read and executed.
    (program[64], program[68]) = (1, 5);
    program.extend_from_slice(&CODE);
    program.extend_from_slice(b"ran\n");
    program
}

/// What a check says of the command, which a run then writes.
const RAN: &str = "ran\n";

/// The row that says so where the kernel was not asked.
#[track_caller]
fn is_untried(report: &str) {
    assert!(value(report, "command", "execve").starts_with("not tried, "), "{report}");
}

/// Files that execve(2) refuses in the image of `odd`, and what a run says of them.
fn odd_files() -> Vec<(Vec<u8>, &'static str)> {
    let no_interpreter = "it has a #! line that names no interpreter";
    vec![
        (b"#!\n".to_vec(), no_interpreter),
        (
            b"#!/link\n".to_vec(),
            "ELOOP: Too many symbolic links encountered: its interpreter /link cannot be executed",
        ),
        (b"#!/file\n".to_vec(), "ELOOP: Too many symbolic links encountered"),
        (
            b"#!/etc/passwd/x\n".to_vec(),
            "ENOTDIR: Not a directory: its interpreter /etc/passwd/x cannot be executed",
        ),
        (b"#!/etc\n".to_vec(), "EACCES: Permission denied: its interpreter /etc cannot be executed"),
        (
            needing("/nosuch"),
            "ENOENT: No such file or directory: it needs the loader /nosuch, which is missing",
        ),
        (needing("/etc"), "EACCES: Permission denied: it needs the loader /etc, which cannot be executed"),
        (
            needing("/script"),
            "EIO: I/O error: it needs the loader /script, which is no program for the same machine",
        ),
        (
            needing("/empty"),
            "EIO: I/O error: it needs the loader /empty, which is no program for the same machine",
        ),
        (
            needing("/long"),
            "ELIBBAD: Accessing a corrupted shared library: it needs the loader /long, which is no program for the same machine",
        ),
        (
            needing("/foreign"),
            "ELIBBAD: Accessing a corrupted shared library: it needs the loader /foreign, which is no program for the same machine",
        ),
        (header(ELSEWHERE), "ENOEXEC: Exec format error: it is for another architecture"),
        (b"text\n".to_vec(), "ENOEXEC: Exec format error: it is no program and has no #! line"),
    ]
}

/// The same of which only the kernel knows, or its version.
fn undecidable_files() -> Vec<(Vec<u8>, &'static str)> {
    let no_interpreter = ": it has a #! line that names no interpreter\ncapshim: hint: begin /file with a line that does: #!/bin/sh\n";
    vec![
        (b"#!".to_vec(), no_interpreter),
        (b"#! \t ".to_vec(), no_interpreter),
        (b"#!\0/bin/sh\n".to_vec(), no_interpreter),
        (b"#! \0\n".to_vec(), no_interpreter),
        (header(HERE), "ENOEXEC: Exec format error: it is a damaged program file"),
        (needing(""), "ENOEXEC: Exec format error: it is a damaged program file"),
        (needing("/damaged"), "ELIBBAD: Accessing a corrupted shared library\n"),
    ]
}

fn odd(container: Container, file: impl AsRef<[u8]>) -> Container {
    symlink("/link", container.path("/link")).expect("a link");
    let container = program(container, "/file", file);
    let container = program(container, "/script", "#!/bin/sh\n");
    let container = program(container, "/long", format!("#!/bin/sh\n# {:64}\n", ""));
    let container = program(container, "/empty", "");
    let container = program(container, "/damaged", header(HERE));
    program(container, "/foreign", header(ELSEWHERE))
}

#[test]
fn what_execve_says_of_a_file_is_foretold() {
    for (file, said) in odd_files().into_iter().chain(undecidable_files()) {
        // A check says the same (`Container::shim`).
        odd(app(), &file).shim(&["/file"]).refuses_saying(126, "execve(/file): ");
        let output = odd(app().env("CAPSHIM_INIT", "1"), &file).shim(&["/file"]);
        assert!(output.code == 126 && output.stderr.contains(said), "{said}: {}", output.stderr);
    }
    for file in ["#!/bin/sh\0x\n/state\n", "#!bin/sh\n/state\n"] {
        odd(app(), file).shim(&["/file"]).is_exactly(1000, 1000, "29, 1000, 1001", "none");
    }
}

#[test]
fn where_ptrace_is_denied_the_files_are_looked_at_and_the_report_says_so() {
    let denied = || app().no_new_privs().deny("ptrace", libc::EPERM);
    for (file, said) in odd_files() {
        let output = odd(denied(), &file).shim(&["/file"]);
        assert!(output.code == 126 && output.stderr.contains(said), "{said}: {}", output.stderr);
        is_untried(&odd(denied(), &file).run(&["/capshim", "--check", "/file"]).stdout);
    }
    // Denied in any way, and where PID 1 is the command's parent.
    let starts: [fn() -> Container; 4] = [
        || app().no_new_privs().deny("ptrace", libc::EPERM),
        || app().no_new_privs().deny("ptrace", libc::ENOSYS),
        || app().no_new_privs().deny("ptrace", 0),
        || app().no_new_privs().kill("ptrace"),
    ];
    for start in starts {
        for init in ["0", "1"] {
            let start = || program(start().env("CAPSHIM_INIT", init), "/witness", witness());
            assert_eq!(start().shim(&["/witness"]).stdout, RAN);
            let check = start().run(&["/capshim", "--check", "/witness"]);
            is_untried(&check.stdout);
            assert!(!check.stdout.contains(RAN), "{}", check.stdout);
            assert_eq!(start().shim(&["/nosuch"]).code, 127);
        }
    }
    // Elsewhere there is no such row, and nothing to say where there is no command.
    let asked = program(app(), "/witness", witness()).run(&["/capshim", "--check", "/witness"]);
    assert!(section(&asked.stdout, "command").iter().all(|row| !row.contains("execve")), "{}", asked.stdout);
    let without = denied().run(&["/capshim", "--check"]);
    assert!(without.code == 0 && !without.stdout.contains("not tried"), "{}", without.stdout);
}

#[test]
fn a_format_that_the_kernel_was_taught_is_foretold() {
    // An instance of binfmt_misc that counts in the container's user namespace alone.
    let script = format!(
        "/bin/busybox mkdir /tmp/formats && /bin/busybox mount -t binfmt_misc none /tmp/formats && \
         echo ':foreign:M:18:\\x{ELSEWHERE:02x}\\x00::/bin/true:' >/tmp/formats/register && \
         echo ':text:M::hello::/bin/true:' >/tmp/formats/register && exec /capshim \"$@\""
    );
    for file in [header(ELSEWHERE), b"hello\n".to_vec()] {
        let start = || {
            let image = program(app().capabilities(&["SETGID", "SETUID", "SYS_ADMIN"]), "/file", &file);
            symlink("busybox", image.path("/bin/true")).expect("a link");
            image.user_namespace(100_000, 65_536)
        };
        let start = |words: &[&str]| start().run(&[&["/bin/sh", "-c", &script, "sh"], words].concat());
        let run = start(&["/file"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        let check = start(&["--check", "/file"]);
        check.foretells(&run);
        assert_eq!(value(&check.stdout, "command", "/file"), "/file");
    }
}

#[test]
fn a_program_that_the_kernel_gives_up_on_is_foretold() {
    // Its loader is itself, at the same place.
    for init in ["0", "1"] {
        let start = || program(app().env("CAPSHIM_INIT", init), "/file", needing("/file"));
        let run = start().run(&["/capshim", "/file"]);
        assert_eq!((run.code, run.stderr.as_str()), (128 + libc::SIGSEGV, ""));
        let check = start().run(&["/capshim", "--check", "/file"]);
        assert_eq!((check.code, check.stderr.as_str()), (run.code, ""));
        let end = "\noutcome\n  signal 11 ended the attempt, and would end a run\n  exit code 139\n";
        assert!(
            check.stdout.contains(end) && check.stdout.matches("outcome").count() == 1,
            "{}",
            check.stdout
        );
    }
}

#[test]
fn nothing_of_the_command_runs_in_a_check() {
    let shim: &[&str] = &["/capshim"];
    let deaf: &[&str] = &["/launch", "--ignore", "SIGTRAP", "--block", "SIGTRAP", "--", "/capshim"];
    let lock = || program(lock(), "/witness", witness());
    // What cannot be read is refused where a capability is asked for.
    let closed = || program(app(), "/witness", witness()).mode("/witness", 0o711);
    let off = || lock().env("CAPSHIM_NO_NEW_PRIVS", "0");
    let user = |caps: &[&str]| {
        let start = Container::user(1000, 1000).env("CAPSHIM_CAPS", "ipc_lock").capabilities(&["IPC_LOCK"]);
        let start = start.set("permitted", caps).set("effective", caps);
        program(start.file_caps("/capshim", "cap_ipc_lock=p"), "/witness", witness())
    };
    let root = || Container::root().capabilities(&["IPC_LOCK"]).env("CAPSHIM_USER", "root");
    let starts: [(&dyn Fn() -> Container, &[&str]); 11] = [
        (&lock, shim),
        (&lock, deaf),
        (&|| lock().env("CAPSHIM_INIT", "1"), shim),
        (&|| lock().env("CAPSHIM_INIT", "1"), deaf),
        (&|| off().file_caps("/witness", "cap_ipc_lock=ep"), shim),
        (&|| off().file_caps("/witness", "cap_ipc_lock=ei"), deaf),
        (&|| off().owned("/witness", 1000, 1000, 0o6755), deaf),
        (&closed, shim),
        (&|| user(&["IPC_LOCK"]), shim),
        // The shim's file gives it what it did not have, which makes it undumpable.
        (&|| user(&[]), shim),
        (&|| program(root(), "/witness", witness()), shim),
    ];
    for (start, launch) in starts {
        let run = start().run(&[launch, &["/witness"]].concat());
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, RAN, ""));
        let check = start().run(&[launch, &["--check", "/witness"]].concat());
        check.foretells(&run);
        assert!(!check.stdout.contains(RAN), "{}", check.stdout);
        assert!(!check.stdout.contains("not tried"), "{}", check.stdout);
    }
}

/// The processes of a check that a shell started: the check, the tracer, and the process that
/// executes the command, as far as they are there.
fn processes(shell: i32) -> Option<[i32; 3]> {
    let child = |process: i32| {
        let text = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let check = child(shell)?;
    let tracer = child(check)?;
    Some([check, tracer, child(tracer)?])
}

/// A field of /proc/PID/status, of a process that may have ended.
fn field(process: i32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":"));
    line.unwrap_or_default().trim().to_owned()
}

/// A check whose tracer is stopped and whose command was executed: its processes. Whether the
/// tracer can be stopped in time is a matter of luck, so that it is tried until it is.
#[track_caller]
fn caught(live: &mut Live) -> [i32; 3] {
    for _ in 0..10_000 {
        live.write("\n");
        let found = (0..100_000).find_map(|_| processes(live.pid()));
        let Some(found @ [_, tracer, command]) = found else {
            live.until("checked 0\n");
            continue;
        };
        // It changes its user when it is traced.
        while field(command, "Uid").starts_with("0\t") {}
        kill(tracer, libc::SIGSTOP);
        if field(command, "Uid").starts_with("1000\t") && field(tracer, "State").starts_with('T') {
            eventually("an end of exec", || field(command, "State") != "R (running)");
            if field(command, "Name") == "witness" && field(command, "State").starts_with('t') {
                return found;
            }
        }
        kill(tracer, libc::SIGCONT);
        live.until("checked 0\n");
    }
    panic!("never caught");
}

#[test]
fn a_command_that_was_executed_is_killed_with_its_tracer() {
    let script = "while read line && test -z \"$line\"; do /capshim --check /witness \"$@\" >>/tmp/report; echo checked $?; done; \
                  /bin/busybox grep -c '^ran' /tmp/report; /witness";
    // Which takes long to execute.
    let argument = "x".repeat(100_000);
    let command = [&["/bin/sh", "-c", script, "sh"][..], &[argument.as_str(); 15]].concat();
    for init in ["0", "1"] {
        let start = program(lock().env("CAPSHIM_INIT", init), "/witness", witness());
        let mut live = start.live(&command);
        let [_, tracer, command] = caught(&mut live);
        kill(tracer, libc::SIGKILL);
        eventually("its end", || {
            field(command, "Name") != "witness" || field(command, "State").starts_with('Z')
        });
        // There is a report all the same.
        live.until("checked 0\n");
        live.write("end\n");
        let output = live.end();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0\nran\n", ""));
    }
}

#[test]
fn under_a_tracer_nothing_runs_either_whatever_it_makes_of_the_calls() {
    // The first call pretends, and the second one's result is true: somebody traces the child.
    for lies in ["error=EPERM:when=100", "retval=0", "retval=0:when=1", "retval=0:when=2", "retval=0:when=3"]
    {
        let strace = ["-e".to_owned(), format!("inject=ptrace:{lies}")];
        let start = program(lock(), "/witness", witness());
        let (check, _) = start.attached(&strace, &["/capshim", "--check", "/witness"]);
        assert_eq!((check.code, check.stderr.as_str()), (0, ""), "{}", check.stdout);
        is_untried(&check.stdout);
        assert!(!check.stdout.contains(RAN), "{}", check.stdout);
    }
}

#[test]
fn a_check_leaves_no_process_behind() {
    // With a PID 1 that reaps nobody.
    for command in ["/witness", "/nosuch", "/damaged"] {
        for init in ["0", "1"] {
            let start = program(lock().env("CAPSHIM_INIT", init), "/witness", witness());
            let start = program(start, "/damaged", header(HERE));
            let check =
                format!("/capshim --check {command} >/dev/null; echo checked; /bin/busybox sleep 1000");
            let script = format!("({check}) & exec /bin/busybox sleep 1000");
            let mut live = start.live(&["/bin/sh", "-c", &script]);
            live.until("checked\n");
            assert_eq!(children(live.pid()).len(), 1, "{command}");
        }
    }
}

/// A uid that no other process has, not even of another run of these tests: a limit counts all of a
/// user's.
fn lone_uid() -> u32 {
    100_000 + std::process::id() % 30_000
}

#[test]
fn a_check_fails_for_a_limit_on_processes_where_a_run_does() {
    let uid = lone_uid();
    let user = format!("{uid}:{uid}");
    let switched = || as_user(&user);
    let stays = || Container::user(uid, uid).env("CAPSHIM_CAPS", "none");
    // Init mode takes a process more than a run without.
    let starts: [(&dyn Fn() -> Container, &str, &str, i32); 9] = [
        (&switched, "0", "0", 0),
        (&switched, "0", "1", 0),
        (&switched, "1", "0", 71),
        (&switched, "1", "1", 71),
        (&switched, "1", "2", 0),
        (&stays, "0", "1", 0),
        (&stays, "1", "1", 71),
        (&stays, "1", "2", 0),
        (&stays, "1", "3", 0),
    ];
    // A shell sets the limit: crun could not fork under it, and with runc 1.3 the threads of runc count.
    let limited = |start: Container, most: &str, words: &[&str]| {
        start.run(&[&["/bin/sh", "-c", "ulimit -u $0 && exec \"$@\"", most, "/capshim"], words].concat())
    };
    for (start, init, most, code) in starts {
        let checked = |command: &str| {
            let start = |words: &[&str]| limited(start().env("CAPSHIM_INIT", init), most, words);
            let run = start(&[command]);
            start(&["--check", "--", command]).foretells(&run);
            run
        };
        match checked("/state") {
            output if code == 0 => _ = output.is_exactly(uid, uid, output.state()["groups"], "none"),
            output => output.refuses_saying(code, "fork: EAGAIN: Try again"),
        }
        checked("/nosuch").refuses_saying(if code == 0 { 127 } else { code }, "");
    }
    // It could not fork.
    is_untried(&limited(stays(), "1", &["--check", "/state"]).stdout);
    // In a user namespace the limit counts for root too.
    for (init, most, code) in [("0", "1", 0), ("1", "1", 71), ("1", "2", 0)] {
        let start = |words: &[&str]| {
            let start = switched().env("CAPSHIM_INIT", init).user_namespace(uid * 10_000, 150_000);
            limited(start, most, words)
        };
        let run = start(&["/state"]);
        assert_eq!(run.code, code, "{}", run.stderr);
        start(&["--check", "/state"]).foretells(&run);
    }
}

#[test]
fn a_user_who_has_too_many_processes_already_is_foretold() {
    // exec(2) fails where setresuid(2) found the limit exceeded. The fork of init mode is before it.
    let uid = lone_uid();
    let user = format!("{uid}:{uid}");
    for (init, code, said) in [("0", 126, "execve(/state): EAGAIN"), ("1", 71, "fork: EAGAIN")] {
        let start = |command: &str| {
            let script = format!(
                "/bin/busybox mkfifo /tmp/up; CAPSHIM_INIT=0 /capshim /bin/sh -c 'echo up; kill -STOP $$' >/tmp/up & \
                 read up </tmp/up; export CAPSHIM_INIT={init}; exec /capshim {command}"
            );
            let start = as_user(&user).most_processes(0);
            start.run(&["/bin/sh", "-c", &script])
        };
        let run = start("/state");
        run.refuses_saying(code, said);
        start("--check /state").foretells(&run);
    }
}

#[test]
fn a_list_of_arguments_that_is_too_long_is_foretold() {
    // The limit is 128 KiB with this stack, and a script's first line adds to the list.
    let start = app().configured(|config| {
        let limit = serde_json::json!({ "type": "RLIMIT_STACK", "hard": 512 << 10, "soft": 512 << 10 });
        config["process"]["rlimits"].as_array_mut().expect("limits").push(limit);
    });
    let start = program(start, "/script", format!("#!/bin/true {}\n", "x".repeat(200)));
    symlink("busybox", start.path("/bin/true")).expect("a link");
    let script = "n=129800; while test $n -lt 131000; do n=$((n + 20)); x=$(printf %0${n}d 0); \
                  /capshim --check /script $x >/tmp/report 2>/tmp/said; check=$?; \
                  /capshim /script $x 2>/tmp/said; echo $check $? $(/bin/busybox grep -o 'E2BIG: .*' /tmp/report); done";
    let output = start.run(&["/bin/sh", "-c", script]);
    let same = |line: &&str| *line == "0 0" || *line == "126 126 E2BIG: Argument list too long";
    let lines: Vec<&str> = output.stdout.lines().take_while(same).collect();
    assert!(
        lines.contains(&"0 0") && lines.iter().filter(|line| **line != "0 0").count() > 2,
        "{}",
        output.stdout
    );
    // What remains is too long for a check itself, whose command line is the longer one.
    let rest: Vec<&str> = output.stdout.lines().skip(lines.len()).collect();
    assert!(rest.iter().all(|line| line.starts_with("126 126")), "{}", output.stdout);
}
