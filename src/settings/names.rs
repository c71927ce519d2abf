//! Which entries of the environment are settings.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::str;

pub const USER: &str = "CAPSHIM_USER";
pub const CAPS: &str = "CAPSHIM_CAPS";
pub const GROUPS: &str = "CAPSHIM_GROUPS";
pub const NO_NEW_PRIVS: &str = "CAPSHIM_NO_NEW_PRIVS";
pub const INIT: &str = "CAPSHIM_INIT";
pub const LOG: &str = "CAPSHIM_LOG";

/// Every setting. capshim removes all of them from the application's environment.
pub const SETTINGS: [&str; 6] = [USER, CAPS, GROUPS, NO_NEW_PRIVS, INIT, LOG];

/// Dockerfiles that pin a download use these names. They are no settings, and are passed on.
const PINS: [&str; 2] = ["CAPSHIM_VERSION", "CAPSHIM_SHA256"];

/// Whether an entry is one of capshim's settings.
pub fn is_setting(entry: &CStr) -> bool {
    let (name, _) = split(entry);
    SETTINGS.iter().any(|setting| setting.as_bytes() == name)
}

/// Whether an entry may turn init mode on, before anything is parsed. Any value except the words for off
/// counts, so this holds whenever `Config::parse` finds init mode on.
pub fn may_ask_for_init(entry: &CStr) -> bool {
    let (name, value) = split(entry);
    name == INIT.as_bytes() && value != b"0" && value != b"false"
}

/// The name and value of an entry. Without `=` the value is empty.
pub fn split(entry: &CStr) -> (&[u8], &[u8]) {
    let entry = entry.to_bytes();
    match entry.iter().position(|&byte| byte == b'=') {
        Some(at) => (&entry[..at], &entry[at + 1..]),
        None => (entry, b""),
    }
}

/// Names with our prefix that belong to others: version pins, and the variables that Kubernetes adds for a
/// Service called `capshim` or `capshim-x`.
pub fn is_foreign(name: &[u8]) -> bool {
    let Ok(name) = str::from_utf8(name) else { return false };
    PINS.contains(&name) || is_service_link(name)
}

/// `*_SERVICE_HOST`, `*_SERVICE_PORT*`, `*_PORT`, `*_PORT_<n>_<proto>*`.
fn is_service_link(name: &str) -> bool {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let words: Vec<&str> = name.split('_').collect();
    (1..words.len()).any(|at| match words[at..] {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] | ["PORT"] => true,
        ["PORT", number, "TCP" | "UDP" | "SCTP", ..] => is_number(number),
        _ => false,
    })
}
