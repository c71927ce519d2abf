//! How the ids and groups change: to whom, with which calls, and what these need.
//!
//! Pure.
#![forbid(unsafe_code)]

use crate::accounts::{Accounts, Standing};
use crate::capset::{Cap, CapSet};
use crate::config::{self, Config};
use crate::credentials::{Credentials, Ids};
use crate::diagnose;
use crate::error::{Note, Refusal, shown};
use crate::groups::{self, Groups};
use crate::identity::{self, Gid, Identity, Uid};

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
    pub fn means(&self) -> CapSet {
        match (self.switches, self.sets_gid || self.sets_groups) {
            (true, _) => SWITCH,
            (false, true) => CapSet::of(&[Cap::CAP_SETGID]),
            (false, false) => CapSet::EMPTY,
        }
    }
}

pub fn change(
    config: &Config,
    start: &Credentials,
    accounts: &Accounts,
    notes: &mut Vec<Note>,
) -> Result<Change, Refusal> {
    let (uid, gid) = who(config, start, accounts, notes)?;
    let switches = start.uid.effective != uid;
    let groups = groups::decide(config, start, accounts, gid, switches)?;
    // A root that asks for 65534 may have another group that only reads as that.
    let uncertain_gid = start.uid.effective == Uid::ROOT && !start.is_certain(gid);
    let sets_gid = switches || start.gid != Ids::all(gid) || uncertain_gid;
    let sets_groups = groups.list != start.groups || groups.uncertain;
    Ok(Change { uid, gid, groups, switches, sets_gid, sets_groups })
}

/// The uid and gid of the application.
fn who(
    config: &Config,
    start: &Credentials,
    accounts: &Accounts,
    notes: &mut Vec<Note>,
) -> Result<(Uid, Gid), Refusal> {
    let (start_uid, start_gid) = (start.uid.effective, start.gid.effective);
    let Some(spec) = &config.user else {
        if start_uid == Uid::ROOT {
            return Err(diagnose::no_user());
        }
        return Ok((start_uid, start_gid));
    };
    if start_uid != Uid::ROOT {
        let is_start =
            |asked: Identity| asked.uid == start_uid && asked.gid.is_none_or(|gid| gid == start_gid);
        if !identity::resolve(spec, accounts).is_ok_and(is_start) {
            notes.push(Note::Warning(format!(
                "the runtime started this container as uid {start_uid} gid {start_gid}, which stands; {}={} is not used",
                config::USER,
                shown(spec.to_string().as_bytes())
            )));
        }
        return Ok((start_uid, start_gid));
    }
    let asked = identity::resolve(spec, accounts)?;
    // The runtime's gid counts (runAsGroup), unless it is root's or may be an unmapped one.
    let is_given = accounts.standing(start_gid) == Standing::Added && start.is_mapped(start_gid);
    let given = is_given.then_some(start_gid);
    let gid = asked.gid.or(given).ok_or_else(|| identity::no_gid(spec))?;
    Ok((asked.uid, gid))
}
