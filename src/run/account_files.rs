//! Reads /etc/passwd and /etc/group, and tells whether the runtime may have read other files.
//!
//! It only reads; `accounts` parses.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};

use nix::errno::Errno;
use nix::sys::stat::fstat;

use crate::accounts::entries::{Accounts, Doubt};
use crate::accounts::lines::{LONGEST_FILE, LONGEST_LINE};
use crate::model::credentials::Credentials;
use crate::model::error::{Exit, Refusal, errno_of, shown};
use crate::plan::notes::Note;
use crate::process::failures;
use crate::process::observe;
use crate::process::reach::{self, Closed};
use crate::settings::{Config, names};
use crate::system;

/// Reads each file once. A file that cannot be read is only a note if this start does not need it.
pub(super) fn accounts(config: &Config, start: &Credentials) -> Result<(Accounts, Vec<Note>), Refusal> {
    let uid = start.uid.effective;
    let mut notes = Vec::new();
    let mut accounts = match read(c"/etc/passwd", |text| Accounts::users(uid, config.user.as_ref(), text)) {
        Ok((mut accounts, doubt)) => {
            accounts.doubts.passwd = doubt;
            accounts
        }
        Err(refusal) if Accounts::needs_passwd(config, uid) => return Err(refusal),
        Err(refusal) => {
            notes.push(goes_on_without(&refusal));
            Accounts::without_passwd()
        }
    };
    if Accounts::reads_groups(config, uid) {
        accounts.doubts.group = match read(c"/etc/group", |text| accounts.read_groups(config, text)) {
            Ok(((), doubt)) => doubt,
            Err(refusal) if accounts.needs_group(config, uid) => return Err(refusal),
            Err(refusal) => {
                notes.push(goes_on_without(&refusal));
                Some(Doubt::NotRead)
            }
        };
    }
    Ok((accounts, notes))
}

fn goes_on_without(refusal: &Refusal) -> Note {
    Note::GoesOnWithout(refusal.cause.clone())
}

/// Opens and reads one of the two files. A missing file counts as empty.
fn read<T>(
    path: &CStr,
    parse: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> Result<(T, Option<Doubt>), Refusal> {
    let (file, doubt) = open(path);
    let found = match file {
        Ok(mut file) => {
            refuse_what_is_no_file(path, &file)?;
            parse(&mut file)
        }
        Err(Errno::ENOENT) => parse(&mut io::empty()),
        Err(errno) => return Err(not_opened(path, errno)),
    };
    Ok((found.map_err(|error| not_read(&shown(path.to_bytes()), &error))?, doubt))
}

/// Opens a file, and says why it may differ from the one that the runtime read in the image.
fn open(path: &CStr) -> (Result<File, Errno>, Option<Doubt>) {
    match system::open_on_root_mount(path) {
        Err(Errno::EXDEV) => (system::open(path), Some(Doubt::Mounted)),
        // openat2(2) needs Linux 5.6, and an older seccomp filter forbids it.
        Err(Errno::ENOSYS | Errno::EPERM) => (system::open(path), doubt_by_mount_id(path)),
        result => (result, None),
    }
}

/// Compares the mount ids of the file and of the root, from /proc/self/fdinfo. If the file is missing, its
/// folder counts.
fn doubt_by_mount_id(path: &CStr) -> Option<Doubt> {
    let mount = |path: &CStr| system::open_path(path).map(|file| observe::mount_id(&file));
    let found = match mount(path) {
        Err(Errno::ENOENT) => mount(c"/etc"),
        found => found,
    };
    match (found, mount(c"/")) {
        // There is no /etc.
        (Err(Errno::ENOENT), _) => None,
        (Ok(Some(found)), Ok(Some(root))) if found == root => None,
        (Ok(Some(_)), Ok(Some(_))) => Some(Doubt::Mounted),
        _ => Some(Doubt::CannotTell),
    }
}

/// Refuses devices, FIFOs and sockets. If it is a folder, read(2) fails and says so.
fn refuse_what_is_no_file(path: &CStr, file: &File) -> Result<(), Refusal> {
    let is_other = |mode| !matches!(mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFDIR);
    match fstat(file) {
        Ok(status) if is_other(status.st_mode) => {
            Err(unusable(&shown(path.to_bytes()), "is no regular file"))
        }
        _ => Ok(()),
    }
}

fn not_opened(path: &CStr, errno: Errno) -> Refusal {
    let failed = failures::call_failed(format!("open({})", shown(path.to_bytes())), errno);
    match (errno, reach::closed(path)) {
        (Errno::EACCES, Closed::Folder(folder)) => {
            failed.hint(format!("let everyone search its folder, as usual: chmod a+x {folder}"))
        }
        (Errno::EACCES, Closed::File(file)) => {
            failed.hint(format!("let everyone read it, as usual: chmod 644 {file}"))
        }
        _ => failed,
    }
}

fn not_read(path: &str, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            return unusable(path, &format!("has a line of more than {LONGEST_LINE} bytes"));
        }
        io::ErrorKind::FileTooLarge => {
            return unusable(path, &format!("has more than {LONGEST_FILE} bytes"));
        }
        _ => {}
    }
    let errno = errno_of(error);
    let refusal = Refusal::new(Exit::System, format!("read({path}): {errno}"));
    match errno {
        Errno::EISDIR => refusal
            .hint(format!("put a file at {path}: a bind mount of one that is not there makes a folder")),
        _ => refusal,
    }
}

fn unusable(path: &str, why: &str) -> Refusal {
    Refusal::new(Exit::Setting, format!("{path} {why}"))
        .hint(format!("put a file of the usual kind at {path}"))
        .or(format!("write ids in place of names: {}=1000:1000, and gids in {}", names::USER, names::GROUPS))
}
