//! Makes processes whose parent ends at once, and waits until nothing of them is left.
//!
//!     orphans COUNT
//!
//! It shares no code with capshim.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, getpid};

/// How long reaping may take after the last has ended.
const LIMIT: Duration = Duration::from_secs(20);

fn main() {
    let count: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("a number");
    for _ in 0..count {
        // SAFETY: this process has one thread.
        match unsafe { fork() }.expect("fork") {
            // SAFETY: the same.
            ForkResult::Child => match unsafe { fork() } {
                // The orphan and its parent end alike.
                // SAFETY: it ends the process.
                Ok(_) => unsafe { libc::_exit(0) },
                Err(errno) => panic!("fork: {errno}"),
            },
            ForkResult::Parent { child } => drop(waitpid(child, None).expect("waitpid")),
        }
    }
    let start = Instant::now();
    let mut left = others();
    while !left.is_empty() && start.elapsed() < LIMIT {
        std::thread::yield_now();
        left = others();
    }
    println!("{count} orphans, left: {}", left.len());
    left.iter().take(10).for_each(|process| println!("{process}"));
}

/// The processes besides this one and the first, with their states.
fn others() -> Vec<String> {
    let own = getpid().to_string();
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != "1" && *name != own)
        .filter_map(|name| fs::read_to_string(format!("/proc/{name}/stat")).ok())
        .collect()
}
