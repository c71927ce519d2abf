//! Finds the command, looks at what its file would do to the capabilities, and executes it.
//!
//! All of it under the application's own identity, after the read-back: a `Verified` is
//! needed for both. It never falls back to a shell.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io::Read;

use nix::errno::Errno;
use nix::sys::stat::stat;

use crate::apply::Verified;
use crate::credentials;
use crate::elf;
use crate::error::{Exit, Note, Refusal, shown};
use crate::file_caps::{self, Before, Executable, FileCaps, Head};
use crate::identity::{Gid, Id, Uid};
use crate::sys;

/// Docker's default, for an environment without PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command whose file was found and would leave the application what it is to have.
#[derive(Debug)]
pub struct Found {
    path: CString,
    pub notes: Vec<Note>,
}

/// Finds the command by PATH, and refuses it if its file would change the capabilities.
pub fn find(command: &CStr, path: Option<&[u8]>, verified: &Verified) -> Result<Found, Refusal> {
    let path = search(command, path)?;
    let notes = judge(&path, verified)?;
    Ok(Found { path, notes })
}

/// Executes the command in place of this process. Returns only if that failed.
pub fn exec(_verified: Verified, found: Found, argv: &[&CStr], environment: &[&CStr]) -> Refusal {
    let errno = sys::execve(&found.path, argv, environment);
    explain(&found.path, errno)
}

/// As execvp(3) searches, but with empty entries of PATH skipped: they would be the working
/// directory.
fn search(command: &CStr, path: Option<&[u8]>) -> Result<CString, Refusal> {
    let name = shown(command.to_bytes());
    if command.to_bytes().contains(&b'/') {
        return match executable(command) {
            Ok(()) => Ok(command.to_owned()),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => {
                Err(Refusal::new(Exit::NotFound, format!("{name}: {errno}")))
            }
            Err(errno) => Err(denied(command, errno)),
        };
    }
    let mut first_denied = None;
    for directory in
        path.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':').filter(|directory| !directory.is_empty())
    {
        // Neither part has a NUL byte: both come from C strings.
        let Ok(candidate) = CString::new([directory, b"/", command.to_bytes()].concat()) else { continue };
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
            format!("{name}: not found in PATH={}", shown(path.unwrap_or(DEFAULT_PATH))),
        )
        .hint("check the spelling, or write the command with its whole path")
    }))
}

/// Whether execve(2) would get as far as reading the file.
fn executable(path: &CStr) -> Result<(), Errno> {
    sys::may_execute(path)?;
    match stat(path)?.st_mode & libc::S_IFMT {
        libc::S_IFREG => Ok(()),
        libc::S_IFDIR => Err(Errno::EISDIR),
        _ => Err(Errno::EACCES),
    }
}

fn denied(path: &CStr, errno: Errno) -> Refusal {
    let name = shown(path.to_bytes());
    let refusal = Refusal::new(Exit::CannotExecute, format!("{name}: {errno}"));
    match errno {
        Errno::EACCES => refusal.hint(format!(
            "give the application's user the right to execute it and to search its folders: chmod a+rx {name}"
        )),
        Errno::EISDIR => refusal.hint("name the program, not the folder that it is in"),
        _ => refusal,
    }
}

/// Computes what the application would hold after exec. Refuses if that differs from what it
/// holds now, with the remedy.
fn judge(path: &CStr, verified: &Verified) -> Result<Vec<Note>, Refusal> {
    let holder = credential_file(path)?;
    let file = executable_facts(&holder)?;
    if file == Executable::default() {
        return Ok(Vec::new());
    }
    let now = verified.credentials();
    // Only a file that carries some makes the bounding set count.
    let bounding = match (now.bounding, file.caps) {
        (Some(bounding), _) => bounding,
        (None, Some(_)) => credentials::bounding()?,
        (None, None) => now.caps,
    };
    let before = Before {
        uid: now.uid,
        gid: now.gid,
        permitted: now.caps,
        inheritable: now.caps,
        ambient: now.caps,
        bounding,
        no_new_privs: now.no_new_privs,
        securebits: verified.start().securebits,
    };
    let name = shown(holder.to_bytes());
    let after = file_caps::after_exec(&before, &file).map_err(|_| {
        let fixed = file.caps.unwrap_or_default().permitted;
        refuse_file(
            &name,
            format!(
                "its file capabilities demand {}, which cannot be had here, so it cannot be executed",
                fixed - bounding
            ),
        )
    })?;
    if (after.uid, after.gid) != (before.uid, before.gid) {
        return Err(Refusal::new(
            Exit::CannotExecute,
            format!("{name}: with CAPSHIM_NO_NEW_PRIVS=0 its set-id bits would change uid {} gid {} to uid {} gid {}", before.uid, before.gid, after.uid, after.gid),
        )
        .hint(format!("remove the bits: chmod u-s,g-s {name}; or leave CAPSHIM_NO_NEW_PRIVS out: they do not count then")));
    }
    if after.permitted != now.caps || after.effective != now.caps {
        return Err(refuse_file(
            &name,
            format!(
                "its file capabilities would leave the application permitted {} and effective {}, and CAPSHIM_CAPS asks for {}",
                after.permitted, after.effective, now.caps
            ),
        ));
    }
    if after.ambient == now.caps {
        return Ok(Vec::new());
    }
    Ok(vec![Note::Info(format!(
        "{name} has file capabilities: the programs that it starts will not inherit {}",
        now.caps
    ))])
}

fn refuse_file(name: &str, why: String) -> Refusal {
    Refusal::new(Exit::CannotExecute, format!("{name}: {why}")).hint(format!(
        "remove them, this program gives the capabilities instead: setcap -r {name} when the image is built"
    ))
}

/// The file whose attributes count at exec: the command's own, or, for a script, that of its
/// interpreter, and so on as far as the kernel follows.
fn credential_file(path: &CStr) -> Result<CString, Refusal> {
    let mut file = path.to_owned();
    for _ in 0..file_caps::MOST_INTERPRETERS {
        let head = read_head(&file);
        let Head::Script(interpreter) = file_caps::head(&head) else { break };
        file = CString::new(interpreter)
            .map_err(|_| Refusal::new(Exit::CannotExecute, "a NUL byte in a script's first line"))?;
    }
    Ok(file)
}

/// The first bytes of a file; none of one that cannot be read, which so counts as no script.
fn read_head(path: &CStr) -> Vec<u8> {
    let mut head = Vec::with_capacity(file_caps::HEAD);
    if let Ok(file) = sys::open(path) {
        // A failed read leaves what was read; exec itself will say more.
        let _ = file.take(file_caps::HEAD as u64).read_to_end(&mut head);
    }
    head
}

/// What a file would bring into exec. A file that is not there is left to execve(2) to name.
fn executable_facts(path: &CStr) -> Result<Executable, Refusal> {
    let Ok(status) = stat(path) else { return Ok(Executable::default()) };
    let name = || shown(path.to_bytes());
    let failed =
        |call: &str, errno: Errno| Refusal::new(Exit::System, format!("{call}({}): {errno}", name()));
    let set_uid = status.st_mode & libc::S_ISUID != 0;
    // Without the group's execute bit, set-group-ID meant mandatory locking.
    let set_gid = status.st_mode & (libc::S_ISGID | libc::S_IXGRP) == (libc::S_ISGID | libc::S_IXGRP);
    let xattr = sys::security_capability(path).map_err(|errno| failed("getxattr", errno))?;
    if (!set_uid && !set_gid && xattr.is_none())
        || sys::is_nosuid(path).map_err(|errno| failed("statfs", errno))?
    {
        return Ok(Executable::default());
    }
    let caps = match xattr {
        Some(bytes) => FileCaps::parse(&bytes).map_err(|_| {
            refuse_file(
                &name(),
                "its security.capability attribute is malformed, so it cannot be executed".into(),
            )
        })?,
        None => None,
    };
    Ok(Executable {
        caps,
        set_uid: Uid::new(status.st_uid).filter(|_| set_uid),
        set_gid: Gid::new(status.st_gid).filter(|_| set_gid),
    })
}

/// Why execve(2) failed, from the errno and what the file looks like.
fn explain(path: &CStr, errno: Errno) -> Refusal {
    let name = shown(path.to_bytes());
    let head = read_head(path);
    let refusal =
        |cause: String| Refusal::new(Exit::CannotExecute, format!("execve({name}): {errno}: {cause}"));
    match (errno, file_caps::head(&head)) {
        (Errno::ENOENT, Head::Script(interpreter)) => {
            let hint = match interpreter.ends_with(b"\r") {
                true => "the script has Windows line ends: convert it, for example with dos2unix",
                false => "install the interpreter in the image, or correct the script's first line",
            };
            refusal(format!("its interpreter {} is missing", shown(interpreter))).hint(hint)
        }
        (Errno::ENOENT, _) => match elf::loader(path) {
            Some(loader) => refusal(format!("its loader {} is missing", shown(&loader)))
                .hint("the program was linked for another libc: use an image that has it, or link the program statically"),
            None => Refusal::new(Exit::NotFound, format!("execve({name}): {errno}")),
        },
        (Errno::ENOEXEC, Head::Other) => match elf::machine(&head) {
            Some(machine) if machine != elf::machine_of_this_program() => refusal(format!("it is for another architecture ({machine})"))
                .hint("build or pull the image for this node's architecture"),
            Some(_) => refusal("it is a damaged program file".into()),
            None if head.is_empty() => refusal("it is empty or cannot be read".into()),
            None => refusal("it is no program and has no #! line".into()).hint("begin the script with #!/bin/sh, or run it as: sh SCRIPT"),
        },
        (Errno::ENOEXEC, _) => refusal("its #! line names no interpreter".into()),
        (Errno::EACCES, Head::Script(interpreter)) => refusal(format!("its interpreter {} cannot be executed", shown(interpreter))),
        _ => Refusal::new(Exit::CannotExecute, format!("execve({name}): {errno}")),
    }
}
