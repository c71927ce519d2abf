//! From the names and numbers of the settings to ids.
//!
//! Pure. It must never return an id that was not written or found, least of all 0 or 4294967295.
#![forbid(unsafe_code)]

use crate::accounts::entries::Accounts;
use crate::model::error::{Exit, Refusal, shown};
use crate::model::ids::{Gid, Uid};
use crate::settings::groups::GroupPolicy;
use crate::settings::names;
use crate::settings::user::{Ref, UserSpec};

/// The ids that `CAPSHIM_USER` stands for. No gid if neither the setting nor /etc/passwd has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub uid: Uid,
    pub gid: Option<Gid>,
}

/// Looks `CAPSHIM_USER` up in the files' entries.
pub fn resolve(spec: &UserSpec, accounts: &Accounts) -> Result<Identity, Refusal> {
    let of_user = |wrong: Refusal| wrong.of(names::USER, spec.to_string().as_bytes());
    let entry = accounts.target.as_ref();
    let uid = match &spec.user {
        Ref::Id(uid) => *uid,
        Ref::Name(name) => match entry.map(|user| user.uid) {
            None if spec.is_root() => Uid::ROOT,
            None => {
                return Err(of_user(
                    Refusal::wrong(format!(
                        "names the user '{}', which is not in /etc/passwd",
                        shown(name.as_bytes())
                    ))
                    .hint("add the user to the image")
                    .or("write ids: CAPSHIM_USER=1000:1000"),
                ));
            }
            Some(uid) if (uid == Uid::ROOT) != spec.is_root() => {
                return Err(of_user(
                    Refusal::wrong(format!("names a user whose uid in /etc/passwd is {uid}"))
                        .hint("only root has uid 0: name another user")
                        .or("write CAPSHIM_USER=0 to stay root on purpose"),
                ));
            }
            Some(uid) => uid,
        },
    };
    let gid = match &spec.group {
        Some(Ref::Id(gid)) => Some(*gid),
        Some(Ref::Name(name)) => Some(named_group(name, accounts).map_err(of_user)?),
        None if spec.is_root() => Some(Gid::ROOT),
        None => entry.map(|user| user.gid),
    };
    Ok(Identity { uid, gid })
}

/// Looks up the groups that `CAPSHIM_GROUPS` lists.
pub fn resolve_groups(policy: &GroupPolicy, accounts: &Accounts) -> Result<Vec<Gid>, Refusal> {
    let find = |group: &Ref<Gid>| match group {
        Ref::Id(gid) => Ok(*gid),
        Ref::Name(name) => named_group(name, accounts)
            .map_err(|wrong| wrong.of(names::GROUPS, policy.to_string().as_bytes())),
    };
    policy.listed.iter().map(find).collect()
}

/// As with users, only the name root may stand for 0.
fn named_group(name: &str, accounts: &Accounts) -> Result<Gid, Refusal> {
    let shown = shown(name.as_bytes());
    match accounts.group(name) {
        None => Err(Refusal::wrong(format!("names the group '{shown}', which is not in /etc/group"))
            .hint("add the group to the image")
            .or("write its gid")),
        Some(Gid::ROOT) if name != "root" => {
            Err(Refusal::wrong(format!("names the group '{shown}', whose gid in /etc/group is 0"))
                .hint("write another group")
                .or("0 if root's group is meant"))
        }
        Some(gid) => Ok(gid),
    }
}

/// Refuses a uid if neither the setting nor a file gives it a gid.
pub fn no_gid(spec: &UserSpec) -> Refusal {
    let value = spec.to_string();
    Refusal::new(Exit::Setting, format!("{}='{value}' has no entry in /etc/passwd and no group", names::USER))
        .hint(format!("write the group too: {}={value}:{value}", names::USER))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::ids::Id;
    use crate::settings::Config;

    /// The ids of `CAPSHIM_USER`, or what is wrong with it.
    fn ids(user: &str, passwd: &[u8], group: &[u8]) -> Result<(u32, Option<u32>), String> {
        let spec: UserSpec = user.parse().unwrap();
        let config = Config { user: Some(spec.clone()), ..Config::parse(&[c"CAPSHIM_CAPS=none"]).unwrap() };
        let mut accounts = Accounts::users(Uid::ROOT, Some(&spec), passwd).unwrap();
        accounts.read_groups(&config, group).unwrap();
        let found = resolve(&spec, &accounts).map_err(|refusal| refusal.cause)?;
        Ok((found.uid.raw(), found.gid.map(Id::raw)))
    }

    #[test]
    fn nothing_but_root_and_0_stands_for_uid_0_and_nothing_but_root_for_gid_0() {
        let passwd = b"root:x:0:0::/root:\napp:x:1000:1001::/:\ntoor:x:0:5::/:\n";
        let group = b"root:x:0:\nweb:x:80:\nwheel:x:0:\n";
        for (user, found) in [
            ("app", Ok((1000, Some(1001)))),
            ("1000", Ok((1000, Some(1001)))),
            ("5", Ok((5, None))),
            ("app:web", Ok((1000, Some(80)))),
            ("app:root", Ok((1000, Some(0)))),
            ("app:0", Ok((1000, Some(0)))),
            ("root", Ok((0, Some(0)))),
            ("0:web", Ok((0, Some(80)))),
            ("toor", Err("CAPSHIM_USER='toor' names a user whose uid in /etc/passwd is 0")),
            (
                "app:wheel",
                Err("CAPSHIM_USER='app:wheel' names the group 'wheel', whose gid in /etc/group is 0"),
            ),
        ] {
            assert_eq!(ids(user, passwd, group), found.map_err(str::to_owned), "{user}");
        }
        let renamed = ids("root", b"root:x:7:7::/:", b"");
        assert_eq!(renamed, Err("CAPSHIM_USER='root' names a user whose uid in /etc/passwd is 7".into()));
    }

    #[test]
    fn without_an_entry_root_is_root_and_another_name_is_nobody() {
        assert_eq!(ids("root", b"", b""), Ok((0, Some(0))));
        assert_eq!(ids("1000:80", b"", b""), Ok((1000, Some(80))));
        for (user, wrong) in [
            ("app", "CAPSHIM_USER='app' names the user 'app', which is not in /etc/passwd"),
            ("1000:web", "CAPSHIM_USER='1000:web' names the group 'web', which is not in /etc/group"),
        ] {
            assert_eq!(ids(user, b"", b""), Err(wrong.to_owned()));
        }
    }
}
