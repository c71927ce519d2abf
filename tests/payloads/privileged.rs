//! Makes the call for which a kind of program needs its capability, and changes nothing.
//!
//!     privileged capture | profile | set-time

mod calls;

use std::io;
use std::process::ExitCode;

use nix::errno::Errno;

fn main() -> ExitCode {
    let kind = std::env::args().nth(1).unwrap_or_default();
    let (what, result) = match kind.as_str() {
        "capture" => ("a packet socket", packet_socket()),
        "profile" => (
            "a program for the events of every process",
            bpf_program().and_then(|()| calls::count_every_process()),
        ),
        "set-time" => ("adjusting the clock", calls::adjust_clock()),
        _ => {
            eprintln!("usage: privileged capture | profile | set-time");
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(()) => println!("{what}: done"),
        Err(error) => println!("{what}: {error}"),
    }
    ExitCode::from(u8::from(result.is_err()))
}

/// packet(7): NET_RAW.
fn packet_socket() -> Result<(), Errno> {
    const ALL: libc::c_int = (libc::ETH_P_ALL as u16).to_be() as libc::c_int;
    // SAFETY: takes and returns numbers.
    close(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, ALL) }.into())
}

/// bpf(2): BPF, and PERFMON for a program of this type; one that returns 0.
fn bpf_program() -> Result<(), Errno> {
    const PROG_LOAD: libc::c_long = 5;
    const PERF_EVENT: u32 = 7;
    const INSTRUCTIONS: [u64; 2] = [0xb7, 0x95];
    let license = c"GPL";
    let mut attributes = [0u64; 16];
    attributes[0] = u64::from(PERF_EVENT) | (INSTRUCTIONS.len() as u64) << 32;
    attributes[1] = INSTRUCTIONS.as_ptr() as u64;
    attributes[2] = license.as_ptr() as u64;
    // SAFETY: the attributes, the instructions and the license live and are as long as said.
    close(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, attributes.as_ptr(), size_of_val(&attributes)) })
}

fn close(descriptor: libc::c_long) -> Result<(), Errno> {
    let descriptor = Errno::result(descriptor)?;
    // SAFETY: nobody else has this descriptor, which is new.
    match unsafe { libc::close(descriptor as libc::c_int) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)),
    }
}
