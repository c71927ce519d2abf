//! Does a case for real: a child makes the start with bare system calls and executes the shim.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Gid, Uid, dup2_stderr, dup2_stdout, execve, fork, pipe, setgroups, setresgid, setresuid,
};

use crate::calls::Call;
use crate::case::{By, Case, Way};
use crate::world::{self, World};

/// The exit code of a child whose file the kernel did not execute.
pub const NOT_EXECUTED: i32 = 98;
const NOT_SET_UP: i32 = 99;

#[derive(Debug)]
pub struct Seen {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The lines of /proc/self/status that a prediction has too.
pub const FIELDS: [&str; 9] =
    ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"];

impl Seen {
    pub fn state(&self) -> BTreeMap<&'static str, String> {
        state(&self.stdout)
    }
}

/// The fields in the text of /proc/self/status.
pub fn state(status: &str) -> BTreeMap<&'static str, String> {
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    FIELDS.into_iter().map(|name| (name, value(name))).collect()
}

/// The path by which the shim is to start the target.
pub fn command(case: &Case) -> String {
    let folder = match case.way {
        Way::Plain => "targets",
        Way::Nosuid => "nosuid",
        Way::Script => "scripts",
        Way::ScriptOfScript => "chains",
        Way::Closed => "closed",
        Way::ClosedScript => "closed-scripts",
        Way::ClosedInterpreter => "closed-chains",
    };
    format!("/{folder}/{}", case.target)
}

/// The case as it is meant: the shim starts the target.
pub fn through_shim(world: &World, case: &Case) -> Seen {
    let shim = format!("/shims/{}", case.shim);
    let command = command(case);
    // Of this worker's own; the kernel adds the script's path, which the target ignores.
    let [inner, outer] = ["inner", "outer"].map(|name| format!("/starts/{name}-{}", std::process::id()));
    if case.by != By::Itself {
        world::script(Path::new(&inner), &format!("{shim} {command}"), 0o755);
        world::script(Path::new(&outer), &inner, 0o755);
    }
    match case.by {
        By::Itself => perform(world, case, &[shim, command]),
        By::Script => perform(world, case, &[inner]),
        By::ScriptOfScript => perform(world, case, &[outer]),
    }
}

/// What `--check` says of that.
pub fn check(world: &World, case: &Case) -> Seen {
    let words = [format!("/shims/{}", case.shim), "--check".into(), "--".into(), command(case)];
    perform(world, case, &words)
}

/// The target executed from the same start, without the shim.
pub fn directly(world: &World, case: &Case) -> Seen {
    perform(world, case, &[command(case)])
}

fn perform(world: &World, case: &Case, argv: &[String]) -> Seen {
    let c_string = |text: String| CString::new(text).expect("no NUL byte");
    let argv: Vec<CString> = argv.iter().cloned().map(c_string).collect();
    let environment: Vec<CString> = case.environment().into_iter().map(c_string).collect();
    in_child(world, case, || {
        let Err(errno) = execve(&argv[0], &argv, &environment);
        eprintln!("execve: {errno}");
        NOT_EXECUTED
    })
}

/// Calls from the case's start on, and the target executed after them: prints the result of each call, the
/// process's status, and after this line what the target prints.
pub const EXECUTED: &str = "executed";

pub fn calls(world: &World, case: &Case, calls: &[Call]) -> Seen {
    let path = CString::new(command(case)).expect("no NUL byte");
    in_child(world, case, || {
        for call in calls {
            println!("{}", call.make().map_or_else(|errno| format!("{errno:?}"), |()| "ok".to_owned()));
        }
        print!("{}", std::fs::read_to_string("/proc/self/status").expect("/proc/self/status"));
        println!("{EXECUTED}");
        let Err(errno) = execve(&path, &[&path], &[] as &[CString]);
        eprintln!("execve: {errno}");
        NOT_EXECUTED
    })
}

/// A process that is the case's start and ends with a code.
fn in_child(world: &World, case: &Case, end: impl FnOnce() -> i32) -> Seen {
    let (stdout, stdout_end) = pipe().expect("pipe");
    let (stderr, stderr_end) = pipe().expect("pipe");
    // SAFETY: this process has one thread.
    let child = match unsafe { fork() }.expect("fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            dup2_stdout(&stdout_end).and_then(|()| dup2_stderr(&stderr_end)).expect("dup2");
            for end in [stdout, stdout_end, stderr, stderr_end] {
                drop(end);
            }
            if let Err(errno) = set_up(world, case) {
                eprintln!("set up: {errno}");
                std::process::exit(NOT_SET_UP);
            }
            std::process::exit(end());
        }
    };
    drop((stdout_end, stderr_end));
    let text = |pipe| {
        let mut text = String::new();
        File::from(pipe).read_to_string(&mut text).expect("text");
        text
    };
    // Neither fills its pipe, so one after the other will do.
    let (stdout, stderr) = (text(stdout), text(stderr));
    let code = match waitpid(child, None).expect("waitpid") {
        WaitStatus::Exited(_, code) => code,
        end => panic!("{end:?} of {case:?}"),
    };
    assert_ne!(code, NOT_SET_UP, "{stderr} {case:?}");
    Seen { code, stdout, stderr }
}

/// The start, in an order in which each call is still allowed.
fn set_up(world: &World, case: &Case) -> nix::Result<()> {
    world.hide(case.files)?;
    if case.user_namespace {
        world.enter_user_namespace()?;
    }
    let groups: Vec<Gid> = case.group_list().into_iter().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
    let (gid, uid) = (Gid::from_raw(case.gid), Uid::from_raw(case.uid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    let all = held()?;
    capset(all, all, case.inheritable)?;
    for cap in bits(case.ambient) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, cap)?;
    }
    for cap in (0..41).filter(|cap| case.bounding & (1 << cap) == 0) {
        prctl(libc::PR_CAPBSET_DROP, cap, 0)?;
    }
    prctl(libc::PR_SET_SECUREBITS, case.securebits.into(), 0)?;
    if case.no_new_privs {
        prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    }
    capset(case.permitted, case.permitted, case.inheritable)
}

fn bits(set: u64) -> impl Iterator<Item = u64> {
    (0..41).filter(move |bit| set & (1 << bit) != 0)
}

pub fn prctl(option: i32, second: u64, third: u64) -> nix::Result<()> {
    // SAFETY: these options take numbers only.
    Errno::result(unsafe { libc::prctl(option, second, third, 0u64, 0u64) }).map(drop)
}

/// `_LINUX_CAPABILITY_VERSION_3` for this thread, and (effective, permitted, inheritable) of
/// the low and the high 32 bits.
const HEADER: [u32; 2] = [0x2008_0522, 0];

fn held() -> nix::Result<u64> {
    let mut data = [0u32; 6];
    // SAFETY: version 3 writes six words.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, HEADER.as_ptr(), data.as_mut_ptr()) })?;
    Ok(u64::from(data[4]) << 32 | u64::from(data[1]))
}

pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> nix::Result<()> {
    let sets = [effective, permitted, inheritable];
    let data: Vec<u32> =
        sets.iter().map(|set| *set as u32).chain(sets.iter().map(|set| (*set >> 32) as u32)).collect();
    // SAFETY: version 3 reads six words.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, HEADER.as_ptr(), data.as_ptr()) }).map(drop)
}
