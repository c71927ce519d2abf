//! What this machine has for a container.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Where containers cannot be run, the test fails if all tests must run. Otherwise this ends the
/// whole target: none of its tests can run.
#[track_caller]
pub fn guard() {
    static NOT_RUN: LazyLock<Option<String>> = LazyLock::new(|| {
        let said = format!("NOT RUN, {}: scripts/test installs and builds what is needed", missing()?);
        if std::env::var_os("REQUIRE_ALL_TESTS").is_none() {
            // The test harness would swallow an eprintln!.
            writeln!(std::io::stderr(), "\n{said}").expect("standard error");
            std::process::exit(0);
        }
        Some(said)
    });
    if let Some(said) = &*NOT_RUN {
        panic!("{said}");
    }
}

/// What is missing here of what a container takes, and of the target's own `PROGRAMS`.
fn missing() -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("not root".into());
    }
    let runtime = runtime().swap_remove(0);
    let mut programs = [runtime.as_str(), "busybox", "setcap"].into_iter().chain(crate::PROGRAMS);
    let program = programs.find(|program| find(program).is_none()).map(|program| format!("no {program}"));
    let built = std::env::var_os("STATIC_DIR").is_some();
    program.or((!built).then(|| "no STATIC_DIR with the static binaries".into()))
}

/// A program on this machine.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A binary that scripts/build-static made.
#[track_caller]
pub fn built(name: &str) -> PathBuf {
    guard();
    let folder = PathBuf::from(std::env::var_os("STATIC_DIR").expect("STATIC_DIR"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if name == "capshim" { folder.join(name) } else { folder.join("examples").join(name) }
}

/// What runs the shim where it is for another architecture than this machine's
/// (scripts/aarch64): the path in `EMULATOR`, in the image /emulator. What it executes then runs
/// by itself, and so is for this machine's.
pub(super) fn emulator() -> Option<PathBuf> {
    std::env::var_os("EMULATOR").map(PathBuf::from)
}

/// OCI_RUNTIME runs the same tests under another one, as in `OCI_RUNTIME=crun`.
pub(super) fn runtime() -> Vec<String> {
    let words = std::env::var("OCI_RUNTIME").unwrap_or_else(|_| "runc".into());
    words.split_whitespace().map(str::to_owned).collect()
}
