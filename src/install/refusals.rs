//! Why an installation failed, and the cure. What was observed decides the cure, and not errno alone.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::fmt;

use nix::errno::Errno;

use crate::hints;
use crate::model::caps::{Cap, CapSet};
use crate::model::error::{Exit, Refusal, shown};
use crate::model::file_caps::{FileCaps, Malformed};
use crate::model::ids::{Id, OVERFLOW_ID, Uid};
use crate::process::failures;

/// Who installs what, and where.
#[derive(Debug)]
pub struct Attempt {
    pub uid: Uid,
    pub effective: CapSet,
    pub has_ambient: bool,
    pub file_caps: CapSet,
    /// The directory, fit for a message.
    pub folder: String,
    /// Its owner and mode, if they are known.
    pub folder_status: Option<(u32, u32)>,
}

/// What the copy should be, or is.
#[derive(PartialEq, Eq)]
pub struct Copy {
    pub size: u64,
    pub mode: u32,
    pub caps: Option<Result<FileCaps, Malformed>>,
}

impl Copy {
    /// Everyone may execute the copy, whatever the umask is.
    pub const MODE: u32 = 0o755;

    /// Until the copy is finished, nobody else may use it.
    pub const NEW_MODE: u32 = 0o600;
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} bytes, mode {:04o}, ", self.size, self.mode)?;
        match self.caps {
            None => f.write_str("no file capabilities"),
            Some(Ok(caps)) => write!(f, "{caps}"),
            Some(Err(Malformed)) => f.write_str("a malformed security.capability attribute"),
        }
    }
}

/// A call failed, and no cure is known.
pub fn failed(call: &str, errno: Errno) -> Refusal {
    Refusal::new(Exit::System, format!("{call}: {errno}"))
}

impl Attempt {
    /// A name in the directory.
    pub fn within(&self, name: &str) -> String {
        format!("{}/{name}", self.folder.trim_end_matches('/'))
    }

    /// A call failed on the directory or on a file in it.
    pub fn failed(&self, call: String, errno: Errno) -> Refusal {
        let folder = &self.folder;
        let refusal = failed(&call, errno);
        match errno {
            Errno::ENOENT => refusal
                .hint(format!("make the directory first: mkdir -p {folder}"))
                .or(format!("WORKDIR {folder} in a Dockerfile"))
                .or(format!(
                    "mount a volume there: Kubernetes: volumeMounts.mountPath: {folder}; Docker/Podman: -v VOLUME:{folder}"
                )),
            Errno::ENOTDIR => refusal.hint("install to another path: this one leads through a file"),
            Errno::EROFS => refusal.hint(format!(
                "mount a volume there that can be written: Kubernetes: an emptyDir at volumeMounts.mountPath: {folder}, without \
                 readOnly: true; Docker/Podman: -v VOLUME:{folder}"
            )),
            Errno::ENOSPC | Errno::EDQUOT => refusal.hint(format!(
                "make room for the copy beside the file that it replaces: Kubernetes: emptyDir.sizeLimit: 1Mi or more; \
                 Docker/Podman: --tmpfs {folder}:size=1m or more"
            )),
            Errno::EFBIG => refusal.hint("raise the limit on the size of files: Docker/Podman: --ulimit fsize=-1"),
            Errno::EBUSY => {
                refusal.hint(format!("a single file is mounted there: mount its directory {folder} instead"))
            }
            Errno::EACCES if self.lacks_rights() => refusal.hint(self.as_root()),
            _ => refusal,
        }
    }

    /// Somebody else has removed or replaced the copy.
    pub fn taken(&self, cause: String) -> Refusal {
        const OTHERS_WRITE: u32 = 0o022;
        const STICKY: u32 = 0o1000;
        let refusal = Refusal::new(Exit::System, cause);
        match self.folder_status {
            Some((owner, mode))
                if owner == self.uid.raw() && mode & OTHERS_WRITE != 0 && mode & STICKY == 0 =>
            {
                refusal.hint(format!("let nobody else replace files there: chmod go-w {}", self.folder))
            }
            _ => refusal.hint("install to a path of whose folders nobody else may write any"),
        }
    }

    /// The kernel refused the file's capabilities. `gid` is the file's, as this user namespace shows it.
    pub fn caps_refused(&self, call: String, errno: Errno, gid: Option<u32>) -> Refusal {
        let folder = &self.folder;
        let because = |exit: Exit, why: &str| Refusal::new(exit, format!("{call}: {errno}: {why}"));
        match errno {
            Errno::EPERM if !self.effective.contains(Cap::CAP_SETFCAP) => {
                because(Exit::NotGranted, "this process does not have SETFCAP").hint(self.as_root())
            }
            // Root's uid is mapped, or this process would not hold SETFCAP.
            Errno::EPERM if gid == Some(OVERFLOW_ID) => because(
                Exit::NotGranted,
                "SETFCAP is held, but the group that the directory gives its files is not mapped in this user namespace",
            )
            .hint(format!("chmod g-s {folder}"))
            .or("map its group: Kubernetes: hostUsers: true; Docker/Podman: --userns host"),
            Errno::EPERM => because(
                Exit::System,
                "SETFCAP is held, but a seccomp filter, a security module or the file system refuses",
            )
            .hint(hints::DEFAULT_PROFILE)
            .or("run it on Linux 4.14 or newer, if in a user namespace")
            .or(ANOTHER_VOLUME),
            Errno::ENOTSUP if !self.has_ambient => because(
                Exit::NotGranted,
                "this kernel or sandbox has neither file capabilities nor ambient ones",
            )
            .hint(hints::WITHOUT_SANDBOX),
            Errno::ENOTSUP => because(
                Exit::System,
                &format!("the file system at {folder} has no file capabilities"),
            )
            .hint(ANOTHER_VOLUME),
            _ => self.failed(call, errno),
        }
    }

    /// The copy's mode differs from the one that was set.
    pub fn mode_differs(&self, path: &str, mode: u32) -> Refusal {
        let folder = &self.folder;
        let cause = format!(
            "the copy for {path} has mode {mode:04o}, as the file system at {folder} has modes of its own"
        );
        Refusal::new(Exit::System, cause).hint(ANOTHER_VOLUME)
    }

    /// Whether the directory's mode keeps this process out, and not a security module.
    fn lacks_rights(&self) -> bool {
        let is_owner = self.uid == Uid::ROOT && self.root_may_write();
        !is_owner && !self.effective.contains(Cap::CAP_DAC_OVERRIDE)
    }

    /// Whether root may write as owner or like anyone, without a capability.
    fn root_may_write(&self) -> bool {
        const WRITE: u32 = 0o3;
        self.folder_status.is_some_and(|(owner, mode)| {
            let (everyones, owners) = (mode & WRITE, mode >> 6 & WRITE);
            everyones == WRITE || owner == 0 && owners == WRITE
        })
    }

    /// Hint: start as root with the capabilities that write such a file into this directory.
    fn as_root(&self) -> String {
        let of = |needed: bool, cap: Cap| if needed { CapSet::of(&[cap]) } else { CapSet::EMPTY };
        let (writes, sets) = (!self.root_may_write(), !self.file_caps.is_empty());
        hints::grant_to_root(of(writes, Cap::CAP_DAC_OVERRIDE) | of(sets, Cap::CAP_SETFCAP), self.uid)
    }
}

const ANOTHER_VOLUME: &str = "use another volume: Kubernetes: emptyDir: {} or emptyDir: {medium: Memory}; \
    Docker/Podman: --tmpfs, or a volume on a local disk";

/// Something else than a file has the copy's name.
pub fn in_the_way(path: &str, what: &str) -> Refusal {
    Refusal::new(Exit::System, format!("{path} {what}: it is not replaced"))
        .hint("install to another path")
        .or("remove it first")
}

/// The copy differs from what was written.
pub fn differs(path: &str, made: &Copy, planned: &Copy) -> Refusal {
    failures::call_lied(format!("the copy for {path} reads back as {made}; it should be {planned}"))
}

/// The installation failed, and its temporary file could not be removed.
pub fn left_behind(refusal: Refusal, path: &str, errno: Errno) -> Refusal {
    Refusal { cause: format!("{}; then unlink({path}): {errno}", refusal.cause), ..refusal }
        .hint(format!("rm {path}"))
}

/// The new file is installed, but its directory was not synced.
pub fn not_synced(folder: &str, path: &str, errno: Errno) -> Refusal {
    Refusal::new(
        Exit::System,
        format!("fsync({folder}): {errno}: {path} is installed, but may not survive a crash of the node"),
    )
}

/// This program's own file has the effective bit.
pub fn effective_file(given: CapSet, path: &[u8], uid: Uid) -> Refusal {
    let path = shown(path);
    Refusal::new(
        Exit::Setting,
        format!("the file capabilities of {path} are effective: whoever executes it could write files with {given}"),
    )
    .hint(format!(
        "to install, start as root: {}; and make them permitted only: {}",
        hints::grant_to_root(CapSet::EMPTY, uid),
        hints::file_caps(given, &path)
    ))
}
