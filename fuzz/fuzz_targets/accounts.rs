//! /etc/passwd, /etc/group and the settings that are looked up in them.
//!
//! The input is four parts with a line of dashes between them: `CAPSHIM_USER`,
//! `CAPSHIM_GROUPS`, passwd, group. What the container was started with is fixed.
#![no_main]

use std::collections::BTreeSet;

use capshim::accounts::entries::Accounts;

use capshim::accounts::lines::{User, lenient_group, members_of, parse_group, parse_user, root_to_a_runtime};
use capshim::accounts::resolve;
use capshim::model::caps::CapSet;
use capshim::model::credentials::{Credentials, Ids, OverflowGid, Securebits};
use capshim::model::ids::{Gid, Id, OVERFLOW_ID, Uid, parse_id};
use capshim::plan::change::Groups;
use capshim::plan::groups;
use capshim::settings::Config;
use capshim::settings::groups::{GroupPolicy, Inherited};
use capshim::settings::user::{Ref, UserSpec};
use libfuzzer_sys::fuzz_target;

const BETWEEN: &[u8] = b"\n----\n";

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let [user, groups, passwd] = [(); 3].map(|()| {
        let end = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        let (part, after) = match end {
            Some(end) => (&rest[..end], &rest[end + BETWEEN.len()..]),
            None => (rest, &b""[..]),
        };
        rest = after;
        part
    });
    let text = |part| std::str::from_utf8(part).ok();
    let Some(spec) = text(user).and_then(|text| text.parse::<UserSpec>().ok()) else { return };
    let policy = text(groups).and_then(|text| text.parse().ok()).unwrap_or(GroupPolicy::AUTO);
    let start = start();
    let config = Config {
        user: Some(spec.clone()),
        groups: policy,
        ..Config::parse(&[c"CAPSHIM_CAPS=none"]).expect("a setting")
    };
    // Longer lines are refused.
    let Ok(mut accounts) = Accounts::users(Uid::ROOT, Some(&spec), passwd) else { return };
    if accounts.read_groups(&config, rest).is_err() {
        return;
    }
    plain_lines_are_read_alike(passwd, rest);
    if let Some(found) = &accounts.target {
        stands_in_a_line(found, passwd);
    }
    if let Some(found) = &accounts.start {
        stands_in_a_line(found, passwd);
        assert_eq!(found.uid, Uid::ROOT);
    }
    accounts.of_target.iter().for_each(|gid| assert!(has_number(rest, *gid)));

    let Ok(identity) = resolve::resolve(&spec, &accounts) else { return };
    assert_ne!(identity.uid.raw(), u32::MAX);
    assert_eq!(
        identity.uid == Uid::ROOT,
        user == b"root" || user == b"0" || user.starts_with(b"root:") || user.starts_with(b"0:")
    );
    match &spec.user {
        Ref::Id(uid) => assert_eq!(identity.uid, *uid),
        Ref::Name(name) if name == "root" => {}
        Ref::Name(name) => {
            let entry = accounts.target.as_ref().expect("an entry of that name");
            assert_eq!((entry.name.as_slice(), entry.uid), (name.as_bytes(), identity.uid));
        }
    }
    let Some(gid) = identity.gid else { return };
    assert_ne!(gid.raw(), u32::MAX);
    if let Some(Ref::Name(name)) = &spec.group {
        assert!(gid != Gid::ROOT || name == "root");
    }
    for switches in [false, true] {
        if let Ok(decided) = groups::decide(&config, &start, &accounts, gid, switches) {
            groups_come_from_somewhere(&decided, &config, &start, &accounts, gid, switches);
            if switches && config.groups == GroupPolicy::AUTO {
                roots_groups_are_dropped(&decided.list, &accounts, gid, rest);
            }
        }
    }
});

/// So that a plain line need not be read in a runtime's way, too.
fn plain_lines_are_read_alike(passwd: &[u8], group: &[u8]) {
    for line in passwd.split(|&byte| byte == b'\n') {
        let is_other = parse_user(line).is_some_and(|user| user.uid != Uid::ROOT);
        assert!(!is_other || root_to_a_runtime(line).is_none());
    }
    let members =
        |list| members_of(list).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect::<Vec<_>>();
    for line in group.split(|&byte| byte == b'\n') {
        if let (Some((_, gid, list)), Some(lenient)) = (parse_group(line), lenient_group(line)) {
            assert_eq!((gid, members(list)), (lenient.0, members(lenient.1)));
        }
    }
}

/// As runtimes start a container: root's groups of the image, one of the runtime's own, and
/// one that may stand for an unmapped one.
fn start() -> Credentials {
    Credentials {
        uid: Ids::all(Uid::ROOT),
        gid: Ids::all(Gid::ROOT),
        groups: [0, 6, 10, 2000, OVERFLOW_ID].map(|gid| Gid::new(gid).expect("a gid")).to_vec(),
        permitted: CapSet::EMPTY,
        effective: CapSet::EMPTY,
        inheritable: CapSet::EMPTY,
        ambient: CapSet::EMPTY,
        no_new_privs: false,
        securebits: Securebits::default(),
        has_ambient: true,
        bounding: None,
        own_file: None,
        overflow_gid: OverflowGid::Unknown,
    }
}

fn stands_in_a_line(user: &User, passwd: &[u8]) {
    let starts = |line: &[u8]| {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        fields.len() >= 4
            && fields[0] == user.name
            && fields[2] == user.uid.to_string().as_bytes()
            && fields[3] == user.gid.to_string().as_bytes()
            && (user.home == b"/" || fields.get(5) == Some(&user.home.as_slice()))
    };
    assert!(passwd.split(|&byte| byte == b'\n').any(starts), "{user:?}");
    assert!(!user.name.contains(&0) && !user.home.contains(&0));
}

fn has_number(group: &[u8], gid: Gid) -> bool {
    let number = gid.to_string();
    group.split(|byte| matches!(byte, b'\n' | b':')).any(|field| field == number.as_bytes())
}

fn groups_come_from_somewhere(
    decided: &Groups,
    config: &Config,
    start: &Credentials,
    accounts: &Accounts,
    gid: Gid,
    switches: bool,
) {
    assert!(decided.list.is_sorted());
    assert_eq!(decided.list.iter().collect::<BTreeSet<_>>().len(), decided.list.len());
    let GroupPolicy { inherited: policy, listed } = &config.groups;
    let stays = !switches && decided.list == start.groups;
    assert!(stays || decided.list.contains(&gid));
    let listed: Vec<Gid> = listed
        .iter()
        .filter_map(|group| match group {
            Ref::Id(gid) => Some(*gid),
            Ref::Name(name) => accounts.group(name),
        })
        .collect();
    for group in &decided.list {
        let inherited = start.groups.contains(group);
        let allowed = match policy {
            _ if stays => inherited,
            _ if listed.contains(group) => true,
            Inherited::Auto if !switches => inherited && group.raw() != OVERFLOW_ID,
            Inherited::Auto => {
                let of_target = accounts.of_target.contains(group) && *group != Gid::ROOT;
                of_target || (inherited && *group != Gid::ROOT && group.raw() != OVERFLOW_ID)
            }
            Inherited::Keep => inherited,
            Inherited::Drop => false,
        };
        assert!(*group == gid || allowed, "{group} under {}", config.groups);
    }
}

/// Only what the plainest lines of /etc/group give to root.
fn roots_groups_are_dropped(list: &[Gid], accounts: &Accounts, own: Gid, group: &[u8]) {
    for line in group.split(|&byte| byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
        let [name, _, number, members] = fields[..] else { continue };
        let odd =
            name.is_empty() || name.starts_with(b"#") || name.starts_with(b"+") || name.starts_with(b"-");
        let of_root = members.split(|&byte| byte == b',').any(|member| member == b"root");
        if odd || line.contains(&0) || !of_root {
            continue;
        }
        let Some(gid) = parse_id::<Gid>(number) else { continue };
        assert!(!list.contains(&gid) || gid == own || accounts.of_target.contains(&gid), "{gid} is root's");
    }
}
