//! `#!` lines, against load_script() of Linux's fs/binfmt_script.c written down step by step.
#![no_main]

use capshim::model::script::{HEAD, Head, head};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let model = load_script(data);
    match head(data) {
        Head::Other => assert!(!data.starts_with(b"#!") && model.is_none()),
        // The kernel takes a NUL byte for the end of an empty path, and fails on that.
        Head::BadScript => assert!(data.starts_with(b"#!") && model.unwrap_or_default().is_empty()),
        Head::Script(path) => {
            assert_eq!(Some(path), model.as_deref());
            assert!(!path.is_empty() && path.len() < HEAD);
            assert!(!path.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | 0)));
        }
    }
});

/// `bprm->buf` holds the file's first 256 bytes, with NUL bytes after a shorter file's end.
/// Names and order are the kernel's. `None` is ENOEXEC.
fn load_script(file: &[u8]) -> Option<Vec<u8>> {
    const SIZE: usize = 256;
    let mut buf = [0; SIZE];
    let length = SIZE.min(file.len());
    buf[..length].copy_from_slice(&file[..length]);
    if buf[0] != b'#' || buf[1] != b'!' {
        return None;
    }
    let buf_end = SIZE - 1;
    let mut i_end = match strnchr(&buf, b'\n') {
        Some(newline) => newline,
        None => {
            let first = next_non_spacetab(&buf, 2, buf_end)?;
            next_terminator(&buf, first, buf_end)?;
            buf_end
        }
    };
    while spacetab(buf[i_end - 1]) {
        i_end -= 1;
    }
    let i_name = next_non_spacetab(&buf, 2, i_end)?;
    if i_name == i_end {
        return None;
    }
    let i_sep = next_terminator(&buf, i_name, i_end);
    if let Some(i_sep) = i_sep
        && buf[i_sep] != 0
        && next_non_spacetab(&buf, i_sep, i_end).is_some()
    {
        buf[i_sep] = 0;
    }
    buf[i_end] = 0;
    let mut end = i_name;
    while buf[end] != 0 {
        end += 1;
    }
    Some(buf[i_name..end].to_vec())
}

fn spacetab(c: u8) -> bool {
    c == b' ' || c == b'\t'
}

/// Ends at a NUL byte.
fn strnchr(buf: &[u8], c: u8) -> Option<usize> {
    for (at, &byte) in buf.iter().enumerate() {
        if byte == c {
            return Some(at);
        }
        if byte == 0 {
            return None;
        }
    }
    None
}

fn next_non_spacetab(buf: &[u8], first: usize, last: usize) -> Option<usize> {
    (first..=last).find(|&at| !spacetab(buf[at]))
}

fn next_terminator(buf: &[u8], first: usize, last: usize) -> Option<usize> {
    (first..=last).find(|&at| spacetab(buf[at]) || buf[at] == 0)
}
