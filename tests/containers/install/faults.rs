//! `--install` where a call fails or a signal comes: the old file or the whole new one is there,
//! and no third.

use crate::harness::container::output::lines;
use crate::harness::container::{Output, find};
use crate::harness::install::{INSTALL, SAID, init};
use crate::harness::strace::{self, Call, Fault};
use crate::harness::volume::Volume;

/// What comes of an installation over an old file where strace tampers with it. It runs inside,
/// and so counts the calls of this program alone; root's rights stay as they are.
fn struck(arguments: &[String]) -> (Volume, Output, String) {
    let (volume, logs) = (Volume::on_disk().with_old_file(), Volume::on_disk());
    let strace = find("strace").expect("strace");
    let start = init(&volume).import_program(&strace).volume(logs.folder(), "/logs", &[]);
    let mut command = vec![strace.to_str().expect("a path"), "-f", "-o", "/logs/strace"];
    command.extend(arguments.iter().map(String::as_str));
    command.extend(INSTALL);
    let output = start.run(&command);
    (volume, output, String::from_utf8_lossy(&logs.content("strace")).into_owned())
}

/// Its calls, from the first of its own to the last that returns. Those for memory are not
/// among them: with none a program can do nothing.
fn calls() -> Vec<Call> {
    let (volume, output, log) = struck(&[]);
    output.installed(SAID);
    volume.has_the_copy();
    let calls = strace::calls_to_the_end(&log).into_iter().skip_while(|call| call.name != "capget");
    let others = ["brk", "mmap", "munmap", "mremap", "exit_group"];
    calls.filter(|call| !others.contains(&call.name.as_str())).collect()
}

#[test]
fn whatever_call_fails_nothing_is_left_behind() {
    let calls = calls();
    let renamed = calls.iter().position(|call| call.name.starts_with("renameat")).expect("the rename");
    let mut harmless = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for fault in [Fault::Eio, Fault::Eperm] {
            let (volume, output, log) = struck(&call.inject(fault));
            let name = call.line.split(' ').next().unwrap_or_default();
            let tampered: Vec<&str> = log.lines().filter(|line| line.contains("(INJECTED)")).collect();
            assert!(matches!(tampered[..], [line] if line.contains(&call.name)), "{name}: {tampered:?}");
            let said = output.stderr.lines().next().unwrap_or_default();
            println!("{name:<40.40} {:<2} {said}", output.code);
            match output.code {
                0 => {
                    output.installed(SAID);
                    volume.has_the_copy();
                    harmless.push(call.name.as_str());
                }
                71 if at <= renamed => volume.is_untouched(),
                71 => volume.has_the_copy(),
                code => panic!("{code} after {name}: {said}"),
            }
        }
    }
    // They tell a size beforehand, word a hint, close, or say again what was said in open(2).
    harmless
        .retain(|name| !["fstat", "statx", "newfstatat", "stat", "lseek", "fcntl", "close"].contains(name));
    assert_eq!(harmless, [""; 0]);
}

#[test]
fn a_signal_comes_too_early_or_too_late_and_never_between() {
    let calls = calls();
    let mask = calls.iter().position(|call| call.name == "rt_sigprocmask").expect("the mask");
    for (at, call) in calls.iter().enumerate() {
        let (volume, output, _) = struck(&call.inject(Fault::Signal));
        // It counts at the end of the call that it came with.
        if at < mask {
            assert_eq!((output.code, output.stdout.as_str()), (143, ""), "{}", call.line);
            volume.is_untouched();
        } else {
            output.installed(SAID);
            volume.has_the_copy();
        }
    }
}

#[test]
fn a_temporary_file_that_cannot_be_removed_is_named() {
    let faults = ["-e", "inject=fchmod:error=EIO", "-e", "inject=unlinkat:error=EPERM"].map(str::to_owned);
    let (volume, output, _) = struck(&faults);
    let names = volume.names();
    let [left, _] = names.as_slice() else { panic!("{names:?}") };
    output.refuses(
        71,
        &lines(
            &format!(
                "fchmod(/shim/.capshim.*, 0755): EIO: I/O error; then unlink(/shim/{left}): EPERM: Operation not permitted"
            ),
            &format!("rm /shim/{left}"),
        ),
    );
    assert_eq!(volume.content("capshim"), b"old");
}
