//! Finds the command and executes it in place of this process, or says why that failed.
//!
//! All of it under the application's own identity, after the read-back: a `Verified` is
//! needed for both. It never falls back to a shell.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::sys::statvfs::FsFlags;

use crate::apply::Verified;
use crate::chain::{self, Link, executable};
use crate::diagnose;
use crate::elf;
use crate::error::{Exit, Refusal, shown};
use crate::file_caps::{self, Head};
use crate::reach::{self, Closed};
use crate::sys;
use crate::target::{self, Effect};

/// Docker's default, for an environment without PATH.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command whose file was found and would leave the application what it is to have.
#[derive(Debug)]
pub struct Found {
    pub path: CString,
    pub effect: Effect,
}

/// Finds the command by PATH, and refuses it if its file would change the capabilities.
pub fn find(command: &CStr, path: Option<&[u8]>, verified: &Verified) -> Result<Found, Refusal> {
    let path = search(command, path)?;
    let effect = target::judge(&path, verified)?;
    Ok(Found { path, effect })
}

/// Executes the command in place of this process. Returns only if that failed.
pub fn exec(verified: Verified, found: Found, argv: &[&CStr], environment: &[&CStr]) -> Refusal {
    match execute(&verified, &found, argv, environment) {
        Err(errno) => explain(&found.path, errno),
        Ok(()) => diagnose::call_lied(format!(
            "execve({}) reported success but executed nothing",
            shown(found.path.to_bytes())
        )),
    }
}

/// The call alone, which returns only if it failed.
pub fn execute(
    _verified: &Verified,
    found: &Found,
    argv: &[&CStr],
    environment: &[&CStr],
) -> nix::Result<()> {
    sys::execve(&found.path, argv, environment)
}

/// Why execve(2) would refuse the command, as far as its files tell: for a report that cannot ask
/// the kernel (see `trial`).
pub fn foresee(found: &Found) -> Result<(), Refusal> {
    let (scripts, last) = chain::chain(&found.path);
    let interpreters = scripts.iter().chain([&last]).skip(1);
    let unusable = interpreters.filter_map(|link| executable(&link.path).err()).next();
    let errno = match (unusable, file_caps::head(last.head())) {
        (Some(Errno::EISDIR), _) => Errno::EACCES,
        (Some(errno), _) => errno,
        (None, Head::Script(_)) => Errno::ELOOP,
        (None, Head::BadScript) => Errno::ENOEXEC,
        // It may be anything.
        (None, Head::Other) if last.start.is_err() && !is_empty(&last.path) => return Ok(()),
        (None, Head::Other) => match elf::machine(last.head()) {
            Some(machine) if machine.runs_here() => {
                match unusable_loader(&last.path).or_else(|| unfit_loader(&last)) {
                    Some((_, errno)) => errno,
                    None => return Ok(()),
                }
            }
            _ => Errno::ENOEXEC,
        },
    };
    Err(explain(&found.path, errno))
}

/// The loader that a program needs and that cannot be executed, and why.
fn unusable_loader(program: &CStr) -> Option<(CString, Errno)> {
    // A path ends before the first NUL byte.
    let loader = CString::new(elf::loader(program)?).ok()?;
    let errno = executable(&loader).err()?;
    Some((loader, if errno == Errno::EISDIR { Errno::EACCES } else { errno }))
}

/// The loader that a program needs and that is none for the same machine, and why.
fn unfit_loader(program: &Link) -> Option<(CString, Errno)> {
    /// The kernel reads a whole header.
    const HEADER: usize = 64;
    let loader = Link::new(CString::new(elf::loader(&program.path)?).ok()?);
    let unknown = loader.start.is_err() && !is_empty(&loader.path);
    let errno = if loader.head().len() < HEADER { Errno::EIO } else { Errno::ELIBBAD };
    (!unknown && elf::machine(loader.head()) != elf::machine(program.head())).then_some((loader.path, errno))
}

fn is_empty(path: &CStr) -> bool {
    stat(path).is_ok_and(|status| status.st_size == 0)
}

/// As execvp(3) searches, but for the empty entries of PATH.
fn search(command: &CStr, path: Option<&[u8]>) -> Result<CString, Refusal> {
    let name = shown(command.to_bytes());
    if command.to_bytes().contains(&b'/') {
        return match executable(command) {
            Ok(()) => Ok(command.to_owned()),
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => {
                Err(Refusal::new(Exit::NotFound, format!("cannot execute {name}: {errno}")).hint(
                    "write the path of a program that is in the image; or its name alone, which PATH finds",
                ))
            }
            Err(errno) => Err(denied(command, errno)),
        };
    }
    // No file has such a name. As in libc, it is not tried in each folder: that would take the
    // name's length times PATH's.
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
            format!("{name}: not found in PATH={}", shown(path.unwrap_or(DEFAULT_PATH))),
        )
        .hint("check the spelling; or write the command with its whole path")
    }))
}

/// The files that a command without a slash may be, in PATH's order. Empty entries are
/// skipped: they would be the working directory.
pub fn candidates(command: &CStr, path: &[u8]) -> impl Iterator<Item = CString> {
    let directories = path.split(|&byte| byte == b':').filter(|directory| !directory.is_empty());
    // Neither part has a NUL byte where both come from C strings.
    directories.filter_map(|directory| CString::new([directory, b"/", command.to_bytes()].concat()).ok())
}

fn denied(path: &CStr, errno: Errno) -> Refusal {
    let refusal =
        Refusal::new(Exit::CannotExecute, format!("cannot execute {}: {errno}", shown(path.to_bytes())));
    with_access(refusal, path, errno)
}

/// Adds what gives the right to execute a file.
fn with_access(refusal: Refusal, path: &CStr, errno: Errno) -> Refusal {
    let on_noexec = || sys::mount_flags(path).is_ok_and(|flags| flags.contains(FsFlags::ST_NOEXEC));
    let is_file = || stat(path).is_ok_and(|status| status.st_mode & libc::S_IFMT == libc::S_IFREG);
    match (errno, reach::closed(path)) {
        (Errno::EISDIR, _) => refusal.hint("name the program, not the folder that it is in"),
        (Errno::EACCES, Closed::Folder(folder)) => {
            refusal.hint(format!("let the application's user search its folder: chmod a+x {folder}"))
        }
        (Errno::EACCES, _) if !is_file() => {
            refusal.hint("name a program: this is a device, a pipe or a socket")
        }
        (Errno::EACCES, _) if on_noexec() => refusal.hint(
            "it is on a noexec mount: run a copy that is in the image; or mount its folder without noexec, and put it there again: Kubernetes: an emptyDir; Docker/Podman: --tmpfs FOLDER:exec",
        ),
        (Errno::EACCES, Closed::File(file)) => {
            refusal.hint(format!("let the application's user execute it: chmod a+rx {file}"))
        }
        _ => refusal,
    }
}

/// Why execve(2) failed, from the errno and what the files look like.
pub fn explain(path: &CStr, errno: Errno) -> Refusal {
    let (scripts, last) = chain::chain(path);
    let interpreter = shown(last.path.to_bytes());
    // What the file that the kernel stumbled over is to the command.
    let it = if scripts.is_empty() { "it".to_owned() } else { format!("its interpreter {interpreter}") };
    let call = format!("execve({}): {errno}", shown(path.to_bytes()));
    let refusal = |cause: String| Refusal::new(Exit::CannotExecute, format!("{call}: {cause}"));
    let there = stat(last.path.as_c_str()).is_ok();
    match (errno, scripts.last()) {
        // Newer kernels look for an interpreter with an empty name.
        (Errno::ENOENT | Errno::EACCES, script)
            if file_caps::head(last.head()) == Head::BadScript && executable(&last.path).is_ok() =>
        {
            explain_format(&it, &last, script.is_some(), refusal)
        }
        (Errno::ENOENT, _) if there => explain_missing_loader(&it, &last.path, refusal),
        (Errno::ENOENT, None) => Refusal::new(Exit::NotFound, call),
        (Errno::ENOENT, Some(script)) => {
            let script = shown(script.path.to_bytes());
            let refusal = refusal(format!("{it} is missing"));
            match last.path.to_bytes().ends_with(b"\r") {
                true => refusal.hint(format!(
                    "the script has Windows line ends: convert it, as with: dos2unix {script}"
                )),
                false => refusal.hint(format!(
                    "install the interpreter in the image; or correct the first line of {script}"
                )),
            }
        }
        (Errno::ENOEXEC, script) => explain_format(&it, &last, script.is_some(), refusal),
        (Errno::EACCES, script) => match unusable_loader(&last.path) {
            Some((loader, Errno::EACCES)) => {
                let cause = format!("{it} needs the loader {}, which cannot be executed", shown(loader.to_bytes()));
                with_access(refusal(cause), &loader, errno)
            }
            _ if script.is_some() => {
                with_access(refusal(format!("{it} cannot be executed")), &last.path, errno)
            }
            _ => Refusal::new(Exit::CannotExecute, call),
        },
        (_, Some(_)) if executable(&last.path) == Err(errno) => refusal(format!("{it} cannot be executed")),
        (Errno::ELOOP, Some(_)) => Refusal::new(Exit::CannotExecute, call).hint(format!(
            "scripts whose interpreters are scripts: name a program in the first line of {}",
            shown(path.to_bytes())
        )),
        // setresuid(2) has passed over it, and exec is where it counts.
        (Errno::EAGAIN, _) => refusal("its user has as many processes as the limit allows".to_owned())
            .hint("raise the limit: Kubernetes: LimitNPROC=infinity in the node's service of the container runtime; Docker/Podman: --ulimit nproc=-1"),
        (Errno::EIO | Errno::ELIBBAD, _) => match unfit_loader(&last) {
            Some((loader, _)) => refusal(format!(
                "{it} needs the loader {}, which is no program for the same machine",
                shown(loader.to_bytes())
            ))
            .hint("put the loader that the program was linked for into the image; or link the program statically"),
            None => Refusal::new(Exit::CannotExecute, call),
        },
        _ => Refusal::new(Exit::CannotExecute, call),
    }
}

/// ENOENT, but the file is there.
fn explain_missing_loader(it: &str, path: &CStr, refusal: impl Fn(String) -> Refusal) -> Refusal {
    match elf::loader(path) {
        Some(loader) => refusal(format!("{it} needs the loader {}, which is missing", shown(&loader)))
            .hint("the program was linked for another libc: use an image that has it; or link the program statically"),
        None => refusal(format!("something that {it} needs is missing")),
    }
}

/// ENOEXEC.
fn explain_format(it: &str, file: &Link, interprets: bool, refusal: impl Fn(String) -> Refusal) -> Refusal {
    let path = shown(file.path.to_bytes());
    if file_caps::head(file.head()) == Head::BadScript {
        return refusal(format!("{it} has a #! line that names no interpreter"))
            .hint(format!("begin {path} with a line that does: #!/bin/sh"));
    }
    match elf::machine(file.head()) {
        Some(machine) if machine != elf::machine_of_this_program() => {
            refusal(format!("{it} is for another architecture ({machine})"))
                .hint("build or pull the image for this node's architecture")
        }
        Some(_) => refusal(format!("{it} is a damaged program file"))
            .hint("put the whole program into the image: a copy or download may have been cut off"),
        None if is_empty(&file.path) => refusal(format!("{it} is empty"))
            .hint("put the whole program into the image: a copy or download may have been cut off"),
        None if file.start.is_err() => refusal(format!("{it} cannot be read and is no program"))
            .hint(format!("if it is a script, begin {path} with a line #!/bin/sh and let everyone read it: chmod a+r {path}")),
        None if interprets => refusal(format!("{it} is no program and has no #! line"))
            .hint(format!("begin {path} with a line #!/bin/sh")),
        None => refusal(format!("{it} is no program and has no #! line"))
            .hint(format!("begin {path} with a line #!/bin/sh; or run it as: sh {path}")),
    }
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
