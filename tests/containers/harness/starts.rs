//! The starts that most tests begin with.

use crate::harness::container::Container;

/// What a root start takes that switches to another user with IPC_LOCK.
pub const GRANTED: [&str; 3] = ["IPC_LOCK", "SETGID", "SETUID"];

/// The groups of `app` in the image.
pub const GROUPS: &str = "29, 1000, 1001";

/// A root start that switches to this user, granted SETUID and SETGID alone.
#[track_caller]
pub fn as_user(user: &str) -> Container {
    Container::root().env("CAPSHIM_USER", user)
}

#[track_caller]
pub fn app() -> Container {
    as_user("app")
}

/// The example of the documents: it is granted IPC_LOCK and asks for it.
#[track_caller]
pub fn lock() -> Container {
    app().capabilities(&GRANTED).env("CAPSHIM_CAPS", "ipc_lock")
}

/// A start as uid 1000 that asks for IPC_LOCK and is granted nothing.
#[track_caller]
pub fn user_lock() -> Container {
    Container::user(1000, 1000).env("CAPSHIM_CAPS", "ipc_lock")
}
