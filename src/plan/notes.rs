//! What capshim tells about a start or an installation that succeeds.
//!
//! Pure. The words of every note are here.
#![forbid(unsafe_code)]

use std::ffi::c_int;
use std::fmt;

use nix::errno::Errno;

use crate::model::caps::CapSet;
use crate::model::expected::Expected;
use crate::model::ids::{Gid, Uid, listed};
use crate::plan::change::Why;
use crate::plan::groups;
use crate::plan::step::Step;
use crate::settings::groups::GroupPolicy;
use crate::settings::names;

/// Something to tell that does not stop the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A file could not be used, with the cause, but this start does not need it.
    GoesOnWithout(String),
    /// A non-root start keeps the runtime's ids, and `CAPSHIM_USER` says otherwise.
    UserStands {
        uid: Uid,
        gid: Gid,
        setting: String,
    },
    /// Optional capabilities that this container lacks.
    OptionalLeftOut(CapSet),
    /// What the application will hold.
    Becomes(Expected),
    /// Inherited groups that `auto` does not pass on.
    GroupsDropped {
        why: Why,
        gids: Vec<Gid>,
        /// The setting that drops them.
        policy: GroupPolicy,
    },
    GroupIsRoots,
    RootEquivalent(CapSet),
    /// The application will hold them, but they are worth nothing in this user namespace.
    VoidInUserNamespace(CapSet),
    StreamsNotShared {
        step: Step,
        errno: Errno,
    },
    /// The programs that this file starts will not inherit these.
    AmbientLost {
        file: String,
        caps: CapSet,
    },
    /// A forwarded signal did not reach the application.
    NotForwarded {
        call: &'static str,
        to: c_int,
        signal: c_int,
        errno: Errno,
    },
    /// A copy was installed on a nosuid mount.
    NosuidMount {
        folder: String,
    },
    NoexecMount {
        folder: String,
    },
    /// Anyone who may execute an installed copy can become root by these.
    DangerousCopy(CapSet),
}

impl Note {
    /// Other notes are told only if `CAPSHIM_LOG` is info.
    pub fn is_warning(&self) -> bool {
        match self {
            Note::Becomes(_)
            | Note::GroupIsRoots
            | Note::RootEquivalent(_)
            | Note::AmbientLost { .. }
            | Note::DangerousCopy(_) => false,
            Note::GroupsDropped { why, .. } => *why == Why::MaybeUnmapped,
            _ => true,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Note::GoesOnWithout(cause) => write!(f, "{cause}; this start does not need it"),
            Note::UserStands { uid, gid, setting } => write!(
                f,
                "the runtime started this container as uid {uid} gid {gid}; these stay, and {}={setting} is not used",
                names::USER
            ),
            Note::OptionalLeftOut(caps) => {
                write!(f, "left out as optional, because this container lacks them: {caps}")
            }
            Note::Becomes(Expected { uid, gid, groups, caps, no_new_privs, .. }) => {
                let on = if *no_new_privs { "on" } else { "off" };
                let groups = listed(groups);
                write!(f, "uid {uid}, gid {gid}, groups {groups}, capabilities {caps}, no_new_privs {on}")
            }
            Note::GroupsDropped { why, gids, policy } => {
                write!(f, "left out of the groups ({why}): {}", listed(gids))?;
                match gids.first().and_then(|gid| groups::kept_by(*gid, *why, policy)) {
                    Some(cure) => write!(f, "; to keep one, list it: {cure}"),
                    None => Ok(()),
                }
            }
            Note::GroupIsRoots => f.write_str("the application's group is root's (gid 0)"),
            Note::RootEquivalent(caps) => {
                write!(f, "these can be turned into root in the container or on the node: {caps}")
            }
            Note::VoidInUserNamespace(caps) => write!(
                f,
                "this container has its own user namespace, where the kernel does not honour {caps}: what needs it will fail \
                 (Kubernetes: hostUsers: true; Docker/Podman: --userns host, and not rootless)"
            ),
            Note::StreamsNotShared { step, errno } => {
                write!(f, "{step}: {errno}: the application may be unable to open /dev/stdout")
            }
            Note::AmbientLost { file, caps } => {
                write!(
                    f,
                    "{file} has file capabilities: the programs that it starts will not inherit {caps}, and it runs in secure mode \
                     (ld.so(8)): LD_LIBRARY_PATH, LD_PRELOAD, NODE_OPTIONS and the like are ignored"
                )
            }
            Note::NotForwarded { call, to, signal, errno } => {
                let why = match errno {
                    Errno::EPERM => {
                        "the application has changed its user, and signals do not reach it: let capshim change the user \
                         in its place, or use the runtime's own init in place of CAPSHIM_INIT"
                    }
                    Errno::EAGAIN => "the application's queue of signals is full, and some are lost",
                    _ => "a signal did not reach the application",
                };
                write!(f, "{call}({to}, {signal}): {errno}: {why}; this is not said again")
            }
            Note::NosuidMount { folder } => mount(f, folder, "nosuid", "file capabilities do not count"),
            Note::NoexecMount { folder } => mount(f, folder, "noexec", "nothing can be executed"),
            Note::DangerousCopy(caps) => write!(
                f,
                "whoever may execute the copy can turn {caps} into root in the container or on the node"
            ),
        }
    }
}

fn mount(f: &mut fmt::Formatter, folder: &str, option: &str, effect: &str) -> fmt::Result {
    write!(
        f,
        "{folder} is on a {option} mount here, where {effect}: mount it without {option} where the copy is to run"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_asked_for_or_expects_is_no_warning() {
        let caps = CapSet::EMPTY;
        let dropped = |why| Note::GroupsDropped { why, gids: Vec::new(), policy: GroupPolicy::AUTO };
        for told in [
            Note::GroupIsRoots,
            Note::RootEquivalent(caps),
            Note::AmbientLost { file: String::new(), caps },
            Note::DangerousCopy(caps),
            dropped(Why::Root),
            dropped(Why::GivenToRoot),
        ] {
            assert!(!told.is_warning(), "{told:?}");
        }
        for told in [
            Note::OptionalLeftOut(caps),
            Note::VoidInUserNamespace(caps),
            Note::GoesOnWithout(String::new()),
            Note::NosuidMount { folder: String::new() },
            dropped(Why::MaybeUnmapped),
        ] {
            assert!(told.is_warning(), "{told:?}");
        }
    }
}
