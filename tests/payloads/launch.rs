//! Sets up a start that no runtime makes by itself, then executes the rest of its arguments.
//!
//!     launch [--OPTION [VALUE]]... -- COMMAND [ARG...]
//!
//! It shares no code with capshim.

use std::ffi::{CStr, CString, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, Pid, execve, fexecve, fork, getpid, pipe, setgroups, setpgid, tcsetpgrp};

fn main() {
    // std ignores SIGPIPE before main; a start of ours begins with the default.
    dispose(Signal::SIGPIPE, SigHandler::SigDfl);
    let mut arguments = std::env::args_os().skip(1);
    let mut deleted = false;
    let mut environment: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| c_string([name.into_vec(), value.into_vec()].join(&b'=')))
        .collect();
    while let Some(option) = arguments.next().filter(|option| option != "--") {
        let mut value = || arguments.next().expect("a value").into_string().expect("text");
        match option.to_str().expect("an option") {
            "--ignore" => dispose(signal(&value()), SigHandler::SigIgn),
            "--block" => block(signal(&value())),
            // Blocked, and sent to this very thread.
            "--pending" => {
                let signal = signal(&value());
                block(signal);
                nix::sys::signal::raise(signal).expect("raise");
            }
            // Appended as it is, even if the name is there already.
            "--env" => environment.push(c_string(value().into_bytes())),
            "--securebits" => prctl(libc::PR_SET_SECUREBITS, value().parse().expect("a number")),
            "--drop-bounding" => prctl(libc::PR_CAPBSET_DROP, value().parse().expect("a number")),
            "--no-new-privs" => prctl(libc::PR_SET_NO_NEW_PRIVS, value().parse().expect("1")),
            "--groups" => {
                let groups: Vec<Gid> =
                    value().split(',').map(|gid| Gid::from_raw(gid.parse().expect("a gid"))).collect();
                setgroups(&groups).expect("setgroups");
            }
            // Group and user, as other tools change them.
            "--user" => {
                let id: u32 = value().parse().expect("an id");
                setgroups(&[]).expect("setgroups");
                nix::unistd::setgid(Gid::from_raw(id)).expect("setgid");
                nix::unistd::setuid(nix::unistd::Uid::from_raw(id)).expect("setuid");
            }
            // A namespace with these maps (user_namespaces(7)); their lines end in a comma.
            "--user-namespace" => user_namespace(&value(), "allow"),
            "--user-namespace-without-setgroups" => user_namespace(&value(), "deny"),
            // Until somebody writes into this FIFO.
            "--wait" => wait(&value()),
            // To a process group that ends.
            "--lend-terminal" => lend_terminal(&value()),
            "--own-group" => setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("setpgid"),
            "--unmount" => nix::mount::umount(value().as_str()).expect("umount"),
            // The other side is gone.
            "--socket" => {
                let (ours, _) = std::os::unix::net::UnixStream::pair().expect("socketpair");
                duplicate(ours, &value());
            }
            "--broken-pipe" => duplicate(pipe().expect("pipe").1, &value()),
            // The command has the other side, and does not read it.
            "--full-pipe" => {
                let (reader, writer) = pipe().expect("pipe");
                fill(&writer);
                duplicate(writer, &value());
                std::mem::forget(reader);
            }
            "--full-socket" => {
                let (ours, other) = std::os::unix::net::UnixStream::pair().expect("socketpair");
                let other = nix::unistd::dup(other).expect("dup");
                fill(&ours);
                duplicate(ours, &value());
                std::mem::forget(other);
            }
            // With a process that ends when this one does.
            "--share-folder" => share_folder(),
            "--death-signal" => prctl(libc::PR_SET_PDEATHSIG, signal(&value()) as u64),
            "--session-key" => add_key(&value()),
            // Its file is gone when it runs, and so is the descriptor that it was executed by.
            "--deleted" => deleted = true,
            "--close" => nix::unistd::close(value().parse::<i32>().expect("a descriptor")).expect("close"),
            unknown => panic!("unknown option {unknown}"),
        }
    }
    let command: Vec<CString> = arguments.map(OsString::into_vec).map(unescaped).map(c_string).collect();
    let environment: Vec<&CStr> = environment.iter().map(CString::as_c_str).collect();
    if deleted {
        let path = command[0].to_str().expect("text");
        let program = fs::File::open(path).expect("the command");
        fs::remove_file(path).expect("unlink");
        let Err(errno) = fexecve(program, &command, &environment);
        panic!("fexecve: {errno}");
    }
    let Err(errno) = execve(&command[0], &command, &environment);
    panic!("execve: {errno}");
}

/// `\xNN` in an argument is that byte, which a container's config.json cannot hold.
fn unescaped(argument: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(argument).expect("text");
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).expect("no NUL byte")
}

fn signal(name: &str) -> Signal {
    name.parse().expect("a signal's name")
}

fn dispose(signal: Signal, handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler function is installed.
    unsafe { sigaction(signal, &action) }.expect("sigaction");
}

fn block(signal: Signal) {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::from(signal)), None).expect("sigprocmask");
}

/// Writes until no more fits.
fn fill(file: impl AsFd + Copy) {
    fcntl(file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("fcntl");
    while nix::unistd::write(file, &[b'x'; 4096]).is_ok() {}
    fcntl(file, FcntlArg::F_SETFL(OFlag::empty())).expect("fcntl");
}

/// Makes this descriptor another one of the same file, whatever it was before.
fn duplicate(file: impl AsRawFd, descriptor: &str) {
    let descriptor: i32 = descriptor.parse().expect("a descriptor");
    // SAFETY: both are numbers; what the second one was is closed.
    assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), descriptor) }, descriptor);
}

fn prctl(option: i32, value: u64) {
    // SAFETY: these options take numbers only.
    let result = unsafe { libc::prctl(option, value, 0u64, 0u64, 0u64) };
    nix::errno::Errno::result(result).expect("prctl");
}

/// Adds a key of this name and content to the session keyring (add_key(2)).
fn add_key(name: &str) {
    const SESSION_KEYRING: i32 = -3;
    let text = c_string(name.as_bytes().to_vec());
    let (kind, name) = (c"user".as_ptr(), text.as_ptr());
    // SAFETY: reads strings that end in NUL, and a content that is as long as is said.
    let key =
        unsafe { libc::syscall(libc::SYS_add_key, kind, name, name, text.count_bytes(), SESSION_KEYRING) };
    nix::errno::Errno::result(key).expect("add_key");
}

/// By poll(2), which a command does not use at its start: whoever counts calls begins here.
fn wait(fifo: &str) {
    let fifo = fs::File::options().read(true).write(true).open(fifo).expect("a FIFO");
    let mut ready = [PollFd::new(fifo.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::NONE).expect("poll");
}

/// Gives the foreground of this terminal to a child in a group of its own, which ends.
fn lend_terminal(path: &str) {
    let terminal = fs::File::open(path).expect("a terminal");
    // SAFETY: this program has one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("setpgid");
            block(Signal::SIGTTOU);
            tcsetpgrp(&terminal, getpid()).expect("tcsetpgrp");
            std::process::exit(0);
        }
        ForkResult::Parent { child } => drop(waitpid(child, None).expect("waitpid")),
    }
}

/// Makes a child that shares the working directory and stays as long as this process.
fn share_folder() {
    let flags = libc::CLONE_FS | libc::SIGCHLD;
    // SAFETY: without a stack and CLONE_VM it is a fork(2), and this program has one thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) };
    if nix::errno::Errno::result(child).expect("clone") == 0 {
        prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64);
        loop {
            nix::unistd::pause();
        }
    }
}

/// Moves this process into a new user namespace. The maps are written by a child that stays
/// outside, which alone may map more than one id.
fn user_namespace(map: &str, setgroups: &str) {
    let map = map.replace(',', "\n") + "\n";
    let (ready, moved) = pipe().expect("pipe");
    let parent = std::process::id();
    // SAFETY: this program has one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop(moved);
            let mut byte = [0];
            fs::File::from(ready).read_exact(&mut byte).expect("a byte");
            fs::write(format!("/proc/{parent}/setgroups"), setgroups).expect("setgroups");
            fs::write(format!("/proc/{parent}/uid_map"), &map).expect("uid_map");
            fs::write(format!("/proc/{parent}/gid_map"), &map).expect("gid_map");
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            drop(ready);
            unshare(CloneFlags::CLONE_NEWUSER).expect("unshare");
            assert!(moved.as_raw_fd() > 2);
            fs::File::from(moved).write_all(b"1").expect("a byte");
            waitpid(child, None).expect("waitpid");
        }
    }
}
