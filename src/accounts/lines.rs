//! The lines of /etc/passwd and /etc/group (passwd(5), group(5)).
//!
//! Pure. It is strict with a line that grants something, and lenient with a line that takes something away.
#![forbid(unsafe_code)]

use std::io::{self, BufRead, Read};

use crate::model::ids::{Gid, Id, Uid, decimal, parse_id};

/// The longest line that is read, in bytes. A group's line contains all its members.
pub const LONGEST_LINE: u64 = 1 << 20;

/// The longest file that is read, in bytes.
pub const LONGEST_FILE: u64 = 64 << 20;

/// One user's entry in /etc/passwd. Names and paths are bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub name: Vec<u8>,
    pub uid: Uid,
    pub gid: Gid,
    pub home: Vec<u8>,
}

/// Calls `see` with each line. The file may be endless, so a line that is too long is `InvalidData`, and a
/// file that is too long `FileTooLarge`.
///
/// The buffer is on the stack, so that the second file uses the same pages.
pub fn each_line(text: &mut dyn Read, see: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut text = text.take(LONGEST_FILE + 1);
    let mut buffer = [0; 2048];
    let mut line = Vec::with_capacity(256);
    loop {
        let read = match text.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        let mut pieces = &buffer[..read];
        while pieces.read_until(b'\n', &mut line)? > 0 {
            if line.len() as u64 > LONGEST_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if let Some(whole) = line.strip_suffix(b"\n") {
                see(whole);
                line.clear();
            }
        }
        if text.limit() == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    if !line.is_empty() {
        see(&line);
    }
    Ok(())
}

/// Comments, and the + and - lines of old network directories, are no entries.
fn is_comment(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'#' | b'+' | b'-'))
}

/// A line with a NUL byte is no entry either: no name or path contains one.
pub fn has_nul(line: &[u8]) -> bool {
    line.contains(&0)
}

/// A user that a runtime may read as uid 0. Runtimes trim lines, skip none, and read an invalid id as 0. This
/// function must find every group that a runtime may have given to root, so it is as lenient.
pub fn root_to_a_runtime(line: &[u8]) -> Option<(&[u8], Option<Gid>)> {
    let mut fields = line.trim_ascii().split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = fields.nth(1).and_then(lenient_id).unwrap_or(0);
    (uid == 0).then(|| (name, fields.next().and_then(lenient_id).and_then(Gid::new)))
}

/// A group and its members as a runtime may read them.
pub fn lenient_group(line: &[u8]) -> Option<(Gid, &[u8])> {
    let mut fields = line.trim_ascii().split(|&byte| byte == b':');
    let gid = fields.nth(2).and_then(lenient_id).and_then(Gid::new)?;
    Some((gid, fields.next()?))
}

pub fn members_of(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

/// Any decimal number, with or without a sign, cut to the kernel's 32 bits.
pub fn lenient_id(field: &[u8]) -> Option<u32> {
    let number = match field.trim_ascii() {
        [b'-', digits @ ..] => -decimal(digits)?,
        [b'+', digits @ ..] | digits => decimal(digits)?,
    };
    Some(number as u32)
}

/// A user's entry, borrowed from its line.
pub struct UserLine<'a> {
    pub name: &'a [u8],
    pub uid: Uid,
    pub gid: Gid,
    pub home: &'a [u8],
}

impl UserLine<'_> {
    pub fn to_owned(&self) -> User {
        User { name: self.name.to_vec(), uid: self.uid, gid: self.gid, home: self.home.to_vec() }
    }
}

/// `name:password:uid:gid:comment:home:shell`; the first four must be there. A line whose id is not a plain
/// decimal in range is no entry, though some runtimes read it as 0. Does not check for NUL bytes.
pub fn parse_user(line: &[u8]) -> Option<UserLine<'_>> {
    if is_comment(line) {
        return None;
    }
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = parse_id(fields.nth(1)?)?;
    let gid = parse_id(fields.next()?)?;
    let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or(b"/");
    Some(UserLine { name, uid, gid, home })
}

/// `name:password:gid:member,member`.
pub fn parse_group(line: &[u8]) -> Option<(&[u8], Gid, &[u8])> {
    if is_comment(line) || has_nul(line) {
        return None;
    }
    let mut fields = line.split(|&byte| byte == b':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = parse_id(fields.nth(1)?)?;
    Some((name, gid, fields.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes at a time, and EINTR before each.
    struct Slow<'a> {
        text: &'a [u8],
        step: usize,
        interrupted: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = self.step.min(buffer.len());
            self.text.read(&mut buffer[..length])
        }
    }

    #[test]
    fn lines_are_whole_wherever_a_read_ends() {
        let long = "x".repeat(10_000);
        for end in ["", "\n", "\nlast", "\n\n"] {
            let text = format!("first\n\n{long}\n{}{end}", "y".repeat(4096));
            for step in [1, 3, 2047, 2048, 100_000] {
                let mut lines = Vec::new();
                let mut slow = Slow { text: text.as_bytes(), step, interrupted: false };
                each_line(&mut slow, &mut |line| lines.push(String::from_utf8(line.to_vec()).unwrap()))
                    .unwrap();
                assert_eq!(lines, text.lines().collect::<Vec<_>>(), "{end:?} {step}");
            }
        }
    }

    #[test]
    fn the_longest_line_and_the_longest_file_are_read_and_no_longer_ones() {
        let read = |text: &mut dyn Read| each_line(text, &mut |_| {}).map_err(|error| error.kind());
        let line = |length: u64| [vec![b'x'; length as usize - 1], b"\n".to_vec()].concat();
        for (more, found) in [(0, Ok(())), (1, Err(io::ErrorKind::InvalidData))] {
            assert_eq!(read(&mut line(LONGEST_LINE + more).as_slice()), found);
            assert_eq!(read(&mut line(LONGEST_LINE + more).strip_suffix(b"\n").unwrap()), Ok(()));
        }
        let whole = line(LONGEST_LINE).repeat((LONGEST_FILE / LONGEST_LINE) as usize);
        assert_eq!(read(&mut whole.as_slice()), Ok(()));
        assert_eq!(read(&mut whole.chain(&b"\n"[..])), Err(io::ErrorKind::FileTooLarge));
    }

    #[test]
    fn an_error_of_the_file_is_returned() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::IsADirectory.into())
            }
        }
        let mut text = b"root:x:0:\n".chain(Fails);
        let error = each_line(&mut text, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn comments_and_lines_with_a_nul_byte_are_no_groups() {
        assert!(parse_group(b"web:x:80:").is_some());
        for line in [&b"#web:x:80:"[..], b"+web:x:80:", b"-web:x:80:", b"web\0:x:80:", b"web:x:80:a\0"] {
            assert!(parse_group(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn a_lenient_id_is_any_number_cut_to_32_bits() {
        for text in [
            "0",
            "00",
            "6",
            "+6",
            "-0",
            "-1",
            " 6\t",
            "4294967295",
            "4294967296",
            "-4294967296",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775807",
            "18446744073709551616",
            "",
            "+",
            "-",
            "--1",
            "+-1",
            "0x6",
            "6 6",
            "6\0",
            "\u{663}",
            "abc",
        ] {
            let number = text.trim_ascii().parse::<i64>().ok();
            assert_eq!(lenient_id(text.as_bytes()), number.map(|number| number as u32), "{text:?}");
        }
    }
}
