//! The kernel's rules for credentials, as a model: what each system call and exec makes of them.
//!
//! Written from capabilities(7) and from Linux's security/commoncap.c and kernel/sys.c; the name of
//! the function stands beside each rule. It shares nothing with `src`: own types, own arithmetic.
//! tests/proof runs it against the real kernel.

/// Capabilities by number, one bit each.
pub type Set = u64;

pub const SETGID: Set = 1 << 6;
pub const SETUID: Set = 1 << 7;
pub const SETPCAP: Set = 1 << 8;

/// linux/securebits.h.
pub const NOROOT: u32 = 1 << 0;
pub const NO_SETUID_FIXUP: u32 = 1 << 2;
pub const KEEP_CAPS: u32 = 1 << 4;
pub const KEEP_CAPS_LOCKED: u32 = 1 << 5;
pub const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    Eperm,
    Einval,
}

use Error::{Einval, Eperm};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
}

impl Ids {
    pub fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id }
    }

    fn has(self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }
}

/// What struct cred has, and the few facts around it that count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    pub uid: Ids,
    pub gid: Ids,
    /// Sorted.
    pub groups: Vec<u32>,
    pub permitted: Set,
    pub effective: Set,
    pub inheritable: Set,
    pub ambient: Set,
    pub bounding: Set,
    pub no_new_privs: bool,
    pub securebits: u32,
    /// Since Linux 4.3; some sandboxes have none.
    pub knows_ambient: bool,
    /// The user namespace maps the ids below this one.
    pub mapped: u32,
}

/// A program's file, with what of its attributes counts where it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct File {
    pub caps: Option<FileCaps>,
    pub set_uid: Option<u32>,
    pub set_gid: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FileCaps {
    pub permitted: Set,
    pub inheritable: Set,
    pub effective: bool,
}

fn is_within(some: Set, all: Set) -> bool {
    some & !all == 0
}

impl Process {
    fn is_capable(&self, cap: Set) -> bool {
        self.effective & cap != 0
    }

    fn has_securebit(&self, bit: u32) -> bool {
        self.securebits & bit != 0
    }

    /// cap_capset().
    pub fn capset(&mut self, effective: Set, permitted: Set, inheritable: Set) -> Result<(), Error> {
        // cap_inh_is_capped().
        if !self.is_capable(SETPCAP) && !is_within(inheritable, self.inheritable | self.permitted) {
            return Err(Eperm);
        }
        if !is_within(inheritable, self.inheritable | self.bounding)
            || !is_within(permitted, self.permitted)
            || !is_within(effective, permitted)
        {
            return Err(Eperm);
        }
        (self.effective, self.permitted, self.inheritable) = (effective, permitted, inheritable);
        self.ambient &= permitted & inheritable;
        Ok(())
    }

    /// cap_task_prctl(), PR_SET_KEEPCAPS.
    pub fn keep_caps(&mut self) -> Result<(), Error> {
        if self.has_securebit(KEEP_CAPS_LOCKED) {
            return Err(Eperm);
        }
        self.securebits |= KEEP_CAPS;
        Ok(())
    }

    /// cap_prctl_drop().
    pub fn drop_bounding(&mut self, cap: Set) -> Result<(), Error> {
        if !self.is_capable(SETPCAP) {
            return Err(Eperm);
        }
        self.bounding &= !cap;
        Ok(())
    }

    /// cap_task_prctl(), PR_CAP_AMBIENT_CLEAR_ALL.
    pub fn clear_ambient(&mut self) -> Result<(), Error> {
        if !self.knows_ambient {
            return Err(Einval);
        }
        self.ambient = 0;
        Ok(())
    }

    /// cap_task_prctl(), PR_CAP_AMBIENT_RAISE.
    pub fn raise_ambient(&mut self, cap: Set) -> Result<(), Error> {
        if !self.knows_ambient {
            return Err(Einval);
        }
        if !is_within(cap, self.permitted & self.inheritable) || self.has_securebit(NO_CAP_AMBIENT_RAISE) {
            return Err(Eperm);
        }
        self.ambient |= cap;
        Ok(())
    }

    /// sys_setgroups(), may_setgroups().
    pub fn setgroups(&mut self, groups: &[u32]) -> Result<(), Error> {
        if !self.is_capable(SETGID) {
            return Err(Eperm);
        }
        if groups.iter().any(|gid| *gid >= self.mapped) {
            return Err(Einval);
        }
        self.groups = groups.to_vec();
        // groups_sort().
        self.groups.sort_unstable();
        Ok(())
    }

    /// __sys_setresgid().
    pub fn setresgid(&mut self, to: Ids) -> Result<(), Error> {
        self.may_set(to, self.gid, SETGID)?;
        self.gid = to;
        Ok(())
    }

    /// __sys_setresuid(), cap_task_fix_setuid().
    pub fn setresuid(&mut self, to: Ids) -> Result<(), Error> {
        self.may_set(to, self.uid, SETUID)?;
        let from = std::mem::replace(&mut self.uid, to);
        if !self.has_securebit(NO_SETUID_FIXUP) {
            self.fix_up(from, to);
        }
        Ok(())
    }

    fn may_set(&self, to: Ids, from: Ids, cap: Set) -> Result<(), Error> {
        let ids = [to.real, to.effective, to.saved];
        if ids.iter().any(|id| *id >= self.mapped) {
            return Err(Einval);
        }
        let is_own = ids.iter().all(|id| from.has(*id));
        if is_own || self.is_capable(cap) { Ok(()) } else { Err(Eperm) }
    }

    /// cap_emulate_setxuid().
    fn fix_up(&mut self, from: Ids, to: Ids) {
        if from.has(0) && !to.has(0) {
            if !self.has_securebit(KEEP_CAPS) {
                (self.permitted, self.effective) = (0, 0);
            }
            // "Pre-ambient programs expect setresuid to nonroot followed by exec to drop capabilities."
            self.ambient = 0;
        }
        if from.effective == 0 && to.effective != 0 {
            self.effective = 0;
        }
        if from.effective != 0 && to.effective == 0 {
            self.effective = self.permitted;
        }
    }

    /// sys_prctl(), PR_SET_NO_NEW_PRIVS.
    pub fn set_no_new_privs(&mut self) -> Result<(), Error> {
        self.no_new_privs = true;
        Ok(())
    }

    /// The effective ids after exec of the file (bprm_fill_uid()). Where they change, or differ from
    /// the real ones, the rule for capabilities depends on the kernel's version: `exec` does not have
    /// it, and capshim refuses such a start and such a file.
    pub fn ids_after(&self, file: &File) -> (u32, u32) {
        let set_id = |id: Option<u32>, own: u32| id.filter(|_| !self.no_new_privs).unwrap_or(own);
        (set_id(file.set_uid, self.uid.effective), set_id(file.set_gid, self.gid.effective))
    }

    /// cap_bprm_creds_from_file(), for a file that does not change the ids, and real ids that are the effective ones.
    pub fn exec(&self, file: &File) -> Result<Process, Error> {
        let mut new = self.clone();
        let mut effective = false;
        new.permitted = 0;
        // get_file_caps(), bprm_caps_from_vfs_caps().
        if let Some(caps) = file.caps {
            new.permitted = (self.bounding & caps.permitted) | (self.inheritable & caps.inheritable);
            effective = caps.effective;
            if effective && !is_within(caps.permitted, new.permitted) {
                return Err(Eperm);
            }
        }
        // handle_privileged_root().
        if self.uid.effective == 0 && !self.has_securebit(NOROOT) {
            new.permitted = self.bounding | self.inheritable;
            effective = true;
        }
        // __cap_gained() and LSM_UNSAFE_NO_NEW_PRIVS.
        if self.no_new_privs && !is_within(new.permitted, self.permitted) {
            new.permitted &= self.permitted;
        }
        if file.caps.is_some() {
            new.ambient = 0;
        }
        new.permitted |= new.ambient;
        new.effective = if effective { new.permitted } else { new.ambient };
        new.uid = Ids { saved: self.uid.effective, ..self.uid };
        new.gid = Ids { saved: self.gid.effective, ..self.gid };
        new.securebits &= !KEEP_CAPS;
        Ok(new)
    }
}
