//! The change of ids and groups.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::fmt;

use crate::model::caps::{Cap, CapSet};
use crate::model::ids::{Gid, Uid};

/// What a switch from root to another user needs.
pub const SWITCH: CapSet = CapSet::of(&[Cap::CAP_SETUID, Cap::CAP_SETGID]);

/// How the ids change.
pub struct Change {
    pub uid: Uid,
    pub gid: Gid,
    pub groups: Groups,
    /// From root to another user.
    pub switches: bool,
    pub sets_gid: bool,
    pub sets_groups: bool,
}

impl Change {
    /// The capabilities that its calls need.
    pub fn needed_caps(&self) -> CapSet {
        match (self.switches, self.sets_gid || self.sets_groups) {
            (true, _) => SWITCH,
            (false, true) => CapSet::of(&[Cap::CAP_SETGID]),
            (false, false) => CapSet::EMPTY,
        }
    }
}

/// The supplementary groups of the application.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Groups {
    /// Sorted, each once.
    pub list: Vec<Gid>,
    pub dropped: Vec<Dropped>,
    /// The inherited list may contain a group that this user namespace does not map.
    pub uncertain: bool,
}

/// A group that the application does not get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dropped {
    pub gid: Gid,
    pub why: Why,
}

/// Why `auto` does not pass an inherited group on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    Root,
    MaybeUnmapped,
    GivenToRoot,
}

impl Why {
    pub const ALL: [Why; 3] = [Why::Root, Why::GivenToRoot, Why::MaybeUnmapped];
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Why::Root => "root's own",
            Why::MaybeUnmapped => "it may stand for a group that this user namespace does not map",
            Why::GivenToRoot => "given to root by /etc/group or /etc/passwd",
        })
    }
}
