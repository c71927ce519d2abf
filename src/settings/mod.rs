//! `CAPSHIM_*` variables: from the environment to a `Config`.
//!
//! Pure. It reads every setting and refuses what it does not understand. It must not guess or look anything
//! up.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod capabilities;
pub mod groups;
pub mod names;
pub mod user;
mod values;
pub mod words;

use std::ffi::CStr;
use std::str::FromStr;
use std::{fmt, str};

use crate::model::error::{Exit, Refusal};
use crate::settings::capabilities::Request;
use crate::settings::groups::GroupPolicy;
use crate::settings::names::{CAPS, GROUPS, INIT, LOG, NO_NEW_PRIVS, USER};
use crate::settings::user::UserSpec;
use crate::settings::values::Values;

/// The settings of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// A start as root requires it. Without root, the runtime's user stays.
    pub user: Option<UserSpec>,
    pub caps: Request,
    pub groups: GroupPolicy,
    pub no_new_privs: bool,
    pub init: Init,
    pub log: Log,
}

/// Whether this process stays as init, and who then gets its signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Init {
    Off,
    /// The application's process.
    Child,
    /// The application's process group.
    Group,
}

/// How much capshim writes to stderr when nothing fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Log {
    Quiet,
    Warn,
    Info,
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Init::Off => "0",
            Init::Child => "1",
            Init::Group => "group",
        })
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Log::Quiet => "quiet",
            Log::Warn => "warn",
            Log::Info => "info",
        })
    }
}

impl Config {
    /// Reads the settings from the environment's entries (`NAME=VALUE`, environ(7)).
    pub fn parse(environment: &[&CStr]) -> Result<Config, Refusal> {
        let values = Values::collect(environment)?;
        if values.get(USER)?.is_none() && values.get(CAPS)?.is_none() {
            return Err(Refusal::new(Exit::Setting, "neither CAPSHIM_USER nor CAPSHIM_CAPS is set").hint(
                "set CAPSHIM_USER=app (or uid:gid) and CAPSHIM_CAPS=ipc_lock (a list, or none) in the pod's env:, with \
                 docker run -e, or by ENV; a capshim that ran before in this container has removed its own",
            ));
        }
        Ok(Config {
            user: values.parsed(USER, UserSpec::from_str)?,
            caps: values.parsed(CAPS, Request::from_str)?.unwrap_or_default(),
            groups: values.parsed(GROUPS, GroupPolicy::from_str)?.unwrap_or(GroupPolicy::AUTO),
            no_new_privs: values.parsed(NO_NEW_PRIVS, boolean)?.unwrap_or(true),
            init: values.parsed(INIT, Init::from_str)?.unwrap_or(Init::Off),
            log: values.parsed(LOG, Log::from_str)?.unwrap_or(Log::Warn),
        })
    }
}

fn boolean(text: &str) -> Result<bool, Refusal> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Refusal::wrong("is not 1 or 0").hint("write 1 or 0")),
    }
}

impl FromStr for Init {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Init, Refusal> {
        match (text, boolean(text)) {
            ("group", _) => Ok(Init::Group),
            (_, Ok(on)) => Ok(if on { Init::Child } else { Init::Off }),
            (_, Err(_)) => Err(Refusal::wrong("is not 1, 0 or group").hint("write 1, 0 or group")),
        }
    }
}

impl FromStr for Log {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Log, Refusal> {
        match text {
            "quiet" => Ok(Log::Quiet),
            "warn" => Ok(Log::Warn),
            "info" => Ok(Log::Info),
            _ => Err(Refusal::wrong("is not a log level").hint("write quiet, warn or info")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::names::{SETTINGS, is_setting, may_ask_for_init};

    use std::ffi::CString;

    fn parse(entries: &[&str]) -> Result<Config, Refusal> {
        let owned: Vec<CString> = entries.iter().map(|entry| CString::new(*entry).unwrap()).collect();
        Config::parse(&owned.iter().map(CString::as_c_str).collect::<Vec<_>>())
    }

    fn cause(entries: &[&str]) -> String {
        let refusal = parse(entries).unwrap_err();
        assert_eq!(refusal.exit, Exit::Setting);
        refusal.cause
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = parse(&["PATH=/bin", "CAPSHIM_USER=app"]).unwrap();
        assert_eq!(config.caps, Request::default());
        assert_eq!(config.groups, GroupPolicy::AUTO);
        assert!(config.no_new_privs);
        assert_eq!(config.init, Init::Off);
        assert_eq!(config.log, Log::Warn);
    }

    #[test]
    fn forgetting_does_not_pass_silently() {
        assert_eq!(cause(&["PATH=/bin"]), "neither CAPSHIM_USER nor CAPSHIM_CAPS is set");
        assert_eq!(cause(&["CAPSHIM_LOG=info"]), "neither CAPSHIM_USER nor CAPSHIM_CAPS is set");
        for name in SETTINGS {
            let other = if name == USER { "CAPSHIM_CAPS=none" } else { "CAPSHIM_USER=app" };
            assert_eq!(cause(&[other, &format!("{name}=")]), format!("{name}='' is set but empty"));
        }
        assert_eq!(cause(&["CAPSHIM_USER"]), "CAPSHIM_USER='' is set but empty");
        let ways = |entry: &str| parse(&["CAPSHIM_LOG=info", entry]).unwrap_err().hint_line().unwrap();
        assert!(ways("CAPSHIM_USER=").ends_with(": write user, uid, user:group or uid:gid"));
        assert!(ways("CAPSHIM_CAPS=").ends_with(": write a list; or none: CAPSHIM_CAPS=none"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_one() {
        let refusal = parse(&["CAPSHIM_CAP=ipc_lock"]).unwrap_err();
        assert_eq!(refusal.cause, "CAPSHIM_CAP is not a setting of this version");
        assert!(refusal.ways[0].starts_with("the nearest one is CAPSHIM_CAPS;"));
        assert!(parse(&["CAPSHIM_USER=app", "CAPSHIM_=1"]).is_err());
        assert!(parse(&["CAPSHIM_USER=app", "CAPSHIM_PORTS=1"]).is_err());
        assert!(parse(&["CAPSHIM_USER=app", "CAPSHIM_PORT_X_TCP=1"]).is_err());
        assert!(parse(&["CAPSHIM_USER=app", "CAPSHIM_USER_PORT_80_ICMP=1"]).is_err());
    }

    #[test]
    fn service_links_and_version_pins_are_not_settings() {
        for name in [
            "CAPSHIM_SERVICE_HOST",
            "CAPSHIM_SERVICE_PORT",
            "CAPSHIM_SERVICE_PORT_HTTP",
            "CAPSHIM_PORT",
            "CAPSHIM_PORT_80_TCP",
            "CAPSHIM_PORT_80_TCP_ADDR",
            "CAPSHIM_PORT_80_TCP_PROTO",
            "CAPSHIM_PORT_53_UDP_PORT",
            "CAPSHIM_WEB_SERVICE_HOST",
            "CAPSHIM_WEB_PORT_8080_SCTP_ADDR",
            "CAPSHIM_VERSION",
            "CAPSHIM_SHA256",
        ] {
            let entry = format!("{name}=");
            assert!(parse(&["CAPSHIM_USER=app", &entry]).is_ok(), "{name}");
            assert!(!is_setting(&CString::new(entry).unwrap()), "{name}");
        }
    }

    #[test]
    fn the_same_setting_twice_is_an_error_even_with_equal_values() {
        assert_eq!(
            cause(&["CAPSHIM_USER=app", "A=b", "CAPSHIM_USER=app"]),
            "CAPSHIM_USER is set twice in the environment"
        );
    }

    #[test]
    fn each_way_of_mangling_a_value_is_told_apart() {
        for (value, why) in [
            ("app\r", "CAPSHIM_USER='app\\r' ends in a carriage return"),
            ("app\n", "CAPSHIM_USER='app\\n' has a newline in it"),
            ("\"app\"", "CAPSHIM_USER='\"app\"' has quotes around it"),
            ("'app'", "CAPSHIM_USER=''app'' has quotes around it"),
            ("app\"", "CAPSHIM_USER='app\"' has quotes around it"),
            ("[\"app\"]", "CAPSHIM_USER='[\"app\"]' is JSON"),
            ("$(APP)", "CAPSHIM_USER='$(APP)' is a variable that nothing expanded"),
            ("a\x1bpp", "CAPSHIM_USER='a\\x1bpp' has a control character in it"),
        ] {
            assert_eq!(cause(&[&format!("CAPSHIM_USER={value}")]), why);
        }
        let bytes = CString::new(b"CAPSHIM_USER=\xff".to_vec()).unwrap();
        assert_eq!(Config::parse(&[&bytes]).unwrap_err().cause, "CAPSHIM_USER='\\xff' is not UTF-8");
    }

    #[test]
    fn booleans_and_levels_take_only_the_documented_words() {
        for (value, meaning) in [("1", true), ("true", true), ("0", false), ("false", false)] {
            let config = parse(&["CAPSHIM_USER=app", &format!("CAPSHIM_NO_NEW_PRIVS={value}")]).unwrap();
            assert_eq!(config.no_new_privs, meaning);
        }
        for (value, meaning) in [("quiet", Log::Quiet), ("warn", Log::Warn), ("info", Log::Info)] {
            let config = parse(&["CAPSHIM_USER=app", &format!("CAPSHIM_LOG={value}")]).unwrap();
            assert_eq!((config.log, config.log.to_string().as_str()), (meaning, value));
        }
        for wrong in [
            "CAPSHIM_NO_NEW_PRIVS=yes",
            "CAPSHIM_NO_NEW_PRIVS=2",
            "CAPSHIM_NO_NEW_PRIVS=True",
            "CAPSHIM_NO_NEW_PRIVS= 1",
            "CAPSHIM_LOG=debug",
            "CAPSHIM_INIT=2",
            "CAPSHIM_INIT=child",
            "CAPSHIM_INIT=Group",
        ] {
            assert!(parse(&["CAPSHIM_USER=app", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn init_mode_is_a_boolean_or_group_and_is_told_before_parsing() {
        for (value, meaning) in [
            ("1", Init::Child),
            ("true", Init::Child),
            ("group", Init::Group),
            ("0", Init::Off),
            ("false", Init::Off),
        ] {
            let entry = format!("CAPSHIM_INIT={value}");
            assert_eq!(parse(&["CAPSHIM_USER=app", &entry]).unwrap().init, meaning);
            assert_eq!(meaning.to_string().parse(), Ok(meaning));
            assert_eq!(may_ask_for_init(&CString::new(entry).unwrap()), meaning != Init::Off, "{value}");
        }
        assert_eq!(
            cause(&["CAPSHIM_USER=app", "CAPSHIM_INIT=yes"]),
            "CAPSHIM_INIT='yes' is not 1, 0 or group"
        );
        for other in [c"PATH=/bin", c"CAPSHIM_INIT_PORT=1", c"XCAPSHIM_INIT=1"] {
            assert!(!may_ask_for_init(other));
        }
    }
}
