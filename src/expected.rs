//! The credentials that a plan ends in, and what differs from them when they are read back.
//!
//! Pure.
#![forbid(unsafe_code)]

use crate::capset::CapSet;
use crate::credentials::{Credentials, Ids};
use crate::identity::{Gid, Uid};
use crate::plan::listed;

/// The credentials after the last step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    pub uid: Uid,
    pub gid: Gid,
    /// Sorted, each once.
    pub groups: Vec<Gid>,
    /// Permitted, effective, inheritable and ambient.
    pub caps: CapSet,
    /// `None` where it stays as it was, and nothing depends on it.
    pub bounding: Option<CapSet>,
    pub no_new_privs: bool,
}

impl Expected {
    /// What differs in the credentials read back, in words; empty if nothing does.
    pub fn differences(&self, now: &Credentials) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, plan: String, now: String| {
            if plan != now {
                found.push(format!("{what} is {now} and should be {plan}"));
            }
        };
        compare("uid", Ids::all(self.uid).to_string(), now.uid.to_string());
        compare("gid", Ids::all(self.gid).to_string(), now.gid.to_string());
        for (what, set) in [
            ("permitted", now.permitted),
            ("effective", now.effective),
            ("inheritable", now.inheritable),
            ("ambient", now.ambient),
        ] {
            compare(what, self.caps.to_string(), set.to_string());
        }
        if let Some(bounding) = self.bounding {
            compare(
                "bounding",
                bounding.to_string(),
                now.bounding.map_or("not read".into(), |set| set.to_string()),
            );
        }
        compare("no_new_privs", self.no_new_privs.to_string(), now.no_new_privs.to_string());
        // Not as text, which is cut when long.
        if self.groups != now.groups {
            found.push(format!(
                "the group list is {} and should be {}",
                listed(&now.groups),
                listed(&self.groups)
            ));
        }
        found
    }
}
