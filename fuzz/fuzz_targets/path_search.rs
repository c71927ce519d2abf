//! PATH: the input is a command and, after a NUL byte, the value.
#![no_main]

use std::ffi::CString;

use capshim::command::search::candidates;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let Ok(command) = CString::new(parts.next().unwrap_or_default()) else { return };
    let path = parts.next().unwrap_or_default();
    let found: Vec<CString> = candidates(&command, path).collect();

    // Written down anew: each folder that is not empty, in order.
    let mut expected: Vec<Vec<u8>> = Vec::new();
    let mut folder = Vec::new();
    for &byte in path.iter().chain(b":") {
        if byte != b':' {
            folder.push(byte);
            continue;
        }
        if !folder.is_empty() && !folder.contains(&0) {
            expected.push([&folder[..], b"/", command.as_bytes()].concat());
        }
        folder.clear();
    }
    assert!(found.iter().map(|candidate| candidate.as_bytes()).eq(expected.iter().map(Vec::as_slice)));

    // An empty entry would be the working directory, or "/" with the slash that follows.
    let bare = [b"/", command.as_bytes()].concat();
    assert!(
        found
            .iter()
            .all(|candidate| candidate.as_bytes() != bare && candidate.as_bytes() != command.as_bytes())
    );
    let total: usize = found.iter().map(|candidate| candidate.as_bytes().len()).sum();
    assert!(total <= path.len() + (command.as_bytes().len() + 1) * found.len());
});
