//! Locks 64 MiB into memory, as a store of secrets does (mlock(2)). Beyond RLIMIT_MEMLOCK
//! that takes IPC_LOCK.

use std::process::ExitCode;

const SIZE: usize = 64 << 20;

fn main() -> ExitCode {
    let memory = vec![0u8; SIZE];
    // SAFETY: the range is the vector's, which lives until the process ends.
    let result = unsafe { libc::mlock(memory.as_ptr().cast(), memory.len()) };
    match nix::errno::Errno::result(result) {
        Ok(_) => {
            println!("mlock of 64 MiB: locked");
            ExitCode::SUCCESS
        }
        Err(errno) => {
            println!("mlock of 64 MiB: {errno}");
            ExitCode::FAILURE
        }
    }
}
