//! What depends on an engine's version, as the documents say it.

use super::engine::{Engine, Kind};

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

impl Engine {
    /// Docker 20.10 does not know PERFMON and BPF (docs/snippets.md).
    pub fn knows_perfmon(&self) -> bool {
        self.kind != Kind::Docker || numbers(&self.version())[0] >= 23
    }

    /// Podman 4.3's seccomp profile has them for SYS_ADMIN alone (docs/snippets.md).
    pub fn filters_perfmon(&self) -> bool {
        self.kind != Kind::Docker && numbers(&self.version())[..2] == [4, 3]
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
