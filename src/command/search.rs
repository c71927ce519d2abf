//! Finds the command by PATH, as the application's user.
//!
//! It only looks. It skips empty entries of PATH, which would mean the working directory.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::errno::Errno;

use crate::command::explain::denied;
use crate::model::error::{Exit, Refusal, shown};
use crate::process::chain::executable;

/// Docker's default, if the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Searches like execvp(3), but skips empty entries of PATH.
pub fn search(command: &CStr, path: Option<&[u8]>) -> Result<CString, Refusal> {
    let name = || shown(command.to_bytes());
    if command.to_bytes().contains(&b'/') {
        return match executable(command) {
            Ok(()) => Ok(command.to_owned()),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => {
                Err(Refusal::new(Exit::NotFound, format!("cannot execute {}: {errno}", name()))
                    .hint("write the path of a program that is in the image")
                    .or("its name alone, which PATH finds"))
            }
            Err(errno) => Err(denied(command, errno)),
        };
    }
    // No file has such a long name. As in libc it is not tried in each folder: that would cost its length
    // times the length of PATH.
    if command.to_bytes().len() > libc::NAME_MAX as usize {
        return Err(denied(command, Errno::ENAMETOOLONG));
    }
    let mut first_denied = None;
    for candidate in candidates(command, path.unwrap_or(DEFAULT_PATH)) {
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => {
                first_denied.get_or_insert_with(|| denied(&candidate, errno));
            }
        }
    }
    Err(first_denied.unwrap_or_else(|| {
        Refusal::new(
            Exit::NotFound,
            format!("{}: not found in PATH={}", name(), shown(path.unwrap_or(DEFAULT_PATH))),
        )
        .hint("check the spelling")
        .or("write the command with its whole path")
    }))
}

/// The files that a command without a slash may be, in PATH's order.
pub fn candidates(command: &CStr, path: &[u8]) -> impl Iterator<Item = CString> {
    let directories = path.split(|&byte| byte == b':').filter(|directory| !directory.is_empty());
    // C strings contain no NUL byte, so this always succeeds.
    directories.filter_map(|directory| CString::new([directory, b"/", command.to_bytes()].concat()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_keep_the_order_of_path_without_its_empty_entries() {
        let found: Vec<CString> = candidates(c"sh", b":/b::/a:rel:/b:").collect();
        assert_eq!(found, [c"/b/sh", c"/a/sh", c"rel/sh", c"/b/sh"].map(CString::from));
        assert_eq!(candidates(c"sh", b"").count() + candidates(c"sh", b":").count(), 0);
    }

    #[test]
    fn a_command_longer_than_any_file_name_is_refused_without_a_search() {
        let path = Some(&b"/nosuch"[..]);
        let longest = CString::new("a".repeat(255)).unwrap();
        assert_eq!(search(&longest, path).unwrap_err().exit, Exit::NotFound);
        let longer = CString::new("a".repeat(256)).unwrap();
        assert!(search(&longer, path).unwrap_err().cause.contains("ENAMETOOLONG"));
    }
}
