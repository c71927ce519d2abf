//! Finds the file that a path leads to, and what keeps this process from it; only for hints.
//!
//! It only looks, and nothing may be decided by it.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::errno::Errno;

use crate::model::error::shown;
use crate::system;

/// More symbolic links than this are not followed.
const MOST_LINKS: usize = 8;

/// Where access to a file ends, as a path that a hint can print.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Closed {
    /// A folder that this process may not search.
    Folder(String),
    /// The file: every folder before it can be searched.
    File(String),
}

/// The first folder that denies access, or else the file.
pub fn closed(path: &CStr) -> Closed {
    match follow(path) {
        (at, Some(end)) => Closed::Folder(shown(&at[..end])),
        (at, None) => Closed::File(shown(&at)),
    }
}

/// The file that a symbolic link leads to, because setcap(8) takes no link.
pub fn file_itself(path: &CStr) -> CString {
    match follow(path) {
        (at, None) => c_string(&at).unwrap_or_else(|_| path.to_owned()),
        _ => path.to_owned(),
    }
}

/// Follows the path and its symbolic links. Returns the path, and where its first folder ends that denies
/// access.
fn follow(path: &CStr) -> (Vec<u8>, Option<usize>) {
    let mut at = path.to_bytes().to_vec();
    for _ in 0..MOST_LINKS {
        let slashes = at.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        // Check up to each slash; the first may be the root itself.
        let closed = slashes.map(|(at, _)| at.max(1)).find(|end| is_closed(&at[..*end]));
        let end = closed.unwrap_or(at.len());
        match (c_string(&at[..end]).and_then(|link| system::read_link(&link)), closed) {
            (Ok(target), _) => {
                let folder = at[..end].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
                let folder = if target.to_bytes().starts_with(b"/") { 0 } else { folder };
                at = [&at[..folder], target.to_bytes(), &at[end..]].concat();
            }
            (Err(_), closed) => return (at, closed),
        }
    }
    (at, None)
}

fn is_closed(folder: &[u8]) -> bool {
    c_string(folder).and_then(|path| system::may_execute(&path)) == Err(Errno::EACCES)
}

fn c_string(path: &[u8]) -> Result<CString, Errno> {
    CString::new(path).map_err(|_| Errno::EINVAL)
}
