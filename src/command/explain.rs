//! Explains why execve(2) failed or would fail, from the errno and the files.
//!
//! It only looks, and nothing may be decided by it.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::sys::statvfs::FsFlags;

use crate::command::elf;
use crate::model::error::{Exit, Refusal, shown};
use crate::model::script::{self, Head};
use crate::process::chain::{self, Link, executable};
use crate::process::reach::{self, Closed};
use crate::system;

/// Predicts from its files whether execve(2) would refuse the command, for a report that cannot ask the
/// kernel (see `trial`).
pub fn foresee(path: &CStr) -> Result<(), Refusal> {
    let (scripts, last) = chain::chain(path);
    let interpreters = scripts.iter().chain([&last]).skip(1);
    let unusable = interpreters.filter_map(|link| executable(&link.path).err()).next();
    let errno = match (unusable, script::head(last.head())) {
        (Some(Errno::EISDIR), _) => Errno::EACCES,
        (Some(errno), _) => errno,
        (None, Head::Script(_)) => Errno::ELOOP,
        (None, Head::BadScript) => Errno::ENOEXEC,
        // An unreadable file may be anything.
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
    Err(explain(path, errno))
}

/// The loader that a program needs, if it cannot be executed, and why.
fn unusable_loader(program: &CStr) -> Option<(CString, Errno)> {
    // The path ends before the first NUL byte.
    let loader = CString::new(elf::loader(program)?).ok()?;
    let errno = executable(&loader).err()?;
    Some((loader, if errno == Errno::EISDIR { Errno::EACCES } else { errno }))
}

/// The loader that a program needs, if it is no program for the same machine, and why.
fn unfit_loader(program: &Link) -> Option<(CString, Errno)> {
    /// The kernel reads a whole ELF header.
    const HEADER: usize = 64;
    let loader = Link::new(CString::new(elf::loader(&program.path)?).ok()?);
    let unknown = loader.start.is_err() && !is_empty(&loader.path);
    let errno = if loader.head().len() < HEADER { Errno::EIO } else { Errno::ELIBBAD };
    (!unknown && elf::machine(loader.head()) != elf::machine(program.head())).then_some((loader.path, errno))
}

fn is_empty(path: &CStr) -> bool {
    stat(path).is_ok_and(|status| status.st_size == 0)
}

pub fn denied(path: &CStr, errno: Errno) -> Refusal {
    let refusal =
        Refusal::new(Exit::CannotExecute, format!("cannot execute {}: {errno}", shown(path.to_bytes())));
    with_access(refusal, path, errno)
}

/// Adds hints on how to get the right to execute a file.
fn with_access(refusal: Refusal, path: &CStr, errno: Errno) -> Refusal {
    let on_noexec = || system::mount_flags(path).is_ok_and(|flags| flags.contains(FsFlags::ST_NOEXEC));
    let is_file = || stat(path).is_ok_and(|status| status.st_mode & libc::S_IFMT == libc::S_IFREG);
    match (errno, reach::closed(path)) {
        (Errno::EISDIR, _) => refusal.hint("name the program, not the folder that it is in"),
        (Errno::EACCES, Closed::Folder(folder)) => {
            refusal.hint(format!("let the application's user search its folder: chmod a+x {folder}"))
        }
        (Errno::EACCES, _) if !is_file() => {
            refusal.hint("name a program: this is a device, a pipe or a socket")
        }
        (Errno::EACCES, _) if on_noexec() => refusal
            .hint("it is on a noexec mount: run a copy that is in the image")
            .or("mount its folder without noexec, and put it there again: Kubernetes: an emptyDir; Docker/Podman: --tmpfs FOLDER:exec"),
        (Errno::EACCES, Closed::File(file)) => {
            refusal.hint(format!("let the application's user execute it: chmod a+rx {file}"))
        }
        _ => refusal,
    }
}

/// Explains why execve(2) failed, from the errno and the files.
pub fn explain(path: &CStr, errno: Errno) -> Refusal {
    let (scripts, last) = chain::chain(path);
    let interpreter = shown(last.path.to_bytes());
    // The file that the kernel failed on: the command itself, or its interpreter.
    let it = if scripts.is_empty() { "it".to_owned() } else { format!("its interpreter {interpreter}") };
    let call = format!("execve({}): {errno}", shown(path.to_bytes()));
    let refusal = |cause: String| Refusal::new(Exit::CannotExecute, format!("{call}: {cause}"));
    let there = stat(last.path.as_c_str()).is_ok();
    match (errno, scripts.last()) {
        // Newer kernels try to open an interpreter with an empty name.
        (Errno::ENOENT | Errno::EACCES, script)
            if script::head(last.head()) == Head::BadScript && executable(&last.path).is_ok() =>
        {
            explain_format(&it, &last, script.is_some(), refusal)
        }
        (Errno::ENOENT, _) if there => explain_missing_loader(&it, &last.path, refusal),
        (Errno::ENOENT, None) => Refusal::new(Exit::NotFound, call),
        (Errno::ENOENT, Some(script)) => {
            let script = shown(script.path.to_bytes());
            let refusal = refusal(format!("{it} is missing"));
            if last.path.to_bytes().ends_with(b"\r") {
                let convert = "the script has Windows line ends: convert it, as with: dos2unix";
                refusal.hint(format!("{convert} {script}"))
            } else {
                refusal
                    .hint("install the interpreter in the image")
                    .or(format!("correct the first line of {script}"))
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
        // setresuid(2) ignores that the process limit is exceeded, and exec then fails (execve(2)).
        (Errno::EAGAIN, _) => refusal("its user has as many processes as the limit allows".to_owned())
            .hint("raise the limit: Kubernetes: LimitNPROC=infinity in the node's service of the container runtime; Docker/Podman: --ulimit nproc=-1"),
        (Errno::EIO | Errno::ELIBBAD, _) => match unfit_loader(&last) {
            Some((loader, _)) => refusal(format!(
                "{it} needs the loader {}, which is no program for the same machine",
                shown(loader.to_bytes())
            ))
            .hint("put the loader that the program was linked for into the image").or("link the program statically"),
            None => Refusal::new(Exit::CannotExecute, call),
        },
        _ => Refusal::new(Exit::CannotExecute, call),
    }
}

/// Explains ENOENT although the file is there.
fn explain_missing_loader(it: &str, path: &CStr, refusal: impl Fn(String) -> Refusal) -> Refusal {
    match elf::loader(path) {
        Some(loader) => refusal(format!("{it} needs the loader {}, which is missing", shown(&loader)))
            .hint("the program was linked for another libc: use an image that has it")
            .or("link the program statically"),
        None => refusal(format!("something that {it} needs is missing")),
    }
}

/// Explains ENOEXEC.
fn explain_format(it: &str, file: &Link, interprets: bool, refusal: impl Fn(String) -> Refusal) -> Refusal {
    let path = shown(file.path.to_bytes());
    if script::head(file.head()) == Head::BadScript {
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
            .hint(format!("begin {path} with a line #!/bin/sh"))
            .or(format!("run it as: sh {path}")),
    }
}
