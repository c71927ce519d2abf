//! The files of a container's image.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Container;
use super::machine::emulator;

impl Container {
    /// A place in the image, for the host.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("rootfs").join(inside.trim_start_matches('/'))
    }

    /// The same, where a folder of the host's may be mounted.
    pub fn path_in_volume(&self, inside: &str) -> PathBuf {
        let mounts = self.config["mounts"].as_array().expect("mounts");
        let binds = mounts.iter().rev().filter(|mount| mount["type"] == "bind");
        let mut below = binds.filter_map(|mount| {
            let rest = Path::new(inside).strip_prefix(mount["destination"].as_str()?).ok()?;
            Some(Path::new(mount["source"].as_str()?).join(rest))
        });
        below.next().unwrap_or_else(|| self.path(inside))
    }

    /// A file of root's, mode 0644.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Container {
        fs::write(self.path(path), content).expect("a file");
        self
    }

    /// A script that everyone may execute.
    pub fn script(self, path: &str, text: impl AsRef<[u8]>) -> Container {
        let folder = path.rsplit_once('/').expect("a path").0;
        self.folder(folder).file(path, text).mode(path, 0o755)
    }

    /// A symbolic link.
    pub fn link(self, to: &str, path: &str) -> Container {
        symlink(to, self.path(path)).expect("a link");
        self
    }

    /// A copy of something in the image.
    pub fn copy(self, from: &str, to: &str) -> Container {
        fs::create_dir_all(self.path(to).parent().expect("a parent")).expect("a folder");
        copy([self.path(from)], &self.path(to));
        self
    }

    /// A file of this machine at the same place.
    pub fn import(self, file: &Path) -> Container {
        let to = self.path(file.to_str().expect("a path"));
        fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        copy([file], &to);
        self
    }

    /// A program of this machine at the same place, with its loader and its libraries if it is
    /// dynamic.
    pub fn import_program(self, program: &Path) -> Container {
        let ldd = Command::new("ldd").arg(program).output().expect("ldd");
        let listed = String::from_utf8(ldd.stdout).expect("text");
        let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
        libraries.fold(self.import(program), |container, library| container.import(Path::new(library)))
    }

    pub fn without(self, path: &str) -> Container {
        fs::remove_file(self.path(path)).expect("a file to remove");
        self
    }

    pub fn folder(self, path: &str) -> Container {
        fs::create_dir_all(self.path(path)).expect("a folder");
        self
    }

    /// Owner first: a change of owner clears set-id bits.
    pub fn owned(self, path: &str, uid: u32, gid: u32, mode: u32) -> Container {
        chown(self.path(path), Some(uid), Some(gid)).expect("chown");
        self.mode(path, mode)
    }

    pub fn mode(self, path: &str, mode: u32) -> Container {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).expect("chmod");
        self
    }

    /// File capabilities in setcap's words, as in `cap_ipc_lock=p`.
    pub fn file_caps(self, path: &str, words: &str) -> Container {
        let mut setcap = Command::new("setcap");
        setcap.arg(words).arg(self.path(path));
        if path == "/capshim" && emulator().is_some() {
            // The kernel looks at the file that it executes.
            setcap.arg(words).arg(self.path("/emulator"));
        }
        let setcap = setcap.output().expect("setcap");
        assert!(setcap.status.success(), "setcap {words}: {}", String::from_utf8_lossy(&setcap.stderr));
        self
    }

    /// File capabilities, below bit 32 and permitted, that belong to the user namespace with
    /// this root: a `security.capability` attribute of revision 3.
    pub fn file_caps_of_namespace(self, path: &str, root: u32, permitted: u32, effective: bool) -> Container {
        let words = [0x0300_0000 | u32::from(effective), permitted, 0, 0, 0, root];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        let script =
            "import os, sys; os.setxattr(sys.argv[1], 'security.capability', bytes.fromhex(sys.argv[2]))";
        let python = Command::new("python3")
            .args(["-c", script])
            .arg(self.path(path))
            .arg(hex)
            .output()
            .expect("python3");
        assert!(python.status.success(), "setxattr: {}", String::from_utf8_lossy(&python.stderr));
        self
    }

    pub(super) fn image_of(self, owner: u32) -> Container {
        for entry in walk(&self.path("")) {
            std::os::unix::fs::lchown(entry, Some(owner), Some(owner)).expect("lchown");
        }
        self
    }
}

/// A copy that another process makes. What this process has open for writing, a child that another test
/// starts at that moment inherits, and the kernel executes no file that is open for writing (ETXTBSY).
#[track_caller]
pub fn copy(from: impl IntoIterator<Item = impl AsRef<OsStr>>, to: &Path) {
    let copied = Command::new("cp").args(from).arg(to).status().expect("cp");
    assert!(copied.success(), "cp to {}", to.display());
}

/// Everything below a folder, and the folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() && !found[at].is_symlink() {
            let entries =
                fs::read_dir(&found[at]).expect("a folder").map(|entry| entry.expect("an entry").path());
            found.extend(entries.collect::<Vec<_>>());
        }
        at += 1;
    }
    found
}
