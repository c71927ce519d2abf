//! Installations that another user interferes with.

use crate::harness::container::{Container, find};
use crate::harness::install::init;
use crate::harness::volume::Volume;

/// An installation to this path with a pause at its rename, in which user 1000 runs this script.
/// It waits for this first.
pub fn outrun(path: &str, pause: &str, wait: &str, script: &str) -> String {
    let strace = find("strace").expect("strace");
    format!(
        "/launch --user 1000 -- /bin/sh -c 'until {wait}; do :; done; {script}' >/dev/null 2>&1 & \
         exec {} -qq -o /dev/null -e inject=/^rename:{pause}=3000000 /capshim --install {path} --file-caps ipc_lock",
        strace.display(),
    )
}

/// The copy is in its place.
pub fn placed(path: &str) -> String {
    format!("test \"$(stat -c %u {path})\" = 0")
}

/// Root with SETFCAP, strace, and what it takes to start another user's program.
pub fn crowded(volume: &Volume) -> Container {
    let granted = ["SETFCAP", "SETGID", "SETUID"];
    init(volume).capabilities(&granted).import_program(&find("strace").expect("strace"))
}
