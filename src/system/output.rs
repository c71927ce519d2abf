//! Writes to standard output and standard error.

use std::os::fd::BorrowedFd;

use nix::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{isatty, write};

use crate::system::files::standard_stream;
use crate::system::signals::{bit, pending, sigprocmask, take_signal};

/// Writes all of it to standard output, in one call if the kernel takes it. A closed standard output is no
/// error.
pub fn print(mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match write(standard_stream(libc::STDOUT_FILENO), bytes) {
            Ok(0) => return Err(Errno::EIO),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EBADF) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes to standard error, and gives up if nobody reads: a message must neither end this process nor hold
/// it up. Fails if the signal mask cannot be restored.
///
/// A failing write(2) sends a signal, which is blocked here and then taken from the queue. A full pipe or a
/// stopped terminal would block write(2), so poll(2) comes first. It gives a slow reader a second, and then a
/// pipe has room for PIPE_BUF bytes (pipe(7)). Only another writer that takes this room between the two calls
/// can still make write(2) wait.
pub fn say(mut words: &[u8]) -> Result<()> {
    const PATIENCE: u16 = 1000;
    let stderr = standard_stream(libc::STDERR_FILENO);
    if words.is_empty() {
        return Ok(());
    }
    let of_write = bit(libc::SIGPIPE) | bit(libc::SIGXFSZ);
    let waiting = pending() & of_write;
    let mask = sigprocmask(libc::SIG_BLOCK, of_write);
    while !words.is_empty() {
        let nobody_reads = poll(&mut [PollFd::new(stderr, PollFlags::POLLOUT)], PATIENCE) == Ok(0);
        if nobody_reads {
            break;
        }
        match write_blocked(stderr, &words[..words.len().min(libc::PIPE_BUF)]) {
            Ok(written) if written > 0 => words = &words[written..],
            Err(Errno::EINTR) => {}
            _ => break,
        }
    }
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // This signal was pending for the application, and was taken with ours. Send it again.
        if waiting & bit(signal) != 0 && pending() & bit(signal) == 0 {
            // SAFETY: takes a number only.
            unsafe { libc::raise(signal) };
        }
    }
    // If the mask could not be changed, there is nothing to restore.
    mask.map_or(Ok(()), |before| sigprocmask(libc::SIG_SETMASK, before).map(drop))
}

/// write(2) with SIGPIPE and SIGXFSZ blocked. If it fails, its signal is taken from this thread's queue. A
/// signal that was sent to the process stays: the process has its own queue (signal(7)).
pub fn write_blocked(fd: BorrowedFd, bytes: &[u8]) -> Result<usize> {
    let result = write(fd, bytes);
    let signal = match result {
        Err(Errno::EPIPE) => libc::SIGPIPE,
        Err(Errno::EFBIG) => libc::SIGXFSZ,
        _ => return result,
    };
    let _ = take_signal(signal);
    result
}

/// Whether standard output is a terminal (isatty(3)).
pub fn writes_to_terminal() -> bool {
    isatty(standard_stream(libc::STDOUT_FILENO)) == Ok(true)
}
