//! The raw values of the settings, and how tools may have mangled them.
//!
//! Pure. It must not guess what a mangled value meant.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::str;

use crate::model::error::{Exit, Refusal, shown};
use crate::settings::names::{CAPS, SETTINGS, USER, is_foreign, split};
use crate::settings::words::nearest;

/// The raw value of each setting, in the order of `SETTINGS`.
pub(super) struct Values<'a>([Option<&'a [u8]>; SETTINGS.len()]);

impl<'a> Values<'a> {
    pub(super) fn collect(environment: &[&'a CStr]) -> Result<Values<'a>, Refusal> {
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

    /// The value of a setting as text; `None` if it is not set.
    pub(super) fn get(&self, setting: &str) -> Result<Option<&'a str>, Refusal> {
        let place = SETTINGS.iter().position(|&name| name == setting);
        let Some(value) = place.and_then(|place| self.0[place]) else { return Ok(None) };
        let text = if value.is_empty() { Err(empty(setting)) } else { text(value) };
        text.map(Some).map_err(|wrong| wrong.of(setting, value))
    }

    pub(super) fn parsed<T>(
        &self,
        setting: &str,
        parse: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(setting)? else { return Ok(None) };
        parse(value).map(Some).map_err(|wrong| wrong.of(setting, value.as_bytes()))
    }
}

/// A template or variable came out empty. Without `CAPSHIM_USER` or `CAPSHIM_CAPS` there is no start, so
/// their hints differ.
pub(super) fn empty(setting: &str) -> Refusal {
    let wrong = Refusal::wrong("is set but empty");
    match setting {
        USER => wrong.hint("a template or variable came out empty: write user, uid, user:group or uid:gid"),
        CAPS => {
            wrong.hint("a template or variable came out empty: write a list").or("none: CAPSHIM_CAPS=none")
        }
        _ => wrong.hint("a template or variable came out empty: write a value").or("leave the variable out"),
    }
}

/// A value as the user meant it. Refuses what a tool has probably mangled.
fn text(value: &[u8]) -> Result<&str, Refusal> {
    let has = |byte: u8| value.contains(&byte);
    let quoted = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`');
    if value.ends_with(b"\r") {
        return Err(Refusal::wrong("ends in a carriage return").hint(
            "the file that it was read from has Windows line ends: convert it, for example with dos2unix",
        ));
    }
    if has(b'\n') {
        return Err(Refusal::wrong("has a newline in it")
            .hint("write the value on one line: a YAML block (|) or a file with a last newline adds one"));
    }
    if value.first().is_some_and(quoted) || value.last().is_some_and(quoted) {
        return Err(Refusal::wrong("has quotes around it")
            .hint("env files and lists of NAME=VALUE take quotes literally: write the value without them"));
    }
    if value.windows(2).any(|pair| pair == b"{{") {
        return Err(Refusal::wrong("is a template that nothing rendered")
            .hint("write the value itself")
            .or("render the template"));
    }
    if value.starts_with(b"[") || value.starts_with(b"{") {
        return Err(Refusal::wrong("is JSON")
            .hint("write plain words, with commas between them where there are several"));
    }
    if value.starts_with(b"$") {
        return Err(Refusal::wrong("is a variable that nothing expanded")
            .hint("write the value itself: env entries expand $(NAME) in Kubernetes only, and ${NAME} in a shell or compose file"));
    }
    if value.iter().any(u8::is_ascii_control) {
        return Err(Refusal::wrong("has a control character in it").hint("write the value again by hand"));
    }
    str::from_utf8(value).map_err(|_| Refusal::wrong("is not UTF-8").hint("write the value again by hand"))
}

fn unknown(name: &[u8]) -> Refusal {
    let near = nearest(&String::from_utf8_lossy(name), SETTINGS.into_iter());
    Refusal::new(Exit::Setting, format!("{} is not a setting of this version", shown(name)))
        .hint(format!("the nearest one is {near}; capshim --help lists them all"))
}
