//! Who the application becomes: user and group specifications to ids.
//!
//! Pure. Names are looked up in what `accounts` found in the files; it must never yield an
//! id that was not written or found, least of all 0 or 4294967295.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use crate::accounts::Accounts;
use crate::config;
use crate::error::{Complaint, Exit, Refusal, shown};
use crate::words;

/// The largest id: 4294967295 means "leave it as it is" to the kernel (setresuid(2)).
const MAX_ID: u32 = u32::MAX - 1;

/// What an id that the user namespace does not map reads as (user_namespaces(7)).
pub const OVERFLOW_ID: u32 = 65534;

/// A user id, never 4294967295.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Uid(u32);

/// A group id, never 4294967295.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Gid(u32);

/// What the two kinds of id have in common.
pub trait Id: Copy + fmt::Display {
    /// `None` for 4294967295.
    fn new(raw: u32) -> Option<Self>;
    fn raw(self) -> u32;
}

macro_rules! id {
    ($name:ident) => {
        impl Id for $name {
            fn new(raw: u32) -> Option<$name> {
                (raw <= MAX_ID).then_some($name(raw))
            }
            fn raw(self) -> u32 {
                self.0
            }
        }
        impl $name {
            pub const ROOT: $name = $name(0);
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}
id!(Uid);
id!(Gid);

/// Reads a plain decimal id: digits without a leading zero, at most 4294967294.
pub fn parse_id<T: Id>(digits: &[u8]) -> Option<T> {
    if digits.starts_with(b"0") && digits != b"0" {
        return None;
    }
    T::new(decimal(digits)?.try_into().ok()?)
}

/// The number that one or more decimal digits make; `None` for anything else, and beyond an
/// i64. Not by way of str, since each line of a long /etc/passwd has two.
pub fn decimal(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// A user or group as written in a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ref<T> {
    Id(T),
    Name(String),
}

impl<T: Id> Ref<T> {
    /// All digits is an id and never a name, so that a number out of range cannot be found
    /// as a name (CVE-2026-46680).
    fn parse(text: &str) -> Result<Ref<T>, Complaint> {
        let bytes = text.as_bytes();
        if bytes.iter().all(u8::is_ascii_digit) {
            return parse_id(bytes).map(Ref::Id).ok_or_else(|| {
                Complaint::new(format!(
                    "has the id '{}', which is not in 0..4294967294 or has a leading zero",
                    shown(bytes)
                ))
                .hint("write the id in plain decimal digits, for example 1000")
            });
        }
        if text.starts_with(['+', '-']) || text.contains(|c: char| c.is_whitespace() || c == ',') {
            return Err(Complaint::new(format!("has '{}', which is neither an id nor a name", shown(bytes)))
                .hint("write an id in plain decimal digits or a name, without sign or space"));
        }
        Ok(Ref::Name(text.to_owned()))
    }
}

impl<T: Id> fmt::Display for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Ref::Id(id) => id.fmt(f),
            Ref::Name(name) => f.write_str(name),
        }
    }
}

/// `CAPSHIM_USER`: `user`, `uid`, `user:group`, `uid:gid`, names and numbers mixed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserSpec {
    pub user: Ref<Uid>,
    pub group: Option<Ref<Gid>>,
}

impl UserSpec {
    /// `root` or `0`: the only two ways to ask for uid 0.
    pub fn is_root(&self) -> bool {
        match &self.user {
            Ref::Id(uid) => *uid == Uid::ROOT,
            Ref::Name(name) => name == "root",
        }
    }
}

impl FromStr for UserSpec {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<UserSpec, Complaint> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if user.is_empty() || group.is_some_and(str::is_empty) {
            let part = if user.is_empty() { "user" } else { "group" };
            return Err(Complaint::new(format!("has an empty {part}")).hint(
                "write user, uid, user:group or uid:gid; a template or variable may have come out empty",
            ));
        }
        if group.is_some_and(|group| group.contains(':')) {
            return Err(
                Complaint::new("has more than one colon").hint("write user, uid, user:group or uid:gid")
            );
        }
        Ok(UserSpec { user: Ref::parse(user)?, group: group.map(Ref::parse).transpose()? })
    }
}

impl fmt::Display for UserSpec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.user.fmt(f)?;
        match &self.group {
            Some(group) => write!(f, ":{group}"),
            None => Ok(()),
        }
    }
}

/// `CAPSHIM_GROUPS`: where the supplementary groups come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupPolicy {
    pub inherited: Inherited,
    /// The groups that are written out.
    pub listed: Vec<Ref<Gid>>,
}

/// What happens to the groups that the runtime gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inherited {
    /// Those that the runtime added for this container stay; root's own go.
    Auto,
    Keep,
    Drop,
}

impl GroupPolicy {
    /// The default.
    pub const AUTO: GroupPolicy = GroupPolicy { inherited: Inherited::Auto, listed: Vec::new() };
}

impl FromStr for GroupPolicy {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<GroupPolicy, Complaint> {
        if text == "none" {
            return Ok(GroupPolicy { inherited: Inherited::Drop, listed: Vec::new() });
        }
        let mut policy = GroupPolicy { inherited: Inherited::Drop, listed: Vec::new() };
        for word in words::list(text)? {
            let inherited = match word {
                "auto" => Inherited::Auto,
                "keep" => Inherited::Keep,
                "none" => {
                    return Err(Complaint::new("has none in a list")
                        .hint("write none alone; or leave none out of the list"));
                }
                _ => {
                    policy.listed.push(Ref::parse(word)?);
                    continue;
                }
            };
            if policy.inherited != Inherited::Drop && policy.inherited != inherited {
                return Err(Complaint::new("has both auto and keep").hint("write auto; or write keep"));
            }
            policy.inherited = inherited;
        }
        Ok(policy)
    }
}

/// The text that parses to the same policy again.
impl fmt::Display for GroupPolicy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let word = match self.inherited {
            Inherited::Auto => Some("auto"),
            Inherited::Keep => Some("keep"),
            Inherited::Drop if self.listed.is_empty() => Some("none"),
            Inherited::Drop => None,
        };
        let words: Vec<String> =
            word.map(str::to_owned).into_iter().chain(self.listed.iter().map(Ref::to_string)).collect();
        f.write_str(&words.join(","))
    }
}

/// The ids that a `CAPSHIM_USER` stands for. No gid where neither the setting nor
/// /etc/passwd has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub uid: Uid,
    pub gid: Option<Gid>,
}

/// Looks a `CAPSHIM_USER` up in what the files say.
pub fn resolve(spec: &UserSpec, accounts: &Accounts) -> Result<Identity, Refusal> {
    let wrong = |complaint| Refusal::setting(config::USER, spec.to_string().as_bytes(), complaint);
    let entry = accounts.target.as_ref();
    let uid = match &spec.user {
        Ref::Id(uid) => *uid,
        Ref::Name(name) => match entry.map(|user| user.uid) {
            None if spec.is_root() => Uid::ROOT,
            None => {
                return Err(wrong(
                    Complaint::new(format!(
                        "names the user '{}', which is not in /etc/passwd",
                        shown(name.as_bytes())
                    ))
                    .hint("add the user to the image; or write ids: CAPSHIM_USER=1000:1000"),
                ));
            }
            Some(uid) if (uid == Uid::ROOT) != spec.is_root() => {
                return Err(wrong(Complaint::new(format!("names a user whose uid in /etc/passwd is {uid}"))
                    .hint("only root has uid 0: name another user; or write CAPSHIM_USER=0 to stay root on purpose")));
            }
            Some(uid) => uid,
        },
    };
    let gid = match &spec.group {
        Some(Ref::Id(gid)) => Some(*gid),
        Some(Ref::Name(name)) => Some(named_group(name, accounts).map_err(wrong)?),
        None if spec.is_root() => Some(Gid::ROOT),
        None => entry.map(|user| user.gid),
    };
    Ok(Identity { uid, gid })
}

/// Looks up the groups that `CAPSHIM_GROUPS` writes out.
pub fn resolve_groups(policy: &GroupPolicy, accounts: &Accounts) -> Result<Vec<Gid>, Refusal> {
    let find = |group: &Ref<Gid>| match group {
        Ref::Id(gid) => Ok(*gid),
        Ref::Name(name) => named_group(name, accounts)
            .map_err(|complaint| Refusal::setting(config::GROUPS, policy.to_string().as_bytes(), complaint)),
    };
    policy.listed.iter().map(find).collect()
}

/// As for users, only root's own name may stand for 0.
fn named_group(name: &str, accounts: &Accounts) -> Result<Gid, Complaint> {
    let shown = shown(name.as_bytes());
    match accounts.group(name) {
        None => Err(Complaint::new(format!("names the group '{shown}', which is not in /etc/group"))
            .hint("add the group to the image; or write its gid")),
        Some(Gid::ROOT) if name != "root" => {
            Err(Complaint::new(format!("names the group '{shown}', whose gid in /etc/group is 0"))
                .hint("write another group; or 0 if root's group is meant"))
        }
        Some(gid) => Ok(gid),
    }
}

/// A refusal for a bare uid without a gid anywhere.
pub fn no_gid(spec: &UserSpec) -> Refusal {
    let value = spec.to_string();
    Refusal::new(
        Exit::Setting,
        format!("{}='{value}' has no entry in /etc/passwd and no group", config::USER),
    )
    .hint(format!("write the group too: {}={value}:{value}", config::USER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_digits_in_range_are_an_id() {
        for (text, id) in
            [("0", 0), ("1", 1), ("65535", 65535), ("2147483648", 2147483648), ("4294967294", 4294967294)]
        {
            assert_eq!(parse_id::<Uid>(text.as_bytes()), Some(Uid(id)));
            assert_eq!(text.parse::<UserSpec>().unwrap().user, Ref::Id(Uid(id)));
        }
        for text in [
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "99999999999999999999999",
            "007",
            "00",
            "-1",
            "+5",
            "-0",
            " 5",
            "5 ",
            "1 2",
            "1,2",
        ] {
            assert_eq!(parse_id::<Uid>(text.as_bytes()), None, "{text:?}");
            assert!(text.parse::<UserSpec>().is_err(), "{text:?} was accepted");
            assert!(format!("app:{text}").parse::<UserSpec>().is_err(), "app:{text} was accepted");
        }
        assert_eq!(parse_id::<Uid>(b""), None);
        assert_eq!("0x10".parse::<UserSpec>().unwrap().user, Ref::Name("0x10".into()));
        assert_eq!("٣".parse::<UserSpec>().unwrap().user, Ref::Name("٣".into()));
    }

    #[test]
    fn empty_parts_and_extra_colons_are_errors() {
        for text in ["", ":", "app:", ":1000", "app::1000", "app:a:b", "1000:"] {
            assert!(text.parse::<UserSpec>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn groups_are_a_word_or_a_list() {
        assert_eq!("auto".parse(), Ok(GroupPolicy::AUTO));
        for (text, printed) in [
            ("none", "none"),
            ("10, audio 3000", "10,audio,3000"),
            ("auto,dialout", "auto,dialout"),
            ("998 keep", "keep,998"),
            ("auto,auto", "auto"),
        ] {
            let policy: GroupPolicy = text.parse().unwrap();
            assert_eq!(policy.to_string(), printed);
            assert_eq!(printed.parse(), Ok(policy));
        }
        for text in ["", " ", "10,", ",10", "10,,11", "auto,keep", "10 none", "-1", "4294967295", "a\tb"] {
            assert!(text.parse::<GroupPolicy>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn printing_and_parsing_again_is_the_identity() {
        for text in ["app", "1000", "app:1000", "1000:app", "0:0", "root"] {
            assert_eq!(text.parse::<UserSpec>().unwrap().to_string(), text);
        }
    }
}
