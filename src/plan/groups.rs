//! Which supplementary groups the application has, and why others are dropped.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::fmt;

use crate::accounts::entries::{Accounts, Standing};
use crate::accounts::resolve;
use crate::hints;
use crate::model::credentials::Credentials;
use crate::model::error::{Complaint, Exit, Refusal};
use crate::model::ids::{Gid, Id, OVERFLOW_ID, listed};
use crate::settings::groups::Inherited;
use crate::settings::{Config, names};

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
    let listed = resolve::resolve_groups(&config.groups, accounts)?;
    let uncertain = !inherited.iter().all(|gid| start.is_certain(*gid));
    if !switches && gid == start.gid.effective {
        let stays = match config.groups.inherited {
            Inherited::Drop => !uncertain && same_but(gid, &listed, inherited),
            Inherited::Auto | Inherited::Keep => {
                listed.iter().all(|group| inherited.binary_search(group).is_ok() && start.is_certain(*group))
            }
        };
        if stays {
            return Ok(Groups { list: inherited.clone(), dropped: Vec::new(), uncertain: false });
        }
    }
    let mut own = listed;
    own.push(gid);
    if switches
        && config.groups.inherited == Inherited::Auto
        && config.user.as_ref().is_some_and(|spec| spec.group.is_none())
    {
        own.extend(accounts.of_target.iter().filter(|group| **group != Gid::ROOT));
    }
    own.sort_unstable();
    own.dedup();
    let others = || inherited.iter().copied().filter(|group| own.binary_search(group).is_err());
    let mut dropped = Vec::new();
    let mut list = own.clone();
    match config.groups.inherited {
        Inherited::Auto => {
            let mut unknown = Vec::new();
            for group in others() {
                match judge(group, switches, start, accounts) {
                    Judgement::Keep => list.push(group),
                    Judgement::Drop(why) => dropped.push(Dropped { gid: group, why }),
                    Judgement::Unknown => unknown.push(group),
                }
            }
            if !unknown.is_empty() {
                list.extend(&unknown);
                return Err(whose(&unknown, list, gid, config, accounts));
            }
        }
        Inherited::Keep if !others().all(|group| start.is_mapped(group)) => {
            return Err(cannot_keep(others().collect(), config));
        }
        Inherited::Keep => list.extend(others()),
        Inherited::Drop => {}
    }
    list.sort_unstable();
    if list.len() > MOST_GROUPS {
        let cause = format!(
            "{} makes {} groups, more than the {MOST_GROUPS} that the kernel takes",
            names::GROUPS,
            list.len()
        );
        return Err(Refusal::new(Exit::Setting, cause).hint(format!(
            "list the groups that the application needs, as in: {}",
            hints::group_list(&list)
        )));
    }
    Ok(Groups { list, dropped, uncertain })
}

/// Whether two lists have the same groups, the application's own gid aside.
fn same_but(gid: Gid, one: &[Gid], other: &[Gid]) -> bool {
    let others = |list: &[Gid]| {
        let mut others: Vec<Gid> = list.iter().copied().filter(|group| *group != gid).collect();
        others.sort_unstable();
        others.dedup();
        others
    };
    others(one) == others(other)
}

/// What `auto` does with an inherited group.
enum Judgement {
    Keep,
    Drop(Why),
    Unknown,
}

/// Without a switch of user, root's own groups stay root's.
fn judge(group: Gid, switches: bool, start: &Credentials, accounts: &Accounts) -> Judgement {
    if !start.is_mapped(group) {
        return Judgement::Drop(Why::MaybeUnmapped);
    }
    match accounts.standing(group) {
        _ if !switches => Judgement::Keep,
        Standing::Roots if group == Gid::ROOT => Judgement::Drop(Why::Root),
        Standing::Roots => Judgement::Drop(Why::GivenToRoot),
        Standing::Added => Judgement::Keep,
        Standing::Unknown => Judgement::Unknown,
    }
}

/// Nobody can say which of these are root's own.
fn whose(unknown: &[Gid], mut all: Vec<Gid>, gid: Gid, config: &Config, accounts: &Accounts) -> Refusal {
    all.retain(|group| *group != gid);
    all.sort_unstable();
    let why = accounts.doubts.by_file().next().map(|(file, doubt)| format!("{file} {doubt}"));
    let complaint = Complaint::new(format!(
        "cannot tell which inherited groups are root's: {}; unknown: {}",
        why.unwrap_or_default(),
        listed(unknown)
    ))
    .hint(format!(
        "list the groups that the application needs, of these: {}; or pass none on: {}=none",
        hints::group_list(&all),
        names::GROUPS
    ));
    Refusal::setting(names::GROUPS, config.groups.to_string().as_bytes(), complaint)
}

/// `keep` would write a group back that only reads as this one.
fn cannot_keep(mut others: Vec<Gid>, config: &Config) -> Refusal {
    others.retain(|group| group.raw() != OVERFLOW_ID && *group != Gid::ROOT);
    let complaint = Complaint::new(format!(
        "cannot keep group {OVERFLOW_ID}: it may stand for a group that this user namespace does not map, and writing it back would grant another one"
    ))
    .hint(format!("list the groups that the application needs: {}", hints::group_list(&others)));
    Refusal::setting(names::GROUPS, config.groups.to_string().as_bytes(), complaint)
}

/// Where a group of the application's comes from.
pub fn origin(group: Gid, gid: Gid, switches: bool, config: &Config, accounts: &Accounts) -> &'static str {
    let listed = || resolve::resolve_groups(&config.groups, accounts).is_ok_and(|list| list.contains(&group));
    let names_no_group = config.user.as_ref().is_some_and(|spec| spec.group.is_none());
    if group == gid {
        "the application's gid"
    } else if listed() {
        "listed by CAPSHIM_GROUPS"
    } else if switches
        && config.groups.inherited == Inherited::Auto
        && names_no_group
        && accounts.of_target.contains(&group)
    {
        "the user is its member in /etc/group"
    } else if switches {
        match accounts.standing(group) {
            Standing::Added => "from the runtime (fsGroup, supplementalGroups, --group-add)",
            Standing::Roots => "root's own, kept",
            Standing::Unknown => "inherited, perhaps root's own, kept",
        }
    } else {
        "as the runtime gave it"
    }
}
