//! The program's pure code on a start, and the plan's steps done on the model.

use std::ffi::{CStr, CString};

use capshim::accounts::entries::Accounts;
use capshim::model::caps::CapSet;
use capshim::model::credentials::{self, Credentials, OverflowGid, OwnFile, Place, Securebits, Unknown};
use capshim::model::file_caps::FileCaps;
use capshim::model::ids::{Gid, Id, Uid};
use capshim::plan::reasons::Reason;
use capshim::plan::{self, Plan};
use capshim::settings::Config;
use nix::errno::Errno;

use crate::kernel::{self, Process};
use crate::starts::{self, Groups, Kind, Sets, User};

/// The settings and files of a kind, and buffers for its starts.
pub struct Shim {
    kind: Kind,
    config: Config,
    accounts: Accounts,
    credentials: Credentials,
}

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
const GROUP: &str = "root:x:0:root\napp:x:1000:\n";

pub fn config(entries: &[&str]) -> Config {
    let entries: Vec<CString> = entries.iter().map(|entry| CString::new(*entry).unwrap()).collect();
    let entries: Vec<&CStr> = entries.iter().map(CString::as_c_str).collect();
    Config::parse(&entries).unwrap()
}

pub fn ids<T: Id>(ids: kernel::Ids) -> credentials::Ids<T> {
    let id = |raw| T::new(raw).unwrap();
    credentials::Ids { real: id(ids.real), effective: id(ids.effective), saved: id(ids.saved) }
}

impl Shim {
    pub fn new(kind: &Kind) -> Shim {
        let user = match kind.user {
            User::RootWithoutSetting => "CAPSHIM_LOG=info",
            User::RootStays => "CAPSHIM_USER=root",
            User::Other | User::RootSwitches => "CAPSHIM_USER=1000:1000",
        };
        Shim::with_user(kind, user)
    }

    /// The same with another setting of the user.
    pub fn with_user(kind: &Kind, user: &str) -> Shim {
        let groups = if kind.groups == Groups::Change { "none" } else { "auto" };
        let config = config(&[
            user,
            "CAPSHIM_CAPS=none",
            &format!("CAPSHIM_GROUPS={groups}"),
            &format!("CAPSHIM_NO_NEW_PRIVS={}", u8::from(kind.asks_no_new_privs)),
            "CAPSHIM_INIT=1",
        ]);
        let process = kind.process();
        let uid = Uid::new(process.uid.effective).unwrap();
        let mut accounts = Accounts::users(uid, config.user.as_ref(), PASSWD.as_bytes()).unwrap();
        accounts.read_groups(&config, GROUP.as_bytes()).unwrap();
        Shim { kind: *kind, config, accounts, credentials: observed(&process) }
    }

    /// The plan, or why there is none.
    pub fn plan(&mut self, sets: &Sets) -> Result<Plan, Reason> {
        let set = CapSet::from_bits;
        (self.config.caps.required, self.config.caps.optional) = (set(sets.required), set(sets.optional));
        let start = &mut self.credentials;
        (start.permitted, start.effective) = (set(sets.permitted), set(sets.effective));
        (start.inheritable, start.ambient) = (set(sets.inheritable), set(sets.ambient));
        // As `run` does: what is not needed is not read.
        start.bounding = plan::needs_bounding(&self.config, start).then(|| set(sets.bounding));
        start.own_file = plan::needs_own_file(&self.config, start).then(|| own_file(&self.kind, sets));
        plan::plan(&self.config, start, &self.accounts)
    }
}

/// What the shim reads of this process; the bounding set and its file aside.
pub fn observed(process: &Process) -> Credentials {
    let set = CapSet::from_bits;
    Credentials {
        uid: ids(process.uid),
        gid: ids(process.gid),
        groups: process.groups.iter().filter_map(|gid| Gid::new(*gid)).collect(),
        permitted: set(process.permitted),
        effective: set(process.effective),
        inheritable: set(process.inheritable),
        ambient: set(process.ambient),
        no_new_privs: process.no_new_privs,
        securebits: Securebits(process.securebits),
        has_ambient: process.knows_ambient,
        bounding: None,
        own_file: None,
        overflow_gid: OverflowGid::Certain,
    }
}

fn own_file(kind: &Kind, sets: &Sets) -> OwnFile {
    let caps = FileCaps {
        permitted: CapSet::from_bits(sets.on_file),
        inheritable: CapSet::from_bits(sets.inheritable_on_file),
        effective: kind.file == starts::OwnFile::Carries { effective: true },
        foreign: kind.file == starts::OwnFile::Foreign,
    };
    let has_some = kind.file != starts::OwnFile::Plain;
    let known = Ok(has_some.then_some(caps));
    OwnFile {
        path: b"/capshim".to_vec(),
        caps: if kind.file.is_unknown() { Err(Unknown("open", Errno::EACCES)) } else { known },
        nosuid: kind.file == starts::OwnFile::Nosuid,
        place: Place::Image,
    }
}
