//! A folder that containers share, one after another, as Kubernetes' emptyDir.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::harness::container::guard;

pub struct Volume {
    folder: TempDir,
    is_mounted: bool,
}

impl Volume {
    /// As `emptyDir: {}`: root's, and everyone may write.
    #[track_caller]
    pub fn on_disk() -> Volume {
        guard();
        let folder = TempDir::with_prefix("capshim-volume-").expect("a folder");
        Volume { folder, is_mounted: false }.owned("", 0, 0, 0o777)
    }

    /// As `emptyDir: {medium: Memory}`, with these options of tmpfs.
    pub fn in_memory(options: &str) -> Volume {
        let mut volume = Volume::on_disk();
        let tmpfs = Some("tmpfs");
        mount(tmpfs, volume.folder(), tmpfs, MsFlags::empty(), Some(options)).expect("mount");
        volume.is_mounted = true;
        volume.owned("", 0, 0, 0o777)
    }

    /// As a container sees an image's layer (overlayfs): its folders `lower`, `upper` and `work`.
    pub fn layered(&self) -> Volume {
        let mut volume = Volume::on_disk();
        let folder = |name: &str| format!("{name}dir={}", self.path(name).display());
        let options = ["lower", "upper", "work"].map(folder).join(",");
        let overlay = Some("overlay");
        mount(overlay, volume.folder(), overlay, MsFlags::empty(), Some(options.as_str())).expect("mount");
        volume.is_mounted = true;
        volume
    }

    /// As Kubernetes mounts it in a pod with a user namespace, whose ids begin with `first` on the
    /// host: they are 0 and up on disk (mount_setattr(2), "ID-mapped mounts").
    pub fn id_mapped(first: u32) -> Volume {
        let mut volume = Volume::on_disk();
        let namespace = user_namespace(first);
        let attributes = libc::mount_attr {
            attr_set: libc::MOUNT_ATTR_IDMAP,
            attr_clr: 0,
            propagation: 0,
            userns_fd: namespace.as_raw_fd() as u64,
        };
        let folder = CString::new(volume.folder().as_os_str().as_bytes()).expect("a path");
        let (here, nothing) = (libc::AT_FDCWD, c"".as_ptr());
        // SAFETY: the strings end in NUL, and the attributes have the size that is said.
        unsafe {
            let tree = Errno::result(libc::syscall(
                libc::SYS_open_tree,
                here,
                folder.as_ptr(),
                libc::OPEN_TREE_CLONE,
            ));
            let tree = OwnedFd::from_raw_fd(tree.expect("open_tree") as RawFd);
            let (fd, size) = (tree.as_raw_fd(), size_of_val(&attributes));
            let set =
                libc::syscall(libc::SYS_mount_setattr, fd, nothing, libc::AT_EMPTY_PATH, &attributes, size);
            Errno::result(set).expect("mount_setattr");
            let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
            let moved = libc::syscall(libc::SYS_move_mount, fd, nothing, here, folder.as_ptr(), flags);
            Errno::result(moved).expect("move_mount");
        }
        volume.is_mounted = true;
        volume
    }

    /// A file system that takes no change of mode and shows these, in chmod(1)'s words: bindfs(1),
    /// as it may stand before one of Windows' or macOS'.
    pub fn with_modes_of_its_own(modes: &str) -> Volume {
        let mut volume = Volume::on_disk();
        let mounted = Command::new("bindfs")
            .args(["--chmod-ignore", &format!("--perms={modes}"), "-o", "allow_other,default_permissions"])
            .args([volume.folder(), volume.folder()])
            .output()
            .expect("bindfs");
        assert!(mounted.status.success(), "bindfs: {}", String::from_utf8_lossy(&mounted.stderr));
        volume.is_mounted = true;
        volume
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Volume {
        fs::write(self.path(name), content).expect("a file");
        self
    }

    pub fn owned(self, name: &str, uid: u32, gid: u32, mode: u32) -> Volume {
        chown(self.path(name), Some(uid), Some(gid)).expect("chown");
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("chmod");
        self
    }

    /// All that is in it, hidden or not.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    pub fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file")
    }

    /// What getcap says of a file; with `-n`, of whose user namespace too.
    pub fn getcap(&self, name: &str) -> String {
        let output = Command::new("getcap").arg("-n").arg(self.path(name)).output().expect("getcap");
        let said = String::from_utf8(output.stdout).expect("text");
        said.trim_start_matches(self.path(name).to_str().expect("text")).trim().to_owned()
    }
}

/// A user namespace with these ids of the host's, for as long as the file is open.
fn user_namespace(first: u32) -> fs::File {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "sh", "-c", "echo there; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut process = command.spawn().expect("unshare");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let proc = PathBuf::from(format!("/proc/{}", process.id()));
    for map in ["uid_map", "gid_map"] {
        fs::write(proc.join(map), format!("0 {first} 65536")).expect("a map");
    }
    let namespace = fs::File::open(proc.join("ns/user")).expect("a namespace");
    drop(process.stdin.take());
    process.wait().expect("unshare");
    namespace
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            // A container that still has it mounted keeps it in its own namespace.
            let _ = umount2(self.folder(), MntFlags::MNT_DETACH);
        }
    }
}
