//! The plan's steps on the model of the kernel: each as the system call that it is.

use capshim::model::ids::Id;
use capshim::plan::step::Step;

use crate::kernel::{self, Process, Set};

/// One step as the system call that it is.
pub fn perform(step: &Step, process: &mut Process) -> Result<(), kernel::Error> {
    match step {
        Step::RaiseEffective(caps) => {
            process.capset(caps.effective.bits(), caps.permitted.bits(), caps.inheritable.bits())
        }
        Step::KeepCaps => process.keep_caps(),
        Step::SetGroups(groups) => process.setgroups(&groups.iter().map(|gid| gid.raw()).collect::<Vec<_>>()),
        Step::SetGid(gid) => process.setresgid(kernel::Ids::all(gid.raw())),
        Step::DropBounding(cap) => process.drop_bounding(bit(*cap)),
        Step::SetUid(uid) => process.setresuid(kernel::Ids::all(uid.raw())),
        Step::SetCaps(caps) => process.capset(caps.bits(), caps.bits(), caps.bits()),
        Step::ClearAmbient => process.clear_ambient(),
        Step::RaiseAmbient(cap) => process.raise_ambient(bit(*cap)),
        Step::NoNewPrivs => process.set_no_new_privs(),
        // These change no credentials.
        Step::ShareStdio(_) | Step::Subreaper | Step::Dumpable => Ok(()),
    }
}

fn bit(cap: u8) -> Set {
    1 << cap
}

/// All steps; the first that fails, with its errno.
pub fn perform_all(steps: &[Step], process: &mut Process) -> Result<(), String> {
    steps.iter().try_for_each(|step| perform(step, process).map_err(|error| format!("{step}: {error:?}")))
}
