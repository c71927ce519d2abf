//! `CAPSHIM_*` variables: the environment to a `Config`.
//!
//! Pure. It reads every setting and refuses what it does not understand; it must not guess,
//! and it must not look anything up.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::fmt;
use std::str::{self, FromStr};

use crate::capset::Request;
use crate::error::{Complaint, Exit, Refusal, shown};
use crate::identity::{GroupPolicy, UserSpec};
use crate::words::nearest;

pub const USER: &str = "CAPSHIM_USER";
pub const CAPS: &str = "CAPSHIM_CAPS";
pub const GROUPS: &str = "CAPSHIM_GROUPS";
pub const NO_NEW_PRIVS: &str = "CAPSHIM_NO_NEW_PRIVS";
pub const INIT: &str = "CAPSHIM_INIT";
pub const LOG: &str = "CAPSHIM_LOG";

/// Every setting there is. All of them are removed from the application's environment.
pub const SETTINGS: [&str; 6] = [USER, CAPS, GROUPS, NO_NEW_PRIVS, INIT, LOG];

/// What a Dockerfile that pins a download calls its own: no settings, passed on.
const PINS: [&str; 2] = ["CAPSHIM_VERSION", "CAPSHIM_SHA256"];

/// The settings of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Required for a start as root; the runtime's user stands otherwise.
    pub user: Option<UserSpec>,
    pub caps: Request,
    pub groups: GroupPolicy,
    pub no_new_privs: bool,
    pub init: Init,
    pub log: Log,
}

/// Whether this process stays as init, and to whom it then forwards signals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Init {
    Off,
    /// To the application's process.
    Child,
    /// To the application's process group.
    Group,
}

/// How much is written to stderr when all goes well.
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

/// True for an entry that is one of capshim's settings and not for the application.
pub fn is_setting(entry: &CStr) -> bool {
    let (name, _) = split(entry);
    SETTINGS.iter().any(|setting| setting.as_bytes() == name)
}

/// True for an entry that may turn init mode on, told before anything is parsed: all but the
/// words for off, so that it holds wherever `Config::parse` then finds init mode on.
pub fn may_ask_for_init(entry: &CStr) -> bool {
    let (name, value) = split(entry);
    name == INIT.as_bytes() && value != b"0" && value != b"false"
}

/// An environment entry's name and value; an entry without `=` has an empty value.
pub fn split(entry: &CStr) -> (&[u8], &[u8]) {
    let entry = entry.to_bytes();
    match entry.iter().position(|&byte| byte == b'=') {
        Some(at) => (&entry[..at], &entry[at + 1..]),
        None => (entry, b""),
    }
}

/// The raw value of each setting, by its place in `SETTINGS`.
struct Values<'a>([Option<&'a [u8]>; SETTINGS.len()]);

impl<'a> Values<'a> {
    fn collect(environment: &[&'a CStr]) -> Result<Values<'a>, Refusal> {
        let mut values = [None; SETTINGS.len()];
        for entry in environment.iter().filter(|entry| entry.to_bytes().starts_with(b"CAPSHIM_")) {
            let (name, value) = split(entry);
            match SETTINGS.iter().position(|setting| setting.as_bytes() == name) {
                Some(place) if values[place].is_some() => {
                    return Err(Refusal::new(
                        Exit::Setting,
                        format!("{} is set twice in the environment", SETTINGS[place]),
                    )
                    .hint("remove one of the two: runtimes and libc disagree on which one counts"));
                }
                Some(place) => values[place] = Some(value),
                None if is_foreign(name) => {}
                None => return Err(unknown(name)),
            }
        }
        Ok(Values(values))
    }

    /// The value of a setting as text, `None` if it is not set.
    fn get(&self, setting: &str) -> Result<Option<&'a str>, Refusal> {
        let place = SETTINGS.iter().position(|&name| name == setting);
        let Some(value) = place.and_then(|place| self.0[place]) else { return Ok(None) };
        let text = if value.is_empty() { Err(empty(setting)) } else { text(value) };
        text.map(Some).map_err(|complaint| Refusal::setting(setting, value, complaint))
    }

    fn parsed<T>(
        &self,
        setting: &str,
        parse: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(setting)? else { return Ok(None) };
        parse(value).map(Some).map_err(|complaint| Refusal::setting(setting, value.as_bytes(), complaint))
    }
}

/// A template or variable came out empty. One of the first two must be there.
fn empty(setting: &str) -> Complaint {
    let complaint = Complaint::new("is set but empty");
    match setting {
        USER => {
            complaint.hint("a template or variable came out empty: write user, uid, user:group or uid:gid")
        }
        CAPS => {
            complaint.hint("a template or variable came out empty: write a list; or none: CAPSHIM_CAPS=none")
        }
        _ => {
            complaint.hint("a template or variable came out empty: write a value; or leave the variable out")
        }
    }
}

/// A value as the user meant it, or what a tool did to it on its way here.
fn text(value: &[u8]) -> Result<&str, Complaint> {
    let has = |byte: u8| value.contains(&byte);
    let quoted = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`');
    if value.ends_with(b"\r") {
        return Err(Complaint::new("ends in a carriage return").hint(
            "the file that it was read from has Windows line ends: convert it, for example with dos2unix",
        ));
    }
    if has(b'\n') {
        return Err(Complaint::new("has a newline in it")
            .hint("write the value on one line: a YAML block (|) or a file with a last newline adds one"));
    }
    if value.first().is_some_and(quoted) || value.last().is_some_and(quoted) {
        return Err(Complaint::new("has quotes around it")
            .hint("env files and lists of NAME=VALUE take quotes literally: write the value without them"));
    }
    if value.windows(2).any(|pair| pair == b"{{") {
        return Err(Complaint::new("is a template that nothing rendered")
            .hint("write the value itself; or render the template"));
    }
    if value.starts_with(b"[") || value.starts_with(b"{") {
        return Err(Complaint::new("is JSON")
            .hint("write plain words, with commas between them where there are several"));
    }
    if value.starts_with(b"$") {
        return Err(Complaint::new("is a variable that nothing expanded")
            .hint("write the value itself: env entries expand $(NAME) in Kubernetes only, and ${NAME} in a shell or compose file"));
    }
    if value.iter().any(u8::is_ascii_control) {
        return Err(Complaint::new("has a control character in it").hint("write the value again by hand"));
    }
    str::from_utf8(value).map_err(|_| Complaint::new("is not UTF-8").hint("write the value again by hand"))
}

fn boolean(text: &str) -> Result<bool, Complaint> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Complaint::new("is neither on nor off").hint("write 1 or 0")),
    }
}

impl FromStr for Init {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Init, Complaint> {
        match (text, boolean(text)) {
            ("group", _) => Ok(Init::Group),
            (_, Ok(on)) => Ok(if on { Init::Child } else { Init::Off }),
            (_, Err(_)) => Err(Complaint::new("is neither on nor off nor group").hint("write 1, 0 or group")),
        }
    }
}

impl FromStr for Log {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Log, Complaint> {
        match text {
            "quiet" => Ok(Log::Quiet),
            "warn" => Ok(Log::Warn),
            "info" => Ok(Log::Info),
            _ => Err(Complaint::new("is no log level").hint("write quiet, warn or info")),
        }
    }
}

fn unknown(name: &[u8]) -> Refusal {
    let near = nearest(&String::from_utf8_lossy(name), SETTINGS.into_iter());
    Refusal::new(Exit::Setting, format!("{} is not a setting of this version", shown(name)))
        .hint(format!("the nearest one is {near}; capshim --help lists them all"))
}

/// Names under our prefix that others own: version pins, and the links that Kubernetes adds
/// for a Service called `capshim` or `capshim-x`.
fn is_foreign(name: &[u8]) -> bool {
    let Ok(name) = str::from_utf8(name) else { return false };
    PINS.contains(&name) || is_service_link(name)
}

/// `*_SERVICE_HOST`, `*_SERVICE_PORT*`, `*_PORT`, `*_PORT_<n>_<proto>*`.
fn is_service_link(name: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_PORT") {
        return true;
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    name.match_indices("_PORT_").any(|(at, found)| {
        let (port, rest) = name[at + found.len()..].split_once('_').unwrap_or_default();
        let protocol = rest.split('_').next().unwrap_or_default();
        !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
            && matches!(protocol, "TCP" | "UDP" | "SCTP")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_one() {
        let refusal = parse(&["CAPSHIM_CAP=ipc_lock"]).unwrap_err();
        assert_eq!(refusal.cause, "CAPSHIM_CAP is not a setting of this version");
        assert!(refusal.hint.unwrap().starts_with("the nearest one is CAPSHIM_CAPS;"));
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
            assert_eq!(may_ask_for_init(&CString::new(entry).unwrap()), meaning != Init::Off, "{value}");
        }
        assert_eq!(
            cause(&["CAPSHIM_USER=app", "CAPSHIM_INIT=yes"]),
            "CAPSHIM_INIT='yes' is neither on nor off nor group"
        );
        for other in [c"PATH=/bin", c"CAPSHIM_INIT_PORT=1", c"XCAPSHIM_INIT=1"] {
            assert!(!may_ask_for_init(other));
        }
    }
}
