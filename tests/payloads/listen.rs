//! Prints each signal that comes, with what its sender sent.
//!
//!     listen [--default SIGNAL]... [--join-parent] [--join GROUP] [--twin]
//!
//! All signals are taken but those left to their default. It may join its parent's process
//! group, or another. A twin is a second process in the same process group that does the same.
//! It shares no code with capshim, and asks the kernel and not libc, which keeps three real-time
//! signals for itself.

use std::io::Write;

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid, fork, getpgid, getpgrp, getpid, getppid, setpgid, tcgetpgrp};

/// The beginning of siginfo_t.
#[repr(C, align(8))]
#[derive(Default)]
struct Info {
    signal: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: i32,
    uid: u32,
    value: i32,
    rest: [i32; 25],
}

fn main() {
    let mut mask = u64::MAX;
    let mut arguments = std::env::args().skip(1);
    let mut name = "listen";
    while let Some(option) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number");
        match option.as_str() {
            "--default" => {
                let signal: i32 = number();
                mask &= !(1 << (signal - 1));
            }
            "--join-parent" => {
                let group = getpgid(Some(getppid())).expect("getpgid");
                setpgid(Pid::from_raw(0), group).expect("setpgid");
            }
            "--join" => setpgid(Pid::from_raw(0), Pid::from_raw(number())).expect("setpgid"),
            // SAFETY: this process has one thread.
            "--twin" => match unsafe { fork() }.expect("fork") {
                ForkResult::Child => name = "twin",
                ForkResult::Parent { .. } => {}
            },
            unknown => panic!("unknown option {unknown}"),
        }
    }
    // SAFETY: reads a set of the size that is given.
    let blocked = unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &mask, std::ptr::null::<u8>(), 8usize)
    };
    Errno::result(blocked).expect("rt_sigprocmask");
    let group = |leads: bool| if leads { "leads its group" } else { "is in another's group" };
    let foreground = match tcgetpgrp(std::io::stdin()) {
        Ok(foreground) if foreground == getpgrp() => ", which has the terminal",
        Ok(_) => ", which has not the terminal",
        Err(_) => "",
    };
    say(&format!("{name} {} {}{foreground}", getpid(), group(getpgrp() == getpid())));
    loop {
        let mut info = Info::default();
        // SAFETY: reads a set of the size that is given, and writes one siginfo_t.
        let taken = unsafe {
            libc::syscall(libc::SYS_rt_sigtimedwait, &mask, &mut info, std::ptr::null::<u8>(), 8usize)
        };
        match Errno::result(taken) {
            Err(Errno::EINTR) => continue,
            taken => taken.expect("rt_sigtimedwait"),
        };
        let sender = match info.pid {
            0 => "outside".to_owned(),
            pid if pid == getppid().as_raw() => "parent".to_owned(),
            pid => pid.to_string(),
        };
        match info.code {
            libc::SI_USER => say(&format!("{name}: {} from {sender}", info.signal)),
            libc::SI_QUEUE => say(&format!("{name}: {} with {} from {sender}", info.signal, info.value)),
            code => say(&format!("{name}: {} with code {code}", info.signal)),
        }
    }
}

/// One write for a line, so that those of two processes do not mix.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).expect("stdout");
}
