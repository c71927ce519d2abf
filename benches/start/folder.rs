//! The files of the measurements: copies of what was built, and what a start needs.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub const ROOT: u32 = 0;
/// The user app of /etc/passwd.
pub const USER: u32 = 1000;
/// Lines of an ordinary /etc/passwd, and of long ones.
pub const LINES: usize = 20;
pub const MANY_LINES: [usize; 3] = [25_000, 50_000, 100_000];
pub const LARGE_MEGABYTES: usize = 100;

/// Removed when dropped.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(TempDir::with_prefix("capshim-bench-").expect("a folder"));
        fs::set_permissions(folder.0.path(), Permissions::from_mode(0o755)).expect("chmod");
        folder.import("capshim", &built("STATIC_DIR").join("capshim"));
        for name in ["nothing", "exec_only", "su_exec", "own_calls"] {
            folder.import(name, &built("BENCH_DIR").join(name));
        }
        fs::copy(folder.path("nothing"), folder.path("large")).expect("large");
        let large = OpenOptions::new().write(true).open(folder.path("large")).expect("large");
        large.set_len(LARGE_MEGABYTES as u64 * 1_000_000).expect("large");
        folder.write("group", "root:x:0:\nadm:x:4:\naudio:x:29:app\napp:x:1000:\n");
        for lines in [LINES].into_iter().chain(MANY_LINES) {
            folder.write(&format!("passwd-{lines}"), &passwd(lines));
        }
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path of another copy of a file.
    pub fn copy(&self, name: &str, number: usize) -> String {
        let copy = format!("{name}-{number}");
        self.import(&copy, &self.path(name));
        self.path(&copy).display().to_string()
    }

    /// Gives a file the application's capability.
    pub fn make_capable(&self, file: &str) {
        let setcap = Command::new("setcap").arg("cap_ipc_lock=p").arg(file).status();
        assert!(setcap.expect("setcap").success(), "setcap");
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect(name);
    }

    pub fn import(&self, name: &str, from: &Path) {
        let copied = fs::copy(from, self.path(name));
        copied.unwrap_or_else(|error| panic!("{}: {error}: scripts/bench builds it", from.display()));
    }
}

/// The folder that a variable names, seen from the repository.
fn built(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable).unwrap_or_else(|| panic!("no {variable}: use scripts/bench"));
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// The application's user comes last.
fn passwd(lines: usize) -> String {
    let other = |id: usize| format!("user{id}:x:{id}:{id}::/home/user{id}:/usr/sbin/nologin\n");
    let others: String = (2..lines).map(|n| other(USER as usize + n)).collect();
    format!("root:x:0:0:root:/root:/bin/sh\n{others}app:x:{USER}:{USER}::/home/app:/bin/sh\n")
}
