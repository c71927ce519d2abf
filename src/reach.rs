//! What keeps this process from a file that it may not open or execute: for the words of a
//! hint.
//!
//! It only looks; nothing may be decided by it.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::shown;
use crate::sys;

/// How many symbolic links are followed.
const MOST_LINKS: usize = 8;

/// Where the way to a file ends, as the words of a command have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Closed {
    /// This process may not search it.
    Folder(String),
    /// Every folder before it can be searched.
    File(String),
}

/// Follows the path, and the symbolic links in it, to the first folder that denies the way.
pub fn closed(path: &CStr) -> Closed {
    let mut at = PathBuf::from(OsStr::from_bytes(path.to_bytes()));
    for _ in 0..MOST_LINKS {
        let closed = at.ancestors().skip(1).filter(|folder| is_closed(folder)).last().map(Path::to_owned);
        let end = closed.as_deref().unwrap_or(&at);
        match (fs::read_link(end), &closed) {
            (Ok(target), _) => {
                let mut next = end.parent().unwrap_or(Path::new("/")).join(target);
                next.extend(at.strip_prefix(end).into_iter().flatten());
                at = next;
            }
            (Err(_), Some(folder)) => return Closed::Folder(words(folder)),
            (Err(_), None) => break,
        }
    }
    Closed::File(words(&at))
}

/// An empty path is the working directory's, which was entered already.
fn is_closed(folder: &Path) -> bool {
    CString::new(folder.as_os_str().as_bytes())
        .is_ok_and(|path| sys::may_execute(&path) == Err(Errno::EACCES))
}

fn words(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}
