//! Makes a call for which the kernel asks for a capability of the initial user namespace, and changes
//! nothing that lasts.
//!
//!     initial_only CAPABILITY
//!
//! Prints `done`, or the errno's name.

mod calls;

use std::ffi::{c_int, c_long};
use std::process::ExitCode;
use std::ptr;

use nix::errno::Errno;

type Outcome = nix::Result<()>;
type Call = fn() -> Outcome;

const CALLS: [(&str, Call); 18] = [
    ("LINUX_IMMUTABLE", append_only),
    ("IPC_LOCK", lock_memory),
    ("SYS_MODULE", load_module),
    ("SYS_RAWIO", map_block),
    ("SYS_PACCT", stop_accounting),
    ("SYS_NICE", raise_priority),
    ("SYS_RESOURCE", raise_limit),
    ("SYS_TIME", calls::adjust_clock),
    ("SYS_TTY_CONFIG", hang_up),
    ("MKNOD", make_device),
    ("LEASE", lease_a_file_of_roots),
    ("AUDIT_WRITE", || audit(1005)),
    ("AUDIT_CONTROL", || audit(1000)),
    ("SYSLOG", ask_for_kernel_messages),
    ("WAKE_ALARM", set_alarm),
    ("AUDIT_READ", read_audit),
    ("PERFMON", calls::count_every_process),
    ("BPF", make_map),
];

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, call)) = CALLS.into_iter().find(|(known, _)| *known == name) else {
        eprintln!("usage: initial_only CAPABILITY");
        return ExitCode::from(64);
    };
    match call() {
        Ok(()) => println!("done"),
        Err(errno) => println!("{errno:?}"),
    }
    ExitCode::SUCCESS
}

fn file(flags: c_int) -> nix::Result<c_int> {
    let path = c"/tmp/initial_only";
    // SAFETY: the path ends in NUL.
    Errno::result(unsafe { libc::open(path.as_ptr(), flags | libc::O_CREAT | libc::O_RDWR, 0o600) })
}

/// ioctl_iflags(2).
fn append_only() -> Outcome {
    const SET_FLAGS: u64 = 0x4008_6602;
    let file = file(0)?;
    for flags in [0x20 as c_long, 0] {
        // SAFETY: reads a number.
        Errno::result(unsafe { libc::ioctl(file, SET_FLAGS as _, &flags) })?;
    }
    Ok(())
}

/// mlock(2), more than RLIMIT_MEMLOCK.
fn lock_memory() -> Outcome {
    let memory = vec![0u8; 64 << 20];
    // SAFETY: the memory is this program's.
    done(unsafe { libc::mlock(memory.as_ptr().cast(), memory.len()) })
}

/// init_module(2): of no bytes.
fn load_module() -> Outcome {
    // SAFETY: reads nothing.
    match done(unsafe { libc::syscall(libc::SYS_init_module, ptr::null::<u8>(), 0, c"".as_ptr()) } as c_int) {
        Err(Errno::ENOEXEC | Errno::EFAULT) => Ok(()),
        result => result,
    }
}

/// FIBMAP: where a file's first block is.
fn map_block() -> Outcome {
    const FIBMAP: u64 = 1;
    let mut block: c_int = 0;
    // SAFETY: reads and writes a number.
    match done(unsafe { libc::ioctl(file(0)?, FIBMAP as _, &mut block) }) {
        // A file system without blocks.
        Err(Errno::EINVAL) => Ok(()),
        result => result,
    }
}

/// acct(2): nobody has started it.
fn stop_accounting() -> Outcome {
    // SAFETY: takes no file.
    done(unsafe { libc::acct(ptr::null()) })
}

/// setpriority(2).
fn raise_priority() -> Outcome {
    // SAFETY: takes numbers.
    done(unsafe { libc::setpriority(libc::PRIO_PROCESS as _, 0, -1) })
}

/// setrlimit(2).
fn raise_limit() -> Outcome {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives.
    Errno::result(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) })?;
    limit.rlim_max += 4096;
    // SAFETY: the structure lives.
    done(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) })
}

/// vhangup(2): there is no terminal.
fn hang_up() -> Outcome {
    // SAFETY: takes nothing.
    done(unsafe { libc::syscall(libc::SYS_vhangup) } as c_int)
}

/// mknod(2): /dev/null's numbers.
fn make_device() -> Outcome {
    let path = c"/tmp/null";
    // SAFETY: the path ends in NUL.
    Errno::result(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 3)) })?;
    // SAFETY: the path ends in NUL.
    done(unsafe { libc::unlink(path.as_ptr()) })
}

/// F_SETLEASE, fcntl(2).
fn lease_a_file_of_roots() -> Outcome {
    let path = c"/etc/passwd";
    // SAFETY: the path ends in NUL.
    let file = Errno::result(unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) })?;
    // SAFETY: takes numbers.
    done(unsafe { libc::fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) })
}

/// netlink(7): a message of this type to the audit subsystem, and what it answers.
fn audit(kind: u16) -> Outcome {
    let (request, acknowledge) = (1u16, 4u16);
    let socket = audit_socket()?;
    let mut message = [0u8; 20];
    message[..4].copy_from_slice(&20u32.to_ne_bytes());
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&(request | acknowledge).to_ne_bytes());
    // SAFETY: the message is as long as is said.
    Errno::result(unsafe { libc::send(socket, message.as_ptr().cast(), message.len(), 0) })?;
    let mut answer = [0u8; 8192];
    loop {
        // SAFETY: the buffer is as long as is said.
        let length =
            Errno::result(unsafe { libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) })?;
        // NLMSG_ERROR: the errno, negative, after the header.
        if length >= 20 && answer[4..6] == 2u16.to_ne_bytes() {
            let errno = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
            return if errno == 0 { Ok(()) } else { Err(Errno::from_raw(-errno)) };
        }
    }
}

fn audit_socket() -> nix::Result<c_int> {
    const NETLINK_AUDIT: c_int = 9;
    // SAFETY: takes numbers.
    Errno::result(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, NETLINK_AUDIT) })
}

/// The group that is told of everything.
fn read_audit() -> Outcome {
    // SAFETY: a structure of numbers.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = 1;
    // SAFETY: the address lives and is as long as is said.
    done(unsafe { libc::bind(audit_socket()?, (&raw const address).cast(), size_of_val(&address) as u32) })
}

/// syslog(2), SYSLOG_ACTION_SIZE_UNREAD.
fn ask_for_kernel_messages() -> Outcome {
    // SAFETY: writes nothing.
    done(unsafe { libc::klogctl(9, ptr::null_mut(), 0) })
}

/// timerfd_create(2).
fn set_alarm() -> Outcome {
    // SAFETY: takes numbers.
    done(unsafe { libc::timerfd_create(libc::CLOCK_REALTIME_ALARM, 0) })
}

/// bpf(2): BPF_MAP_CREATE of a kind that nobody else may make, one entry of 4 bytes.
fn make_map() -> Outcome {
    const LRU_HASH: u32 = 9;
    let attributes = [LRU_HASH, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: the attributes live and are as long as is said.
    done(unsafe { libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), size_of_val(&attributes)) } as c_int)
}

fn done(result: c_int) -> Outcome {
    Errno::result(result).map(drop)
}
