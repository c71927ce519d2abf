//! The application's environment: the inherited one without capshim's settings. HOME, USER and LOGNAME follow
//! the user, and in init mode process ids follow the process.
//!
//! Pure. Every other entry keeps its place and its bytes.
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use crate::accounts::lines::User;
use crate::model::ids::Uid;
use crate::settings::names;

/// The user that an environment belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// `None` if /etc/passwd has no entry. Root is called root anyway.
    pub name: Option<Vec<u8>>,
    pub home: Option<Vec<u8>>,
}

impl Account {
    pub fn new(uid: Uid, entry: Option<&User>) -> Account {
        let root = (uid == Uid::ROOT).then(|| b"root".to_vec());
        Account {
            name: entry.map(|user| user.name.clone()).or(root),
            home: entry.map(|user| user.home.clone()),
        }
    }

    /// Whether the runtime set this HOME for this user. Without an entry in /etc/passwd, runtimes set `/root`
    /// or `/`. Some leave it empty after a line that they cannot read.
    fn lives_in(&self, home: &[u8]) -> bool {
        match &self.home {
            _ if home.is_empty() => true,
            Some(own) => own == home,
            None => home == b"/root" || home == b"/",
        }
    }
}

/// In init mode: the process that got the environment, and the one that becomes the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renumbering {
    pub from: u32,
    pub to: u32,
}

/// The environment for the application.
pub fn for_application<'a>(
    environment: &[&'a CStr],
    start: &Account,
    target: &Account,
    renumbering: Option<Renumbering>,
) -> Vec<Cow<'a, CStr>> {
    let numbers = renumbering.map(|Renumbering { from, to }| [from, to].map(|pid| pid.to_string()));
    // The new process id, if the value is the old one.
    let renumbered = |value: &[u8]| {
        numbers.as_ref().filter(|[from, _]| from.as_bytes() == value).map(|[_, to]| to.as_bytes())
    };
    let listens = numbers.is_some() && value(environment, b"LISTEN_PID").and_then(renumbered).is_some();
    let home = || variable(b"HOME", target.home.as_deref().unwrap_or(b"/"));
    let mut has_home = false;
    let mut result: Vec<Cow<CStr>> = Vec::with_capacity(environment.len() + 1);
    for &entry in environment.iter().filter(|entry| !names::is_setting(entry)) {
        let (name, value) = names::split(entry);
        let kept = Cow::Borrowed(entry);
        match name {
            b"HOME" => {
                has_home = true;
                result.push(if start.lives_in(value) { home() } else { kept });
            }
            b"USER" | b"LOGNAME" if start.name.as_deref() == Some(value) => {
                result.extend(target.name.as_deref().map(|value| variable(name, value)));
            }
            // Only for the process whose id they contain: sd_listen_fds(3), sd_watchdog_enabled(3).
            b"LISTEN_PID" | b"WATCHDOG_PID" => {
                result.push(renumbered(value).map_or(kept, |number| variable(name, number)));
            }
            // The same process, as the inode of its pidfd. sd_listen_fds(3) works without it.
            b"LISTEN_PIDFDID" if listens => {}
            _ => result.push(kept),
        }
    }
    if !has_home {
        result.push(home());
    }
    result
}

/// The value of the first entry with this name, as getenv(3) finds it.
pub fn value<'a>(environment: &'a [impl AsRef<CStr>], name: &[u8]) -> Option<&'a [u8]> {
    environment
        .iter()
        .map(|entry| names::split(entry.as_ref()))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

fn variable<'a>(name: &[u8], value: &[u8]) -> Cow<'a, CStr> {
    // A C string ends at a NUL byte. Entries of /etc/passwd have none.
    let value = value.split(|&byte| byte == 0).next().unwrap_or_default();
    Cow::Owned(CString::new([name, b"=", value].concat()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Id;

    fn account(name: Option<&str>, home: Option<&str>) -> Account {
        Account {
            name: name.map(|name| name.as_bytes().to_vec()),
            home: home.map(|home| home.as_bytes().to_vec()),
        }
    }

    fn result(environment: &[&CStr], start: &Account, target: &Account) -> Vec<String> {
        renumbered(environment, start, target, None)
    }

    fn renumbered(
        environment: &[&CStr],
        start: &Account,
        target: &Account,
        renumbering: Option<Renumbering>,
    ) -> Vec<String> {
        for_application(environment, start, target, renumbering)
            .iter()
            .map(|entry| entry.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn settings_go_and_all_else_keeps_its_order() {
        let environment = [
            c"B=2",
            c"CAPSHIM_USER=app",
            c"A=1",
            c"CAPSHIM_PORT=tcp://x",
            c"HOME=/data",
            c"noequals",
            c"A=1",
            c"CAPSHIM_LOG=info",
        ];
        let app = account(Some("app"), Some("/home/app"));
        assert_eq!(
            result(&environment, &account(Some("root"), Some("/root")), &app),
            ["B=2", "A=1", "CAPSHIM_PORT=tcp://x", "HOME=/data", "noequals", "A=1"]
        );
    }

    #[test]
    fn home_follows_the_user_when_it_was_the_starting_users() {
        let root = account(Some("root"), Some("/root"));
        let app = account(Some("app"), Some("/home/app"));
        assert_eq!(result(&[c"HOME=/root"], &root, &app), ["HOME=/home/app"]);
        assert_eq!(result(&[c"X=1"], &root, &app), ["X=1", "HOME=/home/app"]);
        assert_eq!(result(&[c"HOME=", c"X=1"], &root, &app), ["HOME=/home/app", "X=1"]);
        assert_eq!(result(&[c"HOME=/root"], &root, &account(None, None)), ["HOME=/"]);
        let unknown = Account::new(Uid::ROOT, None);
        assert_eq!(result(&[c"HOME=/root"], &unknown, &app), ["HOME=/home/app"]);
        assert_eq!(result(&[c"HOME=/"], &unknown, &app), ["HOME=/home/app"]);
        assert_eq!(result(&[c"HOME=/srv"], &unknown, &app), ["HOME=/srv"]);
        assert_eq!(result(&[c"HOME=/"], &root, &app), ["HOME=/"]);
    }

    #[test]
    fn user_and_logname_change_only_if_they_named_the_starting_user() {
        let root = Account::new(Uid::ROOT, None);
        let app = account(Some("app"), Some("/"));
        assert_eq!(
            result(&[c"HOME=/x", c"USER=root", c"LOGNAME=root"], &root, &app),
            ["HOME=/x", "USER=app", "LOGNAME=app"]
        );
        assert_eq!(
            result(&[c"HOME=/x", c"USER=me", c"LOGNAME=root"], &root, &account(None, None)),
            ["HOME=/x", "USER=me"]
        );
        let nobody = Account::new(Uid::new(1000).unwrap(), None);
        assert_eq!(result(&[c"HOME=/x", c"USER=root"], &nobody, &nobody), ["HOME=/x", "USER=root"]);
    }

    #[test]
    fn what_names_the_starting_process_names_the_one_that_becomes_the_application() {
        let nobody = account(None, None);
        let environment = [
            c"HOME=/x",
            c"LISTEN_PIDFDID=77",
            c"LISTEN_PID=1",
            c"LISTEN_FDS=1",
            c"WATCHDOG_PID=1",
            c"SYSTEMD_EXEC_PID=1",
            c"MY_LISTEN_PID=1",
        ];
        let renumbering = Some(Renumbering { from: 1, to: 7 });
        let after = |environment: &[&CStr]| renumbered(environment, &nobody, &nobody, renumbering);
        assert_eq!(
            after(&environment),
            [
                "HOME=/x",
                "LISTEN_PID=7",
                "LISTEN_FDS=1",
                "WATCHDOG_PID=7",
                "SYSTEMD_EXEC_PID=1",
                "MY_LISTEN_PID=1"
            ]
        );
        // Without a parent that stays, or with another process's id, they do not change.
        let same = |environment: &[&CStr]| {
            environment.iter().map(|entry| entry.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(result(&environment, &nobody, &nobody), same(&environment));
        for other in [c"LISTEN_PID=11", c"LISTEN_PID= 1", c"LISTEN_PID=01", c"LISTEN_PID=", c"LISTEN_PID"] {
            let environment = [c"HOME=/x", other, c"LISTEN_PIDFDID=77"];
            assert_eq!(after(&environment), same(&environment));
        }
    }
}
