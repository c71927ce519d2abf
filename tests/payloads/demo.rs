//! Starts a command as a container's runtime would, for scripts/demo where there is none. It
//! is no sandbox: there are no cgroups and no seccomp filter, and /proc is not masked.
//!
//!     demo [--OPTION VALUE]... COMMAND [ARG...]
//!
//! The options are performed in their order.

use std::collections::HashSet;
use std::convert::Infallible;
use std::error::Error;
use std::iter::Peekable;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, chdir, fork, pivot_root, setgid, setgroups, setuid};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let Err(error) = start(std::env::args().skip(1).peekable());
    eprintln!("demo: {error}");
    ExitCode::FAILURE
}

/// Returns only with the reason why the command was not executed.
fn start(mut arguments: Peekable<impl Iterator<Item = String>>) -> Result<Infallible> {
    while let Some(option) = arguments.next_if(|argument| argument.starts_with("--")) {
        let value = arguments.next().ok_or(format!("{option} takes a value"))?;
        let done = match option.as_str() {
            "--namespaces" => namespaces().and_then(|()| change_root(&value)),
            "--memlock" => limit_locked_memory(value.parse()?),
            "--bounding" => limit_capabilities(&value),
            "--user" => change_user(value.parse()?),
            _ => Err("unknown option".into()),
        };
        done.map_err(|error| format!("{option} {value}: {error}"))?;
    }
    let command = arguments.next().ok_or("usage: demo [--OPTION VALUE]... COMMAND [ARG...]")?;
    Err(format!("{command}: {}", Command::new(&command).args(arguments).exec()).into())
}

/// Continues in a child in new namespaces; this process ends with the child's exit status.
fn namespaces() -> Result<()> {
    let pid_and_mounts = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    unshare(pid_and_mounts | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)?;
    // SAFETY: this program has one thread, so the child may go on like any program.
    let ForkResult::Parent { child } = unsafe { fork() }? else { return Ok(()) };
    match waitpid(child, None)? {
        WaitStatus::Exited(_, code) => std::process::exit(code),
        end => Err(format!("{end:?}").into()),
    }
}

/// Makes the folder the root of this mount namespace, with its own /proc.
fn change_root(root: &str) -> Result<()> {
    const NONE: Option<&str> = None;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    // pivot_root(2): the new root must be a mount point; with "." twice the old root lies
    // over the new one until it is unmounted.
    mount(Some(root), root, NONE, MsFlags::MS_BIND, NONE)?;
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("proc"), "/proc", Some("proc"), flags, NONE)?)
}

fn limit_locked_memory(bytes: libc::rlim_t) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: setrlimit reads the structure and keeps no pointer to it.
    Errno::result(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) })?;
    Ok(())
}

/// Leaves root these capabilities after the next exec: what is in the bounding or the
/// inheritable set (capabilities(7)).
fn limit_capabilities(names: &str) -> Result<()> {
    let granted = names.split(',').map(|name| format!("CAP_{name}").parse());
    let granted: HashSet<Capability> = granted.collect::<std::result::Result<_, _>>()?;
    for capability in caps::read(None, CapSet::Bounding)?.difference(&granted) {
        caps::drop(None, CapSet::Bounding, *capability)?;
    }
    Ok(caps::clear(None, CapSet::Inheritable)?)
}

/// As su-exec does it: the change from root clears the permitted and the effective set.
fn change_user(uid: u32) -> Result<()> {
    setgroups(&[])?;
    setgid(Gid::from_raw(uid))?;
    Ok(setuid(Uid::from_raw(uid))?)
}
