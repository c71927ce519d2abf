//! Decides whether the application holds after exec what was asked.
//!
//! Pure: `after_exec` has the kernel's rule, and `file` reads the command's file.
#![forbid(unsafe_code)]

use crate::command::after_exec::{After, Before, Executable, Obstacle, after_exec};
use crate::model::credentials::Securebits;
use crate::model::expected::Expected;
use crate::model::file_caps::FileCaps;

/// The credentials just before exec, after the plan was performed and verified. A bounding set that was not
/// read contains at least the request.
pub fn before_exec(planned: &Expected, securebits: Securebits) -> Before {
    Before {
        uid: planned.uid,
        gid: planned.gid,
        permitted: planned.caps,
        inheritable: planned.caps,
        ambient: planned.caps,
        bounding: planned.bounding.unwrap_or(planned.caps),
        no_new_privs: planned.no_new_privs,
        securebits,
    }
}

/// Why the application may not be executed from this file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    Exec(Obstacle),
    /// The permitted or effective set would be more or less than the request.
    Differs(After),
}

/// What the application would hold. Refuses a change of ids, and a permitted or effective set that differs
/// from the request. Only ambient may be lost: then child programs do not inherit.
pub fn judge(before: &Before, file: &Executable) -> Result<After, Unfit> {
    let after = after_exec(before, file).map_err(Unfit::Exec)?;
    if after.permitted == before.permitted && after.effective == before.permitted {
        Ok(after)
    } else {
        Err(Unfit::Differs(after))
    }
}

/// Whether any file could change the application's credentials. With no_new_privs no file adds anything, and
/// an empty attribute takes the most away.
pub fn depends_on_file(before: &Before) -> bool {
    let empty = Executable { caps: Some(FileCaps::default()), ..Executable::default() };
    let keeps = |after: After| (after.permitted, after.effective) == (before.permitted, before.permitted);
    !before.no_new_privs || !after_exec(before, &empty).is_ok_and(keeps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caps::CapSet;
    use crate::model::ids::{Gid, Id, Uid};

    /// All sets of two capabilities.
    fn sets() -> impl Iterator<Item = CapSet> {
        (0..4).map(|bits| CapSet::from_bits(bits << 13))
    }

    fn files() -> Vec<Executable> {
        let mut files = vec![Executable::default()];
        for permitted in sets() {
            for inheritable in sets() {
                for effective in [false, true] {
                    let caps = FileCaps { permitted, inheritable, effective, foreign: false };
                    files.push(Executable { caps: Some(caps), ..Executable::default() });
                }
            }
        }
        files.push(Executable { set_uid: Uid::new(7), ..Executable::default() });
        files
    }

    #[test]
    fn an_unknown_file_matters_exactly_where_there_is_one_that_would() {
        let ids = [Uid::ROOT, Uid::new(1000).unwrap()];
        for (uid, securebits) in ids.map(|uid| [(uid, 0), (uid, Securebits::NOROOT)]).concat() {
            for (request, more) in sets().flat_map(|request| sets().map(move |more| (request, more))) {
                for no_new_privs in [true, false] {
                    let before = Before {
                        uid,
                        gid: Gid::new(1000).unwrap(),
                        permitted: request,
                        inheritable: request,
                        ambient: request,
                        bounding: request | more,
                        no_new_privs,
                        securebits: Securebits(securebits),
                    };
                    let matters = |file: &Executable| match after_exec(&before, file) {
                        Ok(after) => (after.permitted, after.effective) != (request, request),
                        // It is not executed.
                        Err(Obstacle::NotPermitted) => false,
                        Err(_) => true,
                    };
                    assert_eq!(depends_on_file(&before), files().iter().any(matters), "{before:?}");
                }
            }
        }
    }
}
