//! `CAPSHIM_GROUPS`: what happens to inherited groups, and which other groups the application gets.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

use crate::model::error::Refusal;
use crate::model::ids::Gid;
use crate::settings::user::Ref;
use crate::settings::words;

/// `CAPSHIM_GROUPS`: where the supplementary groups come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupPolicy {
    pub inherited: Inherited,
    /// The groups that the setting lists.
    pub listed: Vec<Ref<Gid>>,
}

/// What happens to the groups that the runtime gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inherited {
    /// Keep the groups that the runtime added for this container, and drop root's own.
    Auto,
    Keep,
    Drop,
}

impl GroupPolicy {
    /// The default.
    pub const AUTO: GroupPolicy = GroupPolicy { inherited: Inherited::Auto, listed: Vec::new() };
}

impl FromStr for GroupPolicy {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<GroupPolicy, Refusal> {
        if text == "none" {
            return Ok(GroupPolicy { inherited: Inherited::Drop, listed: Vec::new() });
        }
        let mut policy = GroupPolicy { inherited: Inherited::Drop, listed: Vec::new() };
        for word in words::list(text)? {
            let inherited = match word {
                "auto" => Inherited::Auto,
                "keep" => Inherited::Keep,
                "none" => {
                    return Err(Refusal::wrong("has none in a list")
                        .hint("write none alone")
                        .or("leave none out of the list"));
                }
                _ => {
                    policy.listed.push(Ref::parse(word)?);
                    continue;
                }
            };
            if policy.inherited != Inherited::Drop && policy.inherited != inherited {
                return Err(Refusal::wrong("has both auto and keep").hint("write auto").or("write keep"));
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
