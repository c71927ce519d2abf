//! How the ids and groups change: to whom, with which calls, and what these need.
//!
//! Pure.
#![forbid(unsafe_code)]

use crate::accounts::entries::{Accounts, Standing};
use crate::accounts::resolve::{self, Identity};
use crate::model::credentials::{Credentials, Ids};
use crate::model::error::shown;
use crate::model::ids::{Gid, Uid};
use crate::plan::change::Change;
use crate::plan::groups;
use crate::plan::notes::Note;
use crate::plan::reasons::Reason;
use crate::settings::Config;

pub fn change(
    config: &Config,
    start: &Credentials,
    accounts: &Accounts,
    notes: &mut Vec<Note>,
) -> Result<Change, Reason> {
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
) -> Result<(Uid, Gid), Reason> {
    let (start_uid, start_gid) = (start.uid.effective, start.gid.effective);
    let Some(spec) = &config.user else {
        if start_uid == Uid::ROOT {
            return Err(Reason::NoUser);
        }
        return Ok((start_uid, start_gid));
    };
    if start_uid != Uid::ROOT {
        let is_start =
            |asked: Identity| asked.uid == start_uid && asked.gid.is_none_or(|gid| gid == start_gid);
        if !resolve::resolve(spec, accounts).is_ok_and(is_start) {
            let setting = shown(spec.to_string().as_bytes());
            notes.push(Note::UserStands { uid: start_uid, gid: start_gid, setting });
        }
        return Ok((start_uid, start_gid));
    }
    let asked = resolve::resolve(spec, accounts)?;
    // The runtime's gid counts (runAsGroup), unless it is root's or may be an unmapped one.
    let is_given = accounts.standing(start_gid) == Standing::Added && start.is_mapped(start_gid);
    let given = is_given.then_some(start_gid);
    let gid = asked.gid.or(given).ok_or_else(|| resolve::no_gid(spec))?;
    Ok((asked.uid, gid))
}
