//! Which supplementary groups the application has, and why others are dropped.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::fmt;

use crate::accounts::Accounts;
use crate::config::{self, Config};
use crate::credentials::Credentials;
use crate::cure;
use crate::error::{Complaint, Exit, Refusal};
use crate::identity::{self, Gid, GroupPolicy, Id, OVERFLOW_ID};

/// NGROUPS_MAX, setgroups(2).
const MOST_GROUPS: usize = 65536;

/// The decision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Groups {
    /// Sorted, each once.
    pub list: Vec<Gid>,
    pub dropped: Vec<Dropped>,
    /// The inherited list may have a group in it that this user namespace does not map.
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
            Why::Root => "as root's",
            Why::MaybeUnmapped => "as it may stand for a group that this user namespace does not map",
            Why::GivenToRoot => "as given to root by /etc/group or /etc/passwd",
        })
    }
}

/// Decides the list for an application whose gid is `gid`. That gid is always part of a list
/// made here: where it is missing, group permissions that deny can be bypassed
/// (CVE-2022-36109).
pub fn decide(
    config: &Config,
    start: &Credentials,
    accounts: &Accounts,
    gid: Gid,
    switches: bool,
) -> Result<Groups, Refusal> {
    let inherited = &start.groups;
    let uncertain = inherited.iter().any(|gid| gid.raw() == OVERFLOW_ID);
    let mut dropped = Vec::new();
    let mut list = vec![gid];
    match &config.groups {
        GroupPolicy::Auto | GroupPolicy::Keep if !switches && gid == start.gid.effective => {
            return Ok(Groups { list: inherited.clone(), dropped, uncertain: false });
        }
        GroupPolicy::Auto if !switches => {
            let (unmapped, kept) = inherited.iter().partition::<Vec<Gid>, _>(|gid| gid.raw() == OVERFLOW_ID);
            list.extend(kept);
            dropped.extend(unmapped.into_iter().map(|gid| Dropped { gid, why: Why::MaybeUnmapped }));
        }
        GroupPolicy::Auto => {
            if config.user.as_ref().is_some_and(|spec| spec.group.is_none()) {
                list.extend(accounts.of_target.iter().filter(|group| **group != Gid::ROOT));
            }
            list.sort_unstable();
            let own = list.clone();
            for &group in inherited.iter().filter(|group| own.binary_search(group).is_err()) {
                match reason_to_drop(group, accounts) {
                    Some(why) => dropped.push(Dropped { gid: group, why }),
                    None => list.push(group),
                }
            }
        }
        GroupPolicy::Keep if uncertain => {
            let complaint = Complaint::new(format!(
                "cannot keep group {OVERFLOW_ID}: it may stand for a group that this user namespace does not map, and writing it back would grant another one"
            ))
            .hint(format!(
                "list the groups that the application needs: {}",
                cure::group_list(
                    inherited.iter().copied().filter(|group| group.raw() != OVERFLOW_ID && *group != gid)
                )
            ));
            return Err(Refusal::setting(config::GROUPS, b"keep", complaint));
        }
        GroupPolicy::Keep => list.extend(inherited),
        GroupPolicy::None => {}
        GroupPolicy::List(groups) => list.extend(identity::resolve_groups(groups, accounts)?),
    }
    list.sort_unstable();
    list.dedup();
    if list.len() > MOST_GROUPS {
        let cause = format!(
            "{} makes {} groups, more than the {MOST_GROUPS} that the kernel takes",
            config::GROUPS,
            list.len()
        );
        return Err(Refusal::new(Exit::Setting, cause).hint(format!(
            "list the groups that the application needs, as in: {}",
            cure::group_list(list.into_iter())
        )));
    }
    Ok(Groups { list, dropped, uncertain })
}

/// Where a group of the application's comes from.
pub fn origin(group: Gid, gid: Gid, switches: bool, config: &Config, accounts: &Accounts) -> &'static str {
    let listed = || match &config.groups {
        GroupPolicy::List(list) => {
            identity::resolve_groups(list, accounts).is_ok_and(|list| list.contains(&group))
        }
        _ => false,
    };
    let names_no_group = config.user.as_ref().is_some_and(|spec| spec.group.is_none());
    if group == gid {
        "the application's gid"
    } else if listed() {
        "listed by CAPSHIM_GROUPS"
    } else if switches
        && config.groups == GroupPolicy::Auto
        && names_no_group
        && accounts.of_target.contains(&group)
    {
        "the user is its member in /etc/group"
    } else if switches {
        "from the runtime (fsGroup, supplementalGroups, --group-add)"
    } else {
        "as the runtime gave it"
    }
}

/// Why an inherited group is not passed on under `auto`. What is left is what the runtime
/// added for this container (fsGroup, supplementalGroups, --group-add).
fn reason_to_drop(group: Gid, accounts: &Accounts) -> Option<Why> {
    if group == Gid::ROOT {
        Some(Why::Root)
    } else if group.raw() == OVERFLOW_ID {
        Some(Why::MaybeUnmapped)
    } else if accounts.is_roots(group) {
        Some(Why::GivenToRoot)
    } else {
        None
    }
}
