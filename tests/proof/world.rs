//! What the cases share: a root filesystem with copies of the shim and of the payload, each
//! with its own attributes, and a user namespace to enter.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, chdir, fork, pipe, pivot_root};
use tempfile::TempDir;

use crate::case::{Files, POOL};

pub const SHIMS: usize = 6;
pub const TARGETS: usize = 60;

/// By number (linux/capability.h); those that no case uses are left out.
pub const NAMES: [&str; 41] = {
    let mut names = [""; 41];
    names[6] = "setgid";
    names[7] = "setuid";
    names[8] = "setpcap";
    names[10] = "net_bind_service";
    names[13] = "net_raw";
    names[14] = "ipc_lock";
    names[40] = "checkpoint_restore";
    names
};

pub const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nbad:x:abc:5::/:\napp:x:1000:1000::/home/app:/bin/sh\n\
    other:x:1001:0::/:\ntoor:x:0:0::/:\n";
pub const GROUP: &str = "root:x:0:root,app\ndisk:x:6:root\naudio:x:29:app\nweb:x:1001:app\napp:x:1000:\n";

/// What hides them. Root is a member of nothing there.
pub const OTHER_PASSWD: &str =
    "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nother:x:1001:0::/:\n";
pub const OTHER_GROUP: &str =
    "root:x:0:\ndisk:x:6:\naudio:x:29:app\nweb:x:1001:app\napp:x:1000:\nthird:x:2000:toor\n";

/// The first id of the user namespace, seen from outside; it has 65536 of them.
pub const FIRST: u32 = 100_000;

/// The mode of a file that everyone may execute and its owner read.
const CLOSED: u32 = 0o711;

/// The attributes of one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes {
    pub caps: Option<FileCaps>,
    pub owner: u32,
    pub group: u32,
    /// 04000 and 02000.
    pub set_id: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileCaps {
    pub permitted: u64,
    pub inheritable: u64,
    pub effective: bool,
    /// Of the user namespace whose root it belongs to, where that is not the initial one.
    pub root: Option<u32>,
}

pub struct World {
    folder: TempDir,
    pub shims: [Attributes; SHIMS],
    pub targets: [Attributes; TARGETS],
    namespace: Holder,
}

pub fn available() -> Result<(), String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err("not root".into());
    }
    built("capshim")
        .filter(|path| path.exists())
        .map(drop)
        .ok_or("no STATIC_DIR with the static binaries".into())
}

fn built(name: &str) -> Option<PathBuf> {
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join(std::env::var_os("STATIC_DIR")?).join(name))
}

impl World {
    pub fn new() -> World {
        let folder = TempDir::with_prefix("capshim-proof-").expect("a folder");
        let world = World { folder, shims: shims(), targets: targets(), namespace: Holder::new() };
        let root = world.folder.path();
        fs::set_permissions(root, Permissions::from_mode(0o755)).expect("chmod");
        let closed = ["closed", "closed-scripts", "closed-chains"];
        let open =
            ["etc", "lib", "other", "proc", "shims", "starts", "targets", "nosuid", "scripts", "chains"];
        for name in open.iter().chain(&closed) {
            fs::create_dir(root.join(name)).expect("a folder");
        }
        fs::write(root.join("etc/passwd"), PASSWD).expect("passwd");
        // A link that stays on the root's mount is the runtime's file, too.
        fs::write(root.join("lib/group"), GROUP).expect("group");
        symlink("../lib/group", root.join("etc/group")).expect("a link");
        fs::write(root.join("other/passwd"), OTHER_PASSWD).expect("passwd");
        fs::write(root.join("other/group"), OTHER_GROUP).expect("group");
        for (index, attributes) in world.shims.iter().enumerate() {
            attributes.copy(&built("capshim").expect("capshim"), &root.join(format!("shims/{index}")), 0o755);
        }
        for (index, attributes) in world.targets.iter().enumerate() {
            let report = built("examples/report").expect("report");
            let at = |folder: &str| root.join(format!("{folder}/{index}"));
            attributes.copy(&report, &at("targets"), 0o755);
            script(&at("scripts"), &format!("/targets/{index}"), 0o755);
            script(&at("chains"), &format!("/scripts/{index}"), 0o755);
            attributes.copy(&report, &at("closed"), CLOSED);
            script(&at("closed-scripts"), &format!("/targets/{index}"), CLOSED);
            script(&at("closed-chains"), &format!("/closed-scripts/{index}"), 0o755);
        }
        world
    }

    /// Makes the root filesystem this process's own, in a mount namespace of its own.
    pub fn enter(&self) {
        const NONE: Option<&str> = None;
        let root = self.folder.path();
        unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("private mounts");
        mount(Some(root), root, NONE, MsFlags::MS_BIND, NONE).expect("the root");
        mount(Some(&root.join("targets")), &root.join("nosuid"), NONE, MsFlags::MS_BIND, NONE)
            .expect("nosuid");
        let nosuid = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID;
        mount(NONE, &root.join("nosuid"), NONE, nosuid, NONE).expect("nosuid");
        mount(Some("proc"), &root.join("proc"), Some("proc"), MsFlags::empty(), NONE).expect("proc");
        chdir(root).expect("chdir");
        pivot_root(".", ".").expect("pivot_root");
        umount2(".", MntFlags::MNT_DETACH).expect("umount");
    }

    /// Hides the files, in a mount namespace of this process's own.
    pub fn hide(&self, files: Files) -> nix::Result<()> {
        let mounts: &[(&str, &str)] = match files {
            Files::TheRuntimes => return Ok(()),
            Files::PasswdMounted => &[("/other/passwd", "/etc/passwd")],
            Files::GroupMounted => &[("/other/group", "/etc/group")],
            Files::FolderMounted => &[("/other", "/etc")],
            Files::GroupLinked => &[("/other", "/lib")],
        };
        unshare(CloneFlags::CLONE_NEWNS)?;
        mounts
            .iter()
            .try_for_each(|(from, to)| mount(Some(*from), *to, None::<&str>, MsFlags::MS_BIND, None::<&str>))
    }

    /// Moves this process, which has one thread, into the user namespace.
    pub fn enter_user_namespace(&self) -> nix::Result<()> {
        setns(&self.namespace.file, CloneFlags::CLONE_NEWUSER)
    }
}

impl Attributes {
    fn copy(&self, from: &Path, to: &Path, mode: u32) {
        fs::copy(from, to).expect("a copy");
        chown(to, Some(self.owner), Some(self.group)).expect("chown");
        fs::set_permissions(to, Permissions::from_mode(mode | self.set_id)).expect("chmod");
        if let Some(caps) = self.caps {
            caps.write(to);
        }
    }
}

impl FileCaps {
    /// Writes the attribute (linux/capability.h, vfs_cap_data and vfs_ns_cap_data).
    fn write(&self, file: &Path) {
        let magic = if self.root.is_some() { 0x0300_0000 } else { 0x0200_0000 } | u32::from(self.effective);
        let halves = [self.permitted, self.inheritable, self.permitted >> 32, self.inheritable >> 32];
        let words = [magic].into_iter().chain(halves.map(|half| half as u32)).chain(self.root);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        let path = CString::new(file.to_str().expect("text")).expect("no NUL byte");
        // SAFETY: the strings end in NUL and the length is the buffer's.
        let result = unsafe {
            libc::setxattr(
                path.as_ptr(),
                c"security.capability".as_ptr(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
            )
        };
        assert_eq!(result, 0, "setxattr: {}", std::io::Error::last_os_error());
    }
}

/// Of root's.
pub fn script(path: &Path, interpreter: &str, mode: u32) {
    fs::write(path, format!("#!{interpreter}\n")).expect("a script");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn shims() -> [Attributes; SHIMS] {
    let all = POOL.iter().map(|cap| 1 << cap).sum();
    let with = |permitted, inheritable, effective| Attributes {
        caps: Some(FileCaps { permitted, inheritable, effective, root: None }),
        ..Attributes::default()
    };
    [
        Attributes::default(),
        with(all, 0, false),
        with(1 << 14, 0, false),
        with(1 << 14 | 1 << 40, 0, true),
        with(0, all, false),
        with(0, 0, false),
    ]
}

/// The first is plain, the others are the same in every run.
fn targets() -> [Attributes; TARGETS] {
    let mut random = fastrand::Rng::with_seed(7);
    let mut targets = [Attributes::default(); TARGETS];
    for target in &mut targets[1..] {
        let mut set = || POOL.iter().filter(|_| random.u8(0..3) == 0).map(|cap| 1 << cap).sum();
        let (permitted, inheritable): (u64, u64) = (set(), set());
        let narrow = random.bool();
        let only_lock = |set: u64| if narrow { set & (1 << 14 | 1 << 40) } else { set };
        let root = (random.u8(0..5) == 0).then(|| if random.bool() { FIRST } else { 300_000 });
        let caps = FileCaps {
            permitted: only_lock(permitted),
            inheritable: only_lock(inheritable),
            effective: random.bool(),
            root,
        };
        *target = Attributes {
            caps: (random.u8(0..4) != 0).then_some(caps),
            owner: *random.choice(&[0, 1000, 4242, FIRST, FIRST + 1000]).unwrap_or(&0),
            group: *random.choice(&[0, 29, 1000, FIRST + 1000]).unwrap_or(&0),
            set_id: *random.choice(&[0, 0, 0, 0o4000, 0o2000, 0o6000]).unwrap_or(&0),
        };
    }
    targets
}

/// A process that does nothing but keep a user namespace.
struct Holder {
    child: Pid,
    file: File,
}

impl Holder {
    fn new() -> Holder {
        let (ready, moved) = pipe().expect("pipe");
        // SAFETY: this process has one thread.
        let child = match unsafe { fork() }.expect("fork") {
            ForkResult::Child => {
                unshare(CloneFlags::CLONE_NEWUSER).expect("unshare");
                drop(moved);
                loop {
                    nix::unistd::pause();
                }
            }
            ForkResult::Parent { child } => child,
        };
        drop(moved);
        // The child has closed its end when the namespace is there.
        assert_eq!(std::io::Read::read(&mut File::from(ready), &mut [0]).expect("read"), 0);
        let map = format!("0 {FIRST} 65536\n");
        for file in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{child}/{file}"), &map).expect(file);
        }
        let file = File::open(format!("/proc/{child}/ns/user")).expect("the namespace");
        Holder { child, file }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        kill(self.child, Signal::SIGKILL).expect("kill");
        waitpid(self.child, None).expect("waitpid");
    }
}
