//! The credentials that a plan ends with, and how others differ from them.
//!
//! Pure.
#![forbid(unsafe_code)]

use crate::model::caps::CapSet;
use crate::model::credentials::{Credentials, Ids};
use crate::model::ids::{Gid, Uid, listed};

/// The credentials after the last step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    pub uid: Uid,
    pub gid: Gid,
    /// Sorted, each once.
    pub groups: Vec<Gid>,
    /// Permitted, effective, inheritable and ambient.
    pub caps: CapSet,
    /// `None` if it does not change and nothing depends on it.
    pub bounding: Option<CapSet>,
    pub no_new_privs: bool,
}

impl Expected {
    /// How the credentials read back differ, in words; empty if they do not.
    pub fn differences(&self, now: &Credentials) -> Vec<String> {
        let mut found = Vec::new();
        compare(&mut found, "uid", &Ids::all(self.uid), &now.uid, Ids::to_string);
        compare(&mut found, "gid", &Ids::all(self.gid), &now.gid, Ids::to_string);
        for (what, set) in [
            ("permitted", now.permitted),
            ("effective", now.effective),
            ("inheritable", now.inheritable),
            ("ambient", now.ambient),
        ] {
            compare(&mut found, what, &self.caps, &set, CapSet::to_string);
        }
        if self.bounding.is_some() {
            let text = |set: &Option<CapSet>| set.map_or("not read".into(), |set| set.to_string());
            compare(&mut found, "bounding", &self.bounding, &now.bounding, text);
        }
        compare(&mut found, "no_new_privs", &self.no_new_privs, &now.no_new_privs, bool::to_string);
        compare(&mut found, "the group list", &self.groups, &now.groups, |groups| listed(groups));
        found
    }
}

fn compare<T: PartialEq>(found: &mut Vec<String>, what: &str, plan: &T, now: &T, text: fn(&T) -> String) {
    if plan != now {
        found.push(format!("{what} is {} and should be {}", text(now), text(plan)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caps::Cap;
    use crate::model::ids::Id;

    type Change = fn(&mut Credentials);

    fn same() -> (Expected, Credentials) {
        let (uid, gid) = (Uid::new(1000).unwrap(), Gid::new(1000).unwrap());
        let caps = CapSet::of(&[Cap::CAP_IPC_LOCK]);
        let expected =
            Expected { uid, gid, groups: vec![gid], caps, bounding: Some(caps), no_new_privs: true };
        let now = Credentials {
            groups: vec![gid],
            inheritable: caps,
            ambient: caps,
            no_new_privs: true,
            ..Credentials::started(1000, caps)
        };
        (expected, now)
    }

    #[test]
    fn what_equals_the_plan_does_not_differ() {
        let (expected, now) = same();
        assert_eq!(expected.differences(&now), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_differs_is_found_by_itself() {
        let (expected, now) = same();
        let changes: [(&str, Change); 14] = [
            ("uid", |now| now.uid.real = Uid::ROOT),
            ("uid", |now| now.uid.effective = Uid::ROOT),
            ("uid", |now| now.uid.saved = Uid::ROOT),
            ("gid", |now| now.gid.real = Gid::ROOT),
            ("gid", |now| now.gid.effective = Gid::ROOT),
            ("gid", |now| now.gid.saved = Gid::ROOT),
            ("the group list", |now| now.groups.push(Gid::ROOT)),
            ("permitted", |now| now.permitted = CapSet::EMPTY),
            ("effective", |now| now.effective = CapSet::EMPTY),
            ("inheritable", |now| now.inheritable = CapSet::EMPTY),
            ("ambient", |now| now.ambient = CapSet::EMPTY),
            ("bounding", |now| now.bounding = Some(CapSet::EMPTY)),
            ("bounding", |now| now.bounding = None),
            ("no_new_privs", |now| now.no_new_privs = false),
        ];
        for (what, change) in changes {
            let mut now = now.clone();
            change(&mut now);
            let found = expected.differences(&now);
            assert!(found.len() == 1 && found[0].starts_with(&format!("{what} is ")), "{what}: {found:?}");
        }
    }
}
