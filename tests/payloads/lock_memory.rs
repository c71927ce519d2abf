//! Locks 64 MiB into memory, or as many as are asked for, as a store of secrets does (mlock(2)).
//! Beyond RLIMIT_MEMLOCK that takes IPC_LOCK.
//!
//!     lock_memory [MIB]

use std::process::ExitCode;

fn main() -> ExitCode {
    let size = std::env::args().nth(1).map_or(64, |size| size.parse().expect("a number"));
    let memory = vec![0u8; size << 20];
    // SAFETY: the range is the vector's, which lives until the process ends.
    let result = unsafe { libc::mlock(memory.as_ptr().cast(), memory.len()) };
    match nix::errno::Errno::result(result) {
        Ok(_) => {
            println!("mlock of {size} MiB: locked");
            ExitCode::SUCCESS
        }
        Err(errno) => {
            println!("mlock of {size} MiB: {errno}");
            ExitCode::FAILURE
        }
    }
}
