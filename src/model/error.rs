//! A refusal: an exit code, one line of cause, and one line of hint if a cure is known.
//!
//! Pure. Whoever observed the cause chooses its words.
#![forbid(unsafe_code)]

use std::{fmt, io};

use nix::errno::Errno;

/// Exit codes, as the README documents them. The application's own codes pass through unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// A system call failed, or the read-back differed from the plan.
    System = 71,
    /// This container was not granted what the settings need.
    NotGranted = 77,
    /// A setting is wrong or refused.
    Setting = 78,
    /// The command cannot be executed.
    CannotExecute = 126,
    /// The command was not found.
    NotFound = 127,
}

/// Why the application was not started.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    pub exit: Exit,
    /// One line: the system call with its values and errno, or the setting with its value.
    pub cause: String,
    /// Ways to a start that succeeds; any one is enough. A hint shows them in one line. Empty if no cure is
    /// known.
    pub ways: Vec<String>,
}

impl Refusal {
    #[cold]
    #[inline(never)]
    pub fn new(exit: Exit, cause: impl Into<String>) -> Refusal {
        Refusal { exit, cause: cause.into(), ways: Vec::new() }
    }

    #[cold]
    #[inline(never)]
    pub fn hint(self, way: impl Into<String>) -> Refusal {
        Refusal { ways: vec![way.into()], ..self }
    }

    /// Adds another way to the hint.
    #[cold]
    #[inline(never)]
    pub fn or(mut self, way: impl Into<String>) -> Refusal {
        self.ways.push(way.into());
        self
    }

    /// The hint as one line.
    pub fn hint_line(&self) -> Option<String> {
        let mut ways = self.ways.iter();
        let mut line = ways.next()?.clone();
        for way in ways {
            line += "; or ";
            line += way;
        }
        Some(line)
    }

    /// A value is wrong, and the setting is not known yet. The cause continues a sentence that begins with
    /// the setting, as in "has an empty part".
    #[cold]
    #[inline(never)]
    pub fn wrong(why: impl Into<String>) -> Refusal {
        Refusal::new(Exit::Setting, why)
    }

    /// Adds the setting and its value: `CAPSHIM_USER='app:' has an empty group`.
    pub fn of(self, setting: &str, value: &[u8]) -> Refusal {
        Refusal { cause: format!("{setting}='{}' {}", shown(value), self.cause), ..self }
    }
}

/// The documented lines, each with a newline.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "capshim: {}", self.cause)?;
        match self.hint_line() {
            Some(hint) => writeln!(f, "capshim: hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Only tests that fail show this.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}

/// The errno of a failed call of std. An error that std itself found has none.
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Bytes from outside, for one line of a message: escaped, and cut if long.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 100;
    let mut head = String::new();
    for &byte in &bytes[..bytes.len().min(MOST)] {
        match byte {
            b'\'' | b'"' => head.push(byte.into()),
            _ => head.extend(byte.escape_ascii().map(char::from)),
        }
    }
    match bytes.len() {
        0..=MOST => head,
        length => format!("{head}... ({length} bytes)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_of_cause_and_one_of_hint() {
        let refusal =
            Refusal::wrong("is odd").hint("mend it").or("leave it out").of("CAPSHIM_USER", b"app\r");
        let lines = "capshim: CAPSHIM_USER='app\\r' is odd\ncapshim: hint: mend it; or leave it out\n";
        assert_eq!(refusal.to_string(), lines);
        assert_eq!(Refusal::new(Exit::System, "x: EPERM").to_string(), "capshim: x: EPERM\n");
    }

    #[test]
    fn foreign_bytes_cannot_break_a_line_or_fill_a_screen() {
        assert_eq!(shown(b"a\n\x1b[31m\xff'"), "a\\n\\x1b[31m\\xff'");
        assert_eq!(shown(&[b'x'; 1_000_000]), format!("{}... (1000000 bytes)", "x".repeat(100)));
    }
}
