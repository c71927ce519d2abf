//! What depends on an engine's version, as the documents say it.

use std::process::Command;

use super::engine::Engine;

/// The numbers that a version begins with, as in `20.10.24+dfsg1`.
pub fn numbers(version: &str) -> [u32; 3] {
    let mut parts =
        version.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Whether this version of Docker permits what is granted to a process that is not root's, before
/// its first program is executed (docs/runtimes.md).
pub fn docker_permits_users(version: &str) -> bool {
    let version = numbers(version);
    version >= [24, 0, 6] || version[0] == 23 && version >= [23, 0, 7]
}

/// What runc says that it is, where the tests' machine has it.
pub fn runc_version() -> [u32; 3] {
    let said = Command::new("runc").arg("--version").output().expect("runc").stdout;
    let text = String::from_utf8(said).expect("text");
    numbers(text.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a version"))
}

/// The exit code of runc, and so of what runs it, where it cannot execute the program: seen of 1.1.5 and
/// 1.1.15, and of 1.3.6.
pub fn runc_cannot_execute() -> i32 {
    if runc_version() >= [1, 3, 0] { 255 } else { 1 }
}

/// Whether a volume that is mounted nosuid is so in a container of containerd's, too: runc 1.2 and newer
/// make a bind mount's flags anew. Seen of 1.1.5 and 1.1.15, and of 1.3.6.
pub fn runc_keeps_nosuid() -> bool {
    runc_version() < [1, 2, 0]
}

impl Engine {
    /// The groups of a session of `podman exec` as uid 1000: the gid is among them with 5.8.6, and not with
    /// 4.3.1 and 5.4.2.
    pub fn groups_of_a_session(&self) -> &'static str {
        if numbers(&self.version()) >= [5, 8, 0] { "1000" } else { "none" }
    }

    /// Whether an image can be mounted into a container: by Podman, and by Docker from 28 on.
    pub fn mounts_images(&self) -> bool {
        self.program() != "docker" || numbers(&self.version())[0] >= 28
    }

    /// Docker 20.10 does not know PERFMON and BPF (docs/snippets.md).
    pub fn knows_perfmon(&self) -> bool {
        self.program() != "docker" || numbers(&self.version())[0] >= 23
    }
}

#[test]
fn the_numbers_of_a_version_are_compared_as_numbers() {
    for (version, permits) in [
        ("20.10.24+dfsg1", false),
        ("23.0.6", false),
        ("23.0.10", true),
        ("24.0.5-0ubuntu1", false),
        ("24.0.6", true),
        ("25.0.0", true),
        ("28.2.2", true),
    ] {
        assert_eq!(docker_permits_users(version), permits, "{version}");
    }
}
