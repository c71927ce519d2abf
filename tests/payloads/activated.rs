//! Answers one client on a socket that was passed to it as sd_listen_fds(3) takes it: for this very
//! process, or not at all.
//!
//! It shares no code with capshim.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::FromRawFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;

fn main() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let own = u64::from(std::process::id());
    let is_own =
        number("LISTEN_PID") == Some(own) && number("LISTEN_PIDFDID").is_none_or(|id| id == pidfd_id());
    if !is_own || number("LISTEN_FDS").is_none_or(|count| count == 0) {
        println!("no sockets");
        return;
    }
    // SAFETY: it was passed to this process, and nobody else uses it.
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    let (mut client, _) = listener.accept().expect("a client");
    client.write_all(b"served\n").expect("write");
    println!("served a client");
}

/// The inode of this process's pidfd.
fn pidfd_id() -> u64 {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) };
    let fd = Errno::result(fd).expect("pidfd_open") as i32;
    // SAFETY: it is new and nobody else's.
    unsafe { File::from_raw_fd(fd) }.metadata().expect("fstat").ino()
}
