//! capshim under container runtimes that have a daemon, started for the tests and stopped after
//! them, from the files that users paste (`examples/`).
//!
//! scripts/runtimes installs and builds what these tests need and runs them.

mod admission;
mod containerd;
mod engines;
mod gvisor;
mod images;
mod machine;
mod wrapping;

/// The same users and groups, and the same words for what a container left behind, as in the
/// tests that start runc by themselves.
#[expect(dead_code, reason = "the tests that start runc use the rest")]
#[path = "../containers/harness/container/mod.rs"]
mod container;

/// A test says itself what it takes.
const PROGRAMS: [&str; 0] = [];

/// Ends a test here, loudly, where these programs are missing; fails it where all tests must run.
#[macro_export]
macro_rules! needs {
    ($($program:literal),+) => {
        if let Err(missing) = $crate::available(&[$($program),+]) {
            let missing = format!("NOT RUN, {missing}: scripts/runtimes installs what Debian has of it, and builds");
            assert!(std::env::var_os("REQUIRE_ALL_TESTS").is_none(), "{missing}");
            eprintln!("{missing}");
            return;
        }
    };
}

fn available(programs: &[&str]) -> Result<(), String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Err("not root".into());
    }
    if let Some(program) = programs.iter().find(|program| container::find(program).is_none()) {
        return Err(format!("no {program}"));
    }
    std::env::var_os("STATIC_DIR").map(drop).ok_or("no STATIC_DIR with the static binaries".into())
}
