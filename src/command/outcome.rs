//! What the application holds after exec, and whether that is what was asked.
//!
//! Pure: the kernel's rule is in `after_exec`; what the command's file is, `file` reads.
#![forbid(unsafe_code)]

use nix::errno::Errno;

use crate::command::after_exec::{After, Before, Executable, Obstacle, after_exec};
use crate::hints;
use crate::model::credentials::{Credentials, Securebits};
use crate::model::error::{Exit, Refusal};
use crate::model::expected::Expected;
use crate::model::file_caps::FileCaps;
use crate::model::ids::{Gid, Uid};
use crate::settings::names;

/// What holds just before exec, when the plan has been performed and verified. Where the bounding
/// set was not read it is at least that.
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

/// What the application would hold, or the refusal if its ids would change, or if its
/// permitted or effective set would be more or less than the request. Only ambient may be
/// lost: then its children do not inherit.
///
/// `start` is what there was before anything was dropped.
pub fn judge(before: &Before, file: &Executable, name: &str, start: &Credentials) -> Result<After, Refusal> {
    let caps = file.caps.unwrap_or_default();
    let after = after_exec(before, file).map_err(|obstacle| match obstacle {
        Obstacle::ChangesIds { uid, gid } => file_changes_ids(name, before, uid, gid),
        Obstacle::NotPermitted => file_demands(name, caps, before, start),
    })?;
    if after.permitted != before.permitted || after.effective != before.permitted {
        return Err(file_differs(name, caps, &after, before, start));
    }
    Ok(after)
}

/// Whether any file could leave the application with other credentials. With no_new_privs none
/// gives it something, and the attribute that takes most away is an empty one.
pub fn depends_on_file(before: &Before) -> bool {
    let empty = Executable { caps: Some(FileCaps::default()), ..Executable::default() };
    let keeps = |after: After| (after.permitted, after.effective) == (before.permitted, before.permitted);
    !before.no_new_privs || !after_exec(before, &empty).is_ok_and(keeps)
}

/// A file that the application's user may execute and not read, where that matters.
pub fn unknown_file(name: &str, errno: Errno, before: &Before) -> Refusal {
    let refusal = Refusal::new(
        Exit::CannotExecute,
        format!(
            "open({name}): {errno}: it can be executed but not read, and a script's interpreter could have file capabilities or set-id bits \
             that change what {} asks for",
            names::CAPS
        ),
    );
    if errno != Errno::EACCES {
        return refusal;
    }
    let readable = format!("let the application's user read it: chmod a+r {name}");
    if depends_on_file(&Before { no_new_privs: true, ..*before }) {
        refusal.hint(readable)
    } else {
        refusal.hint(format!("{readable}; or leave {} out", names::NO_NEW_PRIVS))
    }
}

/// The command's file has the effective bit and capabilities that it cannot get: they were
/// not granted, or dropped from the bounding set because nobody asked for them.
fn file_demands(name: &str, caps: FileCaps, before: &Before, start: &Credentials) -> Refusal {
    let lacking = caps.permitted - before.bounding;
    let why = if lacking.is_subset_of(start.bounding.unwrap_or(before.bounding)) {
        format!("which {} does not ask for", names::CAPS)
    } else {
        "not granted to this container".to_owned()
    };
    let cause = format!("{name}: its file capabilities demand {lacking}, {why}, so it cannot be executed");
    Refusal::new(Exit::CannotExecute, cause)
        .hint(without_file_capabilities(name) + &asking_for(caps, before, start))
}

/// The command's file would leave the application with more or less than was asked.
fn file_differs(name: &str, caps: FileCaps, after: &After, before: &Before, start: &Credentials) -> Refusal {
    let cause = format!(
        "{name}: its file capabilities would leave the application permitted {} and effective {}, and {} asks for {}",
        after.permitted,
        after.effective,
        names::CAPS,
        before.permitted
    );
    Refusal::new(Exit::CannotExecute, cause)
        .hint(without_file_capabilities(name) + &asking_for(caps, before, start))
}

/// The command's set-id bits would change an id.
fn file_changes_ids(name: &str, before: &Before, uid: Uid, gid: Gid) -> Refusal {
    let cause = format!(
        "{name}: with {}=0 its set-id bits would change uid {} gid {} to uid {} gid {}",
        names::NO_NEW_PRIVS,
        before.uid,
        before.gid,
        uid,
        gid
    );
    Refusal::new(Exit::CannotExecute, cause).hint(format!(
        "remove the bits: chmod u-s,g-s {name}; or leave {} out: they do not count then",
        names::NO_NEW_PRIVS
    ))
}

/// The kernel refuses to execute the command's file, with EINVAL.
pub fn malformed_attribute(name: &str) -> Refusal {
    let cause = format!("{name}: its security.capability attribute is malformed, so it cannot be executed");
    Refusal::new(Exit::CannotExecute, cause).hint(without_file_capabilities(name))
}

fn without_file_capabilities(name: &str) -> String {
    format!(
        "remove them when the image is built, capshim gives the capabilities instead: setcap -r {name}; or run a copy, \
         which has none: cp {name} {name}-copy"
    )
}

/// A third way, where the file makes its permitted set effective and could be given the same
/// request: where root switches, or where no_new_privs makes sure that nothing is regained.
fn asking_for(caps: FileCaps, before: &Before, start: &Credentials) -> String {
    let switches = start.uid.effective != before.uid && start.may_carry().is_subset_of(caps.permitted);
    let to_be_had = caps.permitted.is_subset_of(start.permitted) && (switches || before.no_new_privs);
    if !caps.effective || caps.permitted.is_empty() || !to_be_had {
        return String::new();
    }
    let list = hints::list(caps.permitted);
    format!("; or ask for what the file gives: {}={list}", names::CAPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::caps::CapSet;
    use crate::model::ids::Id;

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
                        Err(Obstacle::ChangesIds { .. }) => true,
                        // It is not executed.
                        Err(Obstacle::NotPermitted) => false,
                    };
                    assert_eq!(depends_on_file(&before), files().iter().any(matters), "{before:?}");
                }
            }
        }
    }
}
