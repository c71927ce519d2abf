//! How the ids and groups are to change.
//!
//! Pure.
#![forbid(unsafe_code)]

use crate::model::caps::{Cap, CapSet};
use crate::model::ids::{Gid, Uid};
use crate::plan::groups::Groups;

/// What a switch from root to another user takes.
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
    /// The capabilities that the calls for it need.
    pub fn needed_caps(&self) -> CapSet {
        match (self.switches, self.sets_gid || self.sets_groups) {
            (true, _) => SWITCH,
            (false, true) => CapSet::of(&[Cap::CAP_SETGID]),
            (false, false) => CapSet::EMPTY,
        }
    }
}
