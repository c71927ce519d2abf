//! Docker and Podman, with what a user types and builds.

mod activation;
mod builds;
mod compose;
mod engine;
pub mod from;
mod health;
mod hints;
mod lifecycle;
pub mod modes;
mod options;
mod quadlet;
mod quick_start;
mod snippets;
pub mod versions;
mod words;

/// Ends a test here, loudly, where Docker and Podman cannot be started.
macro_rules! needs_engines {
    () => {
        $crate::needs!(
            "dockerd",
            "docker-compose",
            "podman",
            "buildah",
            "runc",
            "crun",
            "newuidmap",
            "busybox",
            "nsenter"
        )
    };
}
use needs_engines;
