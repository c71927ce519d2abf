//! A container's start as the shim finds it, the plan that the shim makes of it, and how a
//! run of it ended.

use std::ffi::{CStr, CString};
use std::fmt;

use capshim::accounts::entries::Accounts;
use capshim::model::caps::CapSet;
use capshim::model::credentials::{Credentials, Ids, OverflowGid, Securebits};
use capshim::model::ids::listed;
use capshim::model::ids::{Gid, Id, Uid};
use capshim::plan::{self, Plan};
use capshim::settings::Config;

use crate::harness::container::{Container, GROUP, Output, PASSWD};

/// How the shim begins to say that the read-back found something.
pub const DIFFERS: &str = "the credentials read back differ from the plan: ";

/// A container's start, and the plan that comes of it.
pub struct Case {
    pub name: &'static str,
    pub start: Credentials,
    pub settings: &'static [(&'static str, &'static str)],
    /// What the start takes besides.
    pub prepare: fn(Container) -> Container,
}

/// How a run ended.
pub enum End {
    /// The payload ran and has what was planned.
    AsPlanned,
    /// It did not run.
    Refused {
        code: i32,
        cause: String,
    },
    /// No fault was tried: the lie would be the truth.
    NoLie,
    Wrong(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            End::AsPlanned => f.write_str("as planned"),
            End::Refused { code, cause } => write!(f, "{code}: {}", cause.replace(DIFFERS, "read back: ")),
            End::NoLie => f.write_str("true"),
            End::Wrong(how) => f.write_str(how),
        }
    }
}

impl Case {
    /// What the shim itself plans.
    pub fn plan(&self, start: &Credentials) -> Plan {
        let entry = |(name, value): &(&str, &str)| CString::new(format!("{name}={value}")).expect("no NUL");
        let entries: Vec<CString> = self.settings.iter().map(entry).collect();
        let environment: Vec<&CStr> = entries.iter().map(CString::as_c_str).collect();
        let config = Config::parse(&environment).expect("settings");
        let users = Accounts::users(start.uid.effective, config.user.as_ref(), PASSWD.as_bytes());
        let mut accounts = users.expect("users");
        accounts.read_groups(&config, GROUP.as_bytes()).expect("groups");
        plan::plan(&config, start, &accounts).expect("a plan")
    }

    pub fn container(&self) -> Container {
        let start = &self.start;
        let groups: Vec<u32> = start.groups.iter().map(|gid| gid.raw()).collect();
        let mut container = Container::user(start.uid.real.raw(), start.gid.real.raw()).groups(&groups);
        for (set, caps) in [
            ("bounding", start.bounding.unwrap_or_default()),
            ("permitted", start.permitted),
            ("effective", start.effective),
            ("inheritable", start.inheritable),
            ("ambient", start.ambient),
        ] {
            let names: Vec<String> = caps.names().collect();
            container = container.set(set, &names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let settings = self.settings.iter();
        (self.prepare)(settings.fold(container, |container, (name, value)| container.env(name, value)))
    }

    pub fn end(&self, plan: &Plan, output: &Output) -> End {
        if !output.stdout.contains("uid:") {
            return refusal(output);
        }
        let expected = &plan.expected;
        let bounding = expected.bounding.or(self.start.bounding).unwrap_or_default();
        let on = if expected.no_new_privs { "on" } else { "off" };
        let mut planned = vec![
            ("uid", expected.uid.to_string()),
            ("gid", expected.gid.to_string()),
            ("groups", listed(&expected.groups)),
            ("bounding", bounding.to_string()),
            ("no_new_privs", on.to_owned()),
        ];
        let sets = ["inheritable", "permitted", "effective", "ambient"];
        planned.extend(sets.map(|set| (set, expected.caps.to_string())));
        let state = output.state();
        planned.retain(|(name, value)| state.get(name) != Some(&value.as_str()));
        if planned.is_empty() && output.code == 0 {
            End::AsPlanned
        } else {
            End::Wrong(format!("ran, and should have {planned:?}:\n{}{}", output.stdout, output.stderr))
        }
    }
}

/// What the shim finds when it is started with these and nothing else.
pub fn started(id: u32, granted: CapSet) -> Credentials {
    Credentials {
        uid: Ids::all(Uid::new(id).expect("a uid")),
        gid: Ids::all(gid(id)),
        groups: Vec::new(),
        permitted: granted,
        effective: granted,
        inheritable: CapSet::EMPTY,
        ambient: CapSet::EMPTY,
        no_new_privs: false,
        securebits: Securebits::default(),
        has_ambient: true,
        bounding: Some(granted),
        own_file: None,
        overflow_gid: OverflowGid::Unknown,
    }
}

pub fn gid(gid: u32) -> Gid {
    Gid::new(gid).expect("a gid")
}

/// One line of cause and at most one of cure.
fn refusal(output: &Output) -> End {
    let lines: Vec<&str> = output.stderr.lines().collect();
    let cause = lines.first().and_then(|line| line.strip_prefix("capshim: "));
    let hinted = lines.len() == 2 && lines[1].starts_with("capshim: hint: ");
    match cause.filter(|_| output.stdout.is_empty() && (hinted || lines.len() == 1)) {
        Some(cause) => End::Refused { code: output.code, cause: cause.to_owned() },
        None => End::Wrong(format!("{}\n{}{}", output.code, output.stdout, output.stderr)),
    }
}
