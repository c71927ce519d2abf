//! A process for each case, which is what the container's first process would be and starts
//! the case's program whenever it is told to. Its mounts and capabilities are its own.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, chdir, fork, pipe, pivot_root, setgroups, setresgid, setresuid,
};

use crate::cases::{Case, Start};

/// What one run took.
#[derive(Clone, Copy)]
pub struct Run {
    pub nanoseconds: u64,
    /// Page faults of all its processes that needed no disk.
    pub faults: u64,
}

pub struct Worker {
    pub pid: Pid,
    channel: UnixStream,
}

impl Worker {
    pub fn new(case: &Case) -> Worker {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        // SAFETY: this process has one thread.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Parent { child } => Worker { pid: child, channel: ours },
            ForkResult::Child => {
                drop(ours);
                enter(&case.start);
                Server::new(case, theirs).serve();
                std::process::exit(0);
            }
        }
    }

    pub fn run(&mut self) -> Run {
        let [nanoseconds, faults] = self.ask(Order::Run);
        Run { nanoseconds, faults }
    }

    /// The KiB that the program holds while the application runs.
    pub fn resident(&mut self) -> u64 {
        self.ask(Order::Stay)[0]
    }

    fn ask(&mut self, order: Order) -> [u64; 2] {
        let mut answer = [0; 16];
        self.channel.write_all(&[order as u8]).expect("a worker");
        self.channel.read_exact(&mut answer).expect("a worker's answer");
        [0, 8].map(|at| u64::from_ne_bytes(answer[at..at + 8].try_into().expect("8 bytes")))
    }
}

/// The worker ends when its channel does.
impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.channel.shutdown(std::net::Shutdown::Both);
        let _ = nix::sys::wait::waitpid(self.pid, None);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Run = 1,
    Stay = 2,
}

/// Makes this process what a runtime would make of it.
fn enter(start: &Start) {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS).expect("unshare(CLONE_NEWNS): scripts/bench must be root");
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("private mounts");
    new_root(start);
    for number in 0..64 {
        if start.granted.iter().all(|cap| *cap as u8 != number) {
            // SAFETY: takes numbers only. Beyond the last capability it fails.
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        }
    }
    let (uid, gid) = (Uid::from_raw(start.uid), Gid::from_raw(start.uid));
    setgroups(&[gid, Gid::from_raw(2000)]).expect("setgroups");
    setresgid(gid, gid, gid).expect("setresgid");
    setresuid(uid, uid, uid).expect("setresuid");
}

/// As a container sees its image: the two files lie on the root's own mount, over this machine's.
fn new_root(start: &Start) {
    const NONE: Option<&str> = None;
    const NO_FLAGS: MsFlags = MsFlags::empty();
    // In memory: a layer must not lie within another one.
    let layers = start.passwd.parent().expect("a folder").join("layers");
    fs::create_dir_all(&layers).expect("a folder");
    mount(Some("tmpfs"), &layers, Some("tmpfs"), NO_FLAGS, NONE).expect("tmpfs");
    let [upper, work, root] = ["upper", "work", "root"].map(|name| layers.join(name));
    for folder in [&upper.join("etc"), &work, &root] {
        fs::create_dir_all(folder).expect("a folder");
    }
    for folder in [&layers, &upper, &upper.join("etc"), &root] {
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("chmod");
    }
    for (from, name) in [(&start.passwd, "passwd"), (&start.group, "group")] {
        fs::copy(from, upper.join("etc").join(name)).expect("a copy");
    }
    let options = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("overlay"), &root, Some("overlay"), NO_FLAGS, Some(options.as_str())).expect("overlay");
    for name in ["proc", "dev", "tmp"] {
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(&Path::new("/").join(name)), &root.join(name), NONE, bind, NONE).expect(name);
    }
    chdir(&root).expect("chdir");
    pivot_root(".", ".").expect("pivot_root");
    umount2(".", MntFlags::MNT_DETACH).expect("umount");
}

/// The worker's side.
struct Server<'a> {
    case: &'a Case,
    channel: UnixStream,
    /// The application's standard output and error are a pipe, as in a container.
    output: File,
    pipe: OwnedFd,
    null: File,
}

impl Server<'_> {
    fn new(case: &Case, channel: UnixStream) -> Server<'_> {
        let (output, pipe) = pipe().expect("pipe");
        fcntl(output.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("O_NONBLOCK");
        Server {
            case,
            channel,
            output: output.into(),
            pipe,
            null: File::open("/dev/null").expect("/dev/null"),
        }
    }

    fn serve(mut self) {
        let mut order = [0];
        while self.channel.read_exact(&mut order).is_ok() {
            let answer = if order[0] == Order::Run as u8 { self.run() } else { [self.stay(), 0] };
            let answer = answer.map(u64::to_ne_bytes).concat();
            if self.channel.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn run(&mut self) -> [u64; 2] {
        let actions = self.stdio(self.null.as_raw_fd());
        let begin = Instant::now();
        let pid = self.spawn(&self.case.argv, &actions);
        let (status, faults) = wait(pid);
        let nanoseconds = begin.elapsed().as_nanos() as u64;
        self.check(status);
        [nanoseconds, faults]
    }

    fn stay(&mut self) -> u64 {
        let (stdin, open) = pipe().expect("pipe");
        let mut argv = self.case.argv.clone();
        argv.push(c"wait".to_owned());
        let actions = self.stdio(stdin.as_raw_fd());
        fcntl(&open, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).expect("FD_CLOEXEC");
        let pid = self.spawn(&argv, &actions);
        let mut said = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        poll(&mut said, PollTimeout::NONE).expect("poll");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        drop(open);
        let (status, _) = wait(pid);
        self.check(status);
        resident.expect("VmRSS")
    }

    fn stdio(&self, stdin: i32) -> PosixSpawnFileActions {
        let mut actions = PosixSpawnFileActions::init().expect("file actions");
        actions.add_dup2(stdin, 0).expect("standard input");
        actions.add_dup2(self.pipe.as_raw_fd(), 1).expect("standard output");
        actions.add_dup2(self.pipe.as_raw_fd(), 2).expect("standard error");
        actions
    }

    fn spawn(&self, argv: &[CString], actions: &PosixSpawnFileActions) -> Pid {
        let attributes = PosixSpawnAttr::init().expect("attributes");
        posix_spawn::<_, CString, CString>(
            self.case.argv[0].as_c_str(),
            actions,
            &attributes,
            argv,
            &self.case.environment,
        )
        .expect("posix_spawn")
    }

    /// What it did must have been what it is there for.
    fn check(&mut self, status: i32) {
        let mut said = Vec::new();
        // Ends with EAGAIN: the pipe is empty.
        let _ = self.output.read_to_end(&mut said);
        let code = if self.case.becomes == 0 { 10 } else { 11 };
        let said = String::from_utf8_lossy(&said);
        let ended = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == code;
        assert!(ended, "{:?}: status {status:#x} and not exit code {code}: {said}", self.case.argv);
    }
}

/// wait4(2).
fn wait(pid: Pid) -> (i32, u64) {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: writes one number and one structure, which is valid as zeroes, too.
    let (ended, usage) =
        unsafe { (libc::wait4(pid.as_raw(), &mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
    assert_eq!(ended, pid.as_raw(), "wait4: {}", std::io::Error::last_os_error());
    (status, usage.ru_minflt as u64)
}
