//! A folder that containers share, one after another, as Kubernetes' emptyDir.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

pub struct Volume {
    folder: TempDir,
    is_mounted: bool,
}

impl Volume {
    /// As `emptyDir: {}`: root's, and everyone may write.
    pub fn on_disk() -> Volume {
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

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            // A container that still has it mounted keeps it in its own namespace.
            let _ = umount2(self.folder(), MntFlags::MNT_DETACH);
        }
    }
}
