//! The words of a refusal because of the command's file: exit code, cause and hints.
//!
//! Pure.
#![forbid(unsafe_code)]

use nix::errno::Errno;

use crate::command::after_exec::{Before, Obstacle};
use crate::command::outcome::{Unfit, depends_on_file};
use crate::hints;
use crate::model::credentials::Credentials;
use crate::model::error::{Exit, Refusal};
use crate::model::file_caps::FileCaps;
use crate::settings::names;

/// Refuses a file with these capabilities. `start` has the credentials before anything was dropped.
pub fn refusal(unfit: Unfit, name: &str, caps: FileCaps, before: &Before, start: &Credentials) -> Refusal {
    let refused = |cause: String| Refusal::new(Exit::CannotExecute, format!("{name}: {cause}"));
    match unfit {
        Unfit::Exec(Obstacle::ChangesIds { uid, gid }) => refused(format!(
            "with {}=0 its set-id bits would change uid {} gid {} to uid {uid} gid {gid}",
            names::NO_NEW_PRIVS,
            before.uid,
            before.gid,
        ))
        .hint(format!("remove the bits: chmod u-s,g-s {name}"))
        .or(format!("{}: they do not count then", hints::leave_out(names::NO_NEW_PRIVS))),
        // They were not granted, or capshim dropped them because nobody asked for them.
        Unfit::Exec(Obstacle::NotPermitted) => {
            let lacking = caps.permitted - before.bounding;
            let why = if lacking.is_subset_of(start.bounding.unwrap_or(before.bounding)) {
                format!("which {} does not ask for", names::CAPS)
            } else {
                "not granted to this container".to_owned()
            };
            let cause = format!("its file capabilities demand {lacking}, {why}, so it cannot be executed");
            with_other_capabilities(refused(cause), name, caps, before, start)
        }
        Unfit::Differs(after) => {
            let cause = format!(
                "its file capabilities would leave the application permitted {} and effective {}, and {} asks for {}",
                after.permitted,
                after.effective,
                names::CAPS,
                before.permitted
            );
            with_other_capabilities(refused(cause), name, caps, before, start)
        }
    }
}

/// The kernel refuses to execute the command's file with EINVAL.
pub fn malformed_attribute(name: &str) -> Refusal {
    let cause = format!("{name}: its security.capability attribute is malformed, so it cannot be executed");
    without_capabilities(Refusal::new(Exit::CannotExecute, cause), name)
}

/// The application's user may execute the file but not read it, and that matters.
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
    let refusal = refusal.hint(format!("let the application's user read it: chmod a+r {name}"));
    if depends_on_file(&Before { no_new_privs: true, ..*before }) {
        refusal
    } else {
        refusal.or(hints::leave_out(names::NO_NEW_PRIVS))
    }
}

fn without_capabilities(refusal: Refusal, name: &str) -> Refusal {
    refusal
        .hint(format!(
            "remove them when the image is built, capshim gives the capabilities instead: setcap -r {name}"
        ))
        .or(format!(
            "replace the file by a copy, which has none: cp {name} {name}.new && mv {name}.new {name}"
        ))
}

/// Adds a third way if `CAPSHIM_CAPS` can ask for what the file makes effective. It needs a switch from root,
/// or no_new_privs, so that nothing can be regained.
fn with_other_capabilities(
    refusal: Refusal,
    name: &str,
    caps: FileCaps,
    before: &Before,
    start: &Credentials,
) -> Refusal {
    let refusal = without_capabilities(refusal, name);
    let switches = start.uid.effective != before.uid && start.may_carry().is_subset_of(caps.permitted);
    let granted = caps.permitted.is_subset_of(start.permitted) && (switches || before.no_new_privs);
    if !caps.effective || caps.permitted.is_empty() || !granted {
        return refusal;
    }
    let list = hints::list(caps.permitted);
    refusal.or(format!("ask for what the file gives: {}={list}", names::CAPS))
}
