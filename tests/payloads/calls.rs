//! Calls that more than one payload makes for their capability.

use nix::errno::Errno;

/// adjtimex(2): SYS_TIME, also where the status is set to what it is.
pub fn adjust_clock() -> nix::Result<()> {
    // SAFETY: a structure of numbers.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    for modes in [0, libc::ADJ_STATUS] {
        clock.modes = modes;
        // SAFETY: the structure lives.
        Errno::result(unsafe { libc::adjtimex(&mut clock) })?;
    }
    Ok(())
}

/// perf_event_open(2): PERFMON, to count what every process does on a CPU.
pub fn count_every_process() -> nix::Result<()> {
    const SOFTWARE: u64 = 1;
    let mut attributes = [0u64; 14];
    attributes[0] = SOFTWARE | (size_of_val(&attributes) as u64) << 32;
    // SAFETY: the attributes live and are as long as they say.
    Errno::result(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), -1, 0, -1, 0) })
        .map(drop)
}
