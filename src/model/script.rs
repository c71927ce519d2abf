//! The `#!` line of a script, as the kernel reads it.
//!
//! Pure.
#![forbid(unsafe_code)]

/// The first bytes of a file, as execve(2) reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head<'a> {
    /// `#!` and the path of an interpreter, which may be relative to the working directory.
    Script(&'a [u8]),
    /// `#!` without an interpreter, or with a path that may be cut off: ENOEXEC.
    BadScript,
    Other,
}

/// How much of a file's beginning the kernel looks at (BINPRM_BUF_SIZE).
pub const HEAD: usize = 256;

/// How many nested interpreters the kernel follows before ELOOP.
pub const MOST_INTERPRETERS: usize = 5;

/// Reads a `#!` line as the kernel does (fs/binfmt_script.c). It skips spaces and tabs around the path, and
/// refuses a path that may be cut off.
pub fn head(bytes: &[u8]) -> Head<'_> {
    let bytes = &bytes[..bytes.len().min(HEAD)];
    let Some(line) = bytes.strip_prefix(b"#!") else { return Head::Other };
    let end = line.iter().position(|&byte| byte == b'\n');
    let (line, whole) = match end {
        Some(end) => (&line[..end], true),
        // In the kernel's buffer, NUL bytes follow a shorter file.
        None => (line, bytes.len() < HEAD),
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = line.iter().position(|byte| !blank(byte)) else { return Head::BadScript };
    let path = &line[start..];
    match path.iter().position(|byte| blank(byte) || *byte == 0) {
        Some(0) => Head::BadScript,
        Some(length) => Head::Script(&path[..length]),
        None if whole => Head::Script(path),
        None => Head::BadScript,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_lines_are_read_as_the_kernel_reads_them() {
        assert_eq!(head(b"#!/bin/sh\necho"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#! \t/bin/sh -e\n"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#!/bin/sh"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#!/bin/sh\0x\n"), Head::Script(b"/bin/sh"));
        assert_eq!(head(b"#!/bin/sh\r\n"), Head::Script(b"/bin/sh\r"));
        assert_eq!(head(b"#!\n/bin/sh"), Head::BadScript);
        assert_eq!(head(b"#!   \t "), Head::BadScript);
        assert_eq!(head(b"#!"), Head::BadScript);
        assert_eq!(head(b"\x7fELF"), Head::Other);
        assert_eq!(head(b""), Head::Other);
        let mut long = b"#!/".to_vec();
        long.resize(300, b'a');
        assert_eq!(head(&long), Head::BadScript);
        long[254] = b' ';
        assert!(matches!(head(&long), Head::Script(path) if path.len() == 252));
    }
}
