//! `CAPSHIM_USER`: a user and a group, as names or ids.
//!
//! Pure. A number that is no valid id must never become a name.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use crate::model::error::{Refusal, shown};
use crate::model::ids::{Gid, Id, Uid, parse_id};

/// A user or group as written in a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ref<T> {
    Id(T),
    Name(String),
}

impl<T: Id> Ref<T> {
    /// A word of digits is an id and never a name, so that a number out of range cannot match a name
    /// (CVE-2026-46680).
    pub fn parse(text: &str) -> Result<Ref<T>, Refusal> {
        let bytes = text.as_bytes();
        if bytes.iter().all(u8::is_ascii_digit) {
            return parse_id(bytes).map(Ref::Id).ok_or_else(|| {
                Refusal::wrong(format!(
                    "has the id '{}', which is not in 0..4294967294 or has a leading zero",
                    shown(bytes)
                ))
                .hint("write the id in plain decimal digits, for example 1000")
            });
        }
        if text.starts_with(['+', '-']) || text.contains(|c: char| c.is_whitespace() || c == ',') {
            return Err(Refusal::wrong(format!("has '{}', which is neither an id nor a name", shown(bytes)))
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
    /// `root` and `0` are the only ways to ask for uid 0.
    pub fn is_root(&self) -> bool {
        match &self.user {
            Ref::Id(uid) => *uid == Uid::ROOT,
            Ref::Name(name) => name == "root",
        }
    }
}

impl FromStr for UserSpec {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<UserSpec, Refusal> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if user.is_empty() || group.is_some_and(str::is_empty) {
            let part = if user.is_empty() { "user" } else { "group" };
            return Err(Refusal::wrong(format!("has an empty {part}")).hint(
                "write user, uid, user:group or uid:gid; a template or variable may have come out empty",
            ));
        }
        if group.is_some_and(|group| group.contains(':')) {
            return Err(
                Refusal::wrong("has more than one colon").hint("write user, uid, user:group or uid:gid")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_digits_in_range_are_an_id() {
        for (text, id) in
            [("0", 0), ("1", 1), ("65535", 65535), ("2147483648", 2147483648), ("4294967294", 4294967294)]
        {
            assert_eq!(parse_id::<Uid>(text.as_bytes()), Uid::new(id));
            assert_eq!(text.parse::<UserSpec>().unwrap().user, Ref::Id(Uid::new(id).unwrap()));
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
        let (user, group, colon) = ("has an empty user", "has an empty group", "has more than one colon");
        for (text, wrong) in [
            ("", user),
            (":", user),
            (":1000", user),
            ("app:", group),
            ("1000:", group),
            ("app::1000", colon),
            ("app:a:b", colon),
        ] {
            assert_eq!(text.parse::<UserSpec>().unwrap_err().cause, wrong, "{text:?}");
        }
    }

    #[test]
    fn printing_and_parsing_again_is_the_identity() {
        for text in ["app", "1000", "app:1000", "1000:app", "0:0", "root"] {
            assert_eq!(text.parse::<UserSpec>().unwrap().to_string(), text);
        }
    }
}
