//! Why there is no plan, as data: which of the kinds it is, from what was asked and observed.
//!
//! Pure. `refusals` has the words.
#![forbid(unsafe_code)]

use crate::model::caps::CapSet;
use crate::model::credentials::{Credentials, OwnFile, Securebits};
use crate::model::error::Refusal;
use crate::model::ids::{Gid, Uid};
use crate::plan::change::Change;
use crate::settings::Config;

/// Why there is no plan. Capabilities in `grants` are all that the container would need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A setting names what /etc/passwd or /etc/group does not have.
    Setting(Refusal),
    /// Started as root without `CAPSHIM_USER`.
    NoUser,
    /// `CAPSHIM_NO_NEW_PRIVS=0`, but it is on and cannot be turned off.
    NoNewPrivsIsOn,
    /// Root's bounding set does not have these, of which `for_change` are for a change of ids.
    NotGranted { missing: CapSet, for_change: CapSet, uid: Uid, grants: CapSet },
    /// Root's bounding set has them, and root no longer holds them.
    GivenUp { lacking: CapSet, securebit: bool },
    /// The bounding set of another user than root does not have these.
    NotGrantedToUser { missing: CapSet, on_file: bool, grants: CapSet },
    /// A user who is not root has nothing but ambient ones, as a capshim before this one or Podman gave
    /// them.
    OnlyAmbient { lacking: CapSet, grants: CapSet },
    /// The bounding set has them, but this program's file did not give them to this user.
    NotFromFile { lacking: CapSet, why: FileGaveNone, grants: CapSet },
    /// A change of gid, but not of user.
    GidNeedsSetgid { gid: Gid, grants: CapSet },
    /// A change of groups alone. `groups` are the wanted ones, the gid aside.
    GroupsNeedSetgid { groups: Vec<Gid>, grants: CapSet },
    /// The kernel or sandbox has no ambient set to keep these in.
    NoAmbient(CapSet),
    /// A securebit keeps ambient from taking these.
    AmbientLocked(CapSet),
    /// A securebit keeps permitted from surviving the change of uid.
    KeepCapsLocked(CapSet),
    /// Root without no_new_privs gets the whole bounding set at exec, `more` than the request.
    RootWouldRegain { more: CapSet, request: CapSet, needed: CapSet },
    /// This program's file carries `more` than the request, or may, and could be executed again.
    FileWouldRegain { more: CapSet, request: CapSet, needed: CapSet },
    /// A fault of this program's own.
    BoundingNotRead,
    /// More than setgroups(2) takes.
    TooManyGroups { list: Vec<Gid>, most: usize },
    /// Nobody can say which of these are root's own. `others` are all that the application may have
    /// besides its gid.
    UnknownGroups { unknown: Vec<Gid>, others: Vec<Gid> },
    /// `keep` would write a group back that only reads as 65534. `others` are the rest.
    UnmappedGroup { others: Vec<Gid> },
}

/// Why this program's file gave a user who is not root nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileGaveNone {
    HasNone,
    NosuidMount,
    OfAnotherNamespace,
    NotFirstProgram,
    NotApplied,
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Reason {
        Reason::Setting(refusal)
    }
}

/// Capabilities that are requested, or that this change of ids needs, are not permitted.
pub fn lacking(lacking: CapSet, change: &Change, config: &Config, start: &Credentials) -> Reason {
    let needed = change.needed_caps();
    let bounding = start.bounding.unwrap_or_default();
    // The hint's list replaces the granted one, so it includes what is optional and what the change of
    // ids needs.
    let grants = config.caps.required | (config.caps.optional & bounding) | needed;
    if !change.switches && !(lacking & needed).is_empty() {
        return without_setgid(grants, change, start);
    }
    let missing = lacking - bounding;
    if start.uid.effective != Uid::ROOT {
        non_root(lacking, missing, grants, start)
    } else if missing.is_empty() {
        Reason::GivenUp { lacking, securebit: start.securebits.has(Securebits::NOROOT) }
    } else {
        Reason::NotGranted { missing, for_change: missing & needed, uid: change.uid, grants }
    }
}

fn without_setgid(grants: CapSet, change: &Change, start: &Credentials) -> Reason {
    let gid = change.gid;
    if gid != start.gid.effective {
        return Reason::GidNeedsSetgid { gid, grants };
    }
    let groups = change.groups.list.iter().copied().filter(|group| *group != gid).collect();
    Reason::GroupsNeedSetgid { groups, grants }
}

/// The capabilities of another user than root can come only from this program's file.
fn non_root(lacking: CapSet, missing: CapSet, grants: CapSet, start: &Credentials) -> Reason {
    let own = start.own_file.as_ref();
    let on_file = lacking.is_subset_of(start.carried());
    if !start.ambient.is_empty() && !on_file {
        // The hint's list replaces the present one, so it includes the present ambient set.
        return Reason::OnlyAmbient { lacking, grants: grants | start.ambient };
    }
    if !missing.is_empty() {
        return Reason::NotGrantedToUser { missing, on_file, grants };
    }
    let why = if !on_file {
        FileGaveNone::HasNone
    } else if own.is_some_and(|file| file.nosuid) {
        FileGaveNone::NosuidMount
    } else if own.and_then(OwnFile::known_caps).is_some_and(|caps| caps.foreign) {
        FileGaveNone::OfAnotherNamespace
    } else if start.no_new_privs {
        FileGaveNone::NotFirstProgram
    } else {
        FileGaveNone::NotApplied
    };
    Reason::NotFromFile { lacking, why, grants }
}
