//! Decides which supplementary groups the application has, and why others are dropped.
//!
//! Pure.
#![forbid(unsafe_code)]

use crate::accounts::entries::{Accounts, Standing};
use crate::accounts::resolve;
use crate::model::credentials::Credentials;
use crate::model::error::shown;
use crate::model::ids::{Gid, Id, OVERFLOW_ID};
use crate::plan::change::{Dropped, Groups, Why};
use crate::plan::reasons::Reason;
use crate::settings::groups::{GroupPolicy, Inherited};
use crate::settings::{Config, names};

/// NGROUPS_MAX, setgroups(2).
const MOST_GROUPS: usize = 65536;

/// Decides the list for an application with this gid. A list made here always contains that gid. Without it,
/// the application could bypass group permissions that deny access (CVE-2022-36109).
pub fn decide(
    config: &Config,
    start: &Credentials,
    accounts: &Accounts,
    gid: Gid,
    switches: bool,
) -> Result<Groups, Reason> {
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
                let mut others: Vec<Gid> = list.into_iter().chain(unknown.iter().copied()).collect();
                others.retain(|group| *group != gid);
                others.sort_unstable();
                return Err(Reason::UnknownGroups { unknown, others });
            }
        }
        Inherited::Keep if !others().all(|group| start.is_mapped(group)) => {
            let others = others().filter(|group| group.raw() != OVERFLOW_ID && *group != Gid::ROOT);
            return Err(Reason::UnmappedGroup { others: others.collect() });
        }
        Inherited::Keep => list.extend(others()),
        Inherited::Drop => {}
    }
    list.sort_unstable();
    if list.len() > MOST_GROUPS {
        return Err(Reason::TooManyGroups { list, most: MOST_GROUPS });
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

/// Without a switch of user, root keeps its own groups.
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

/// The setting that keeps a group which `auto` drops; `None` if no number stands for the group.
pub fn kept_by(group: Gid, why: Why, policy: &GroupPolicy) -> Option<String> {
    (why != Why::MaybeUnmapped)
        .then(|| format!("{}={},{group}", names::GROUPS, shown(policy.to_string().as_bytes())))
}

/// Where one of the application's groups comes from.
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

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::ids::Uid;

    #[test]
    fn each_group_has_an_origin() {
        let passwd = b"root:x:0:4::/root:\napp:x:1000:1000::/:\n";
        let group = b"adm:x:4:root\naudio:x:29:app\nweb:x:80:\n";
        let own = "the application's gid";
        let listed = "listed by CAPSHIM_GROUPS";
        let member = "the user is its member in /etc/group";
        let added = "from the runtime (fsGroup, supplementalGroups, --group-add)";
        let roots = "root's own, kept";
        let given = "as the runtime gave it";
        for (user, groups, switches, found) in [
            // The application's gid, web, audio, adm, and one that no file has.
            ("app", "auto,web", true, [own, listed, member, roots, added]),
            ("app", "keep", true, [own, added, added, roots, added]),
            ("app:1000", "auto", true, [own, added, added, roots, added]),
            ("app", "auto,29", false, [own, given, listed, given, given]),
            ("app", "auto", false, [own, given, given, given, given]),
        ] {
            let config = Config {
                user: Some(user.parse().unwrap()),
                groups: groups.parse().unwrap(),
                ..Config::parse(&[c"CAPSHIM_CAPS=none"]).unwrap()
            };
            let mut accounts = Accounts::users(Uid::ROOT, config.user.as_ref(), &passwd[..]).unwrap();
            accounts.read_groups(&config, &group[..]).unwrap();
            let gid = |raw| Gid::new(raw).unwrap();
            let origins = [1000, 80, 29, 4, 2000]
                .map(|group| origin(gid(group), gid(1000), switches, &config, &accounts));
            assert_eq!(origins, found, "{user} {groups}");
        }
    }
}
