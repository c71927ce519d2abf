//! The system calls between the container's exec and the application's, as strace sees them
//! from outside.

use crate::harness::container::Container;
use crate::harness::starts::lock;
use crate::harness::strace;

/// The calls that capshim makes, `name(arguments) = result` each, execve of the payload last.
fn calls(container: Container) -> Vec<String> {
    let (output, log) = container.attached(&[], &["/capshim", "/state"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    strace::calls_of_capshim(&log).into_iter().map(|call| call.line).collect()
}

fn start() -> Container {
    lock().groups(&[0, 10, 2000])
}

/// The files that these calls opened.
fn files(calls: &[String]) -> Vec<String> {
    let path = |call: &String| call.split('"').nth(1).map(str::to_owned);
    let opens = calls.iter().filter(|call| call.starts_with("open") && !call.contains("ENOENT"));
    opens.filter_map(path).collect()
}

#[test]
fn an_error_opens_no_file_for_a_backtrace() {
    let start = start().env("RUST_BACKTRACE", "1").env("RUST_LIB_BACKTRACE", "1");
    let fault = ["-e", "inject=setresuid:error=EIO"].map(str::to_owned);
    let (output, log) = start.attached(&fault, &["/capshim", "/state"]);
    output.refuses(71, "capshim: setresuid(1000, 1000, 1000): EIO: I/O error\n");
    let calls: Vec<String> = strace::calls_to_the_end(&log).into_iter().map(|call| call.line).collect();
    // The last one tells which hint is right.
    assert_eq!(files(&calls), ["/etc/passwd", "/etc/group", "/proc/self/setgroups"]);
}

#[test]
fn no_file_but_passwd_and_group_is_opened_before_the_switch() {
    let calls = calls(start());
    let switch = calls.iter().position(|call| call.starts_with("setresuid(")).expect("the switch");
    assert_eq!(files(&calls[..switch]), ["/etc/passwd", "/etc/group"]);
    assert_eq!(files(&calls[switch..]), ["/state"]);
    let others = ["socket", "connect", "mmap2", "clone", "fork", "vfork", "readlink", "chdir"];
    for call in &calls {
        assert!(!others.contains(&call.split('(').next().unwrap_or_default()), "{call}");
    }
    // What the shim's own file carries is known without opening it.
    let calls = self::calls(lock().env("CAPSHIM_NO_NEW_PRIVS", "0"));
    assert_eq!(files(&calls), ["/etc/passwd", "/etc/group", "/state"]);
}

#[test]
fn the_steps_come_in_the_documented_order() {
    let steps = [
        "capset(",
        "prctl(PR_SET_KEEPCAPS",
        "setgroups(",
        "setresgid(1000, 1000, 1000)",
        "fchown(",
        "setresuid(1000, 1000, 1000)",
        "capset(",
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL",
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_IPC_LOCK",
        "prctl(PR_SET_NO_NEW_PRIVS",
        "capget(",
        "getresuid(",
        "getresgid(",
        "getgroups(",
        "prctl(PR_GET_NO_NEW_PRIVS",
        "execve(",
    ];
    let calls = calls(start());
    let mut rest = calls.iter();
    for step in steps {
        assert!(
            rest.any(|call| call.starts_with(step)),
            "{step} is missing or out of order in:\n{}",
            calls.join("\n")
        );
    }
}

#[test]
fn about_sixty_calls_are_enough() {
    // Of these, fifteen are for three pipes to share; a stdin that is /dev/null takes one.
    let calls = calls(start());
    println!("system calls between the container's exec and the application's: {}", calls.len());
    calls.iter().for_each(|call| println!("    {call}"));
    assert!(calls.len() <= 66, "{}", calls.len());
}
