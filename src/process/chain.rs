//! The files that one execve(2) opens: a program, or a script and its interpreters.
//!
//! It reads their first bytes, and decides nothing.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::unistd::read;

use crate::model::script::{self, Head};
use crate::system;

/// A program, script or interpreter.
#[derive(Debug)]
pub struct Link {
    pub path: CString,
    /// The first bytes, or why they cannot be read.
    pub start: Result<Vec<u8>, Errno>,
}

impl Link {
    pub fn new(path: CString) -> Link {
        Link { start: start(&path), path }
    }

    /// The first bytes, or none if they cannot be read.
    pub fn head(&self) -> &[u8] {
        self.start.as_deref().unwrap_or_default()
    }
}

/// The scripts that the kernel follows, and the last file. At exec only the attributes of the last file
/// count. A file that cannot be read or executed ends the chain.
pub fn chain(path: &CStr) -> (Vec<Link>, Link) {
    let mut scripts = Vec::new();
    let mut last = Link::new(path.to_owned());
    while scripts.len() < script::MOST_INTERPRETERS {
        let Head::Script(interpreter) = script::head(last.head()) else { break };
        // `head` ends the path before the first NUL byte.
        let Ok(path) = CString::new(interpreter) else { break };
        let is_end = executable(&path).is_err();
        scripts.push(std::mem::replace(&mut last, Link::new(path)));
        if is_end {
            break;
        }
    }
    (scripts, last)
}

/// Makes one read(2), as the kernel does.
fn start(path: &CStr) -> Result<Vec<u8>, Errno> {
    let mut start = vec![0; script::HEAD];
    let length = read(&system::open(path)?, &mut start)?;
    start.truncate(length);
    Ok(start)
}

/// Fails if execve(2) would fail before it reads the file.
pub fn executable(path: &CStr) -> Result<(), Errno> {
    system::may_execute(path)?;
    match stat(path)?.st_mode & libc::S_IFMT {
        libc::S_IFREG => Ok(()),
        libc::S_IFDIR => Err(Errno::EISDIR),
        _ => Err(Errno::EACCES),
    }
}
