//! What the application holds after exec, and whether that is what was asked.
//!
//! Pure: the kernel's rule is in `file_caps`; what the command's file is, `target` reads.
#![forbid(unsafe_code)]

use crate::capset::CapSet;
use crate::credentials::Securebits;
use crate::diagnose;
use crate::error::Refusal;
use crate::file_caps::{After, Before, Executable, Obstacle, after_exec};
use crate::plan::Expected;

/// What holds just before exec, when the plan has been performed and verified.
pub fn before_exec(planned: &Expected, bounding: CapSet, securebits: Securebits) -> Before {
    Before {
        uid: planned.uid,
        gid: planned.gid,
        permitted: planned.caps,
        inheritable: planned.caps,
        ambient: planned.caps,
        bounding,
        no_new_privs: planned.no_new_privs,
        securebits,
    }
}

/// What the application would hold, or the refusal if its ids would change, or if its
/// permitted or effective set would be more or less than the request. Only ambient may be
/// lost: then its children do not inherit.
pub fn judge(before: &Before, file: &Executable, name: &str) -> Result<After, Refusal> {
    let caps = file.caps.unwrap_or_default();
    let after = after_exec(before, file).map_err(|obstacle| match obstacle {
        Obstacle::ChangesIds { uid, gid } => diagnose::file_changes_ids(name, before, uid, gid),
        Obstacle::NotPermitted => diagnose::file_demands(name, caps, before.bounding),
    })?;
    if after.permitted != before.permitted || after.effective != before.permitted {
        return Err(diagnose::file_differs(name, caps, &after, before.permitted));
    }
    Ok(after)
}
