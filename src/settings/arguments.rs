//! The command line: from arguments to an action.
//!
//! Pure. Options are verbs; settings come from the environment (see `names`).
#![forbid(unsafe_code)]

use std::ffi::CStr;

use crate::model::caps::{Cap, CapSet};
use crate::model::error::{Exit, Refusal, shown};
use crate::settings::capabilities::Request;

/// What one invocation does. Arguments are bytes and are passed on unchanged.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    Run {
        command: &'a CStr,
        argv: &'a [&'a CStr],
    },
    /// Report what a run would do. Without a command, only as far as possible.
    Check {
        argv: &'a [&'a CStr],
    },
    /// Copy this program, with these file capabilities if any.
    Install {
        path: &'a CStr,
        file_caps: CapSet,
    },
    Help,
    Version,
}

pub const HELP: &str = include_str!("help.txt");

pub const VERSION: &str = concat!("capshim ", env!("CARGO_PKG_VERSION"), "\n");

/// Reads the arguments, `argv[0]` included.
pub fn parse<'a>(args: &'a [&'a CStr]) -> Result<Action<'a>, Refusal> {
    let args = args.get(1..).unwrap_or_default();
    let argv = match args.first().map(|first| first.to_bytes()) {
        Some(b"--help") => return Ok(Action::Help),
        Some(b"--version") => return Ok(Action::Version),
        Some(b"--check") => return check(&args[1..]),
        Some(b"--install") => return install(&args[1..]),
        Some(b"--") => &args[1..],
        Some(option) if option.starts_with(b"-") => return Err(unknown_option(option)),
        _ => args,
    };
    match argv.first() {
        None => Err(Refusal::new(Exit::Usage, "no COMMAND to run").hint(
            "a pod's command: and a derived image's ENTRYPOINT discard the image's own: repeat the image's \
             ENTRYPOINT and CMD after capshim; docker image inspect -f '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' IMAGE prints them",
        )),
        Some(command) => Ok(Action::Run { command: not_empty("COMMAND", command)?, argv }),
    }
}

/// Reads the arguments after `--check`.
fn check<'a>(args: &'a [&'a CStr]) -> Result<Action<'a>, Refusal> {
    let argv = match args.first().map(|first| first.to_bytes()) {
        Some(b"--") => &args[1..],
        Some(option) if option.starts_with(b"-") => return Err(unknown_option(option)),
        _ => args,
    };
    argv.first().map(|command| not_empty("COMMAND", command)).transpose()?;
    Ok(Action::Check { argv })
}

/// Reads the arguments after `--install`.
fn install<'a>(args: &[&'a CStr]) -> Result<Action<'a>, Refusal> {
    let usage = |cause: String| {
        Refusal::new(Exit::Usage, cause).hint("capshim --install PATH [--file-caps LIST], as in: capshim --install /shim/capshim --file-caps ipc_lock")
    };
    let Some((path, options)) = args.split_first() else {
        return Err(usage("no PATH to install to".to_owned()));
    };
    if path.to_bytes().starts_with(b"-") {
        return Err(usage(format!("'{}' where --install takes a PATH", shown(path.to_bytes()))));
    }
    let file_caps = match options {
        [] => CapSet::EMPTY,
        [option, ..] if option.to_bytes() != b"--file-caps" => {
            return Err(usage(format!("'{}' after PATH", shown(option.to_bytes()))));
        }
        [_] => return Err(usage("no LIST after --file-caps".to_owned())),
        [_, list] => file_caps(list.to_bytes())?,
        [_, _, more, ..] => return Err(usage(format!("'{}' after LIST", shown(more.to_bytes())))),
    };
    Ok(Action::Install { path: not_empty("PATH", path)?, file_caps })
}

/// With one of these on capshim's file, any user of the container could become root.
pub const NEVER_ON_A_FILE: CapSet =
    CapSet::of(&[Cap::CAP_SETUID, Cap::CAP_SETGID, Cap::CAP_SETPCAP, Cap::CAP_SETFCAP]);

/// Reads the list of `--file-caps`: at least one capability, and none of `NEVER_ON_A_FILE`.
fn file_caps(list: &[u8]) -> Result<CapSet, Refusal> {
    let refusal = |wrong: Refusal| Refusal {
        exit: Exit::Usage,
        cause: format!("--file-caps '{}' {}", shown(list), wrong.cause),
        ..wrong
    };
    let text = std::str::from_utf8(list).map_err(|_| {
        refusal(
            Refusal::wrong("is not UTF-8").hint("write names of capabilities, as in: --file-caps ipc_lock"),
        )
    })?;
    let request: Request = text.parse().map_err(refusal)?;
    if !request.optional.is_empty() {
        return Err(refusal(
            Refusal::wrong("marks a capability as optional")
                .hint("write it without the question mark: where it is not granted, the file does no harm"),
        ));
    }
    if request.required.is_empty() {
        return Err(refusal(
            Refusal::wrong("lists no capability").hint("leave --file-caps out for a plain copy"),
        ));
    }
    let never = request.required & NEVER_ON_A_FILE;
    if !never.is_empty() {
        return Err(refusal(
            Refusal::wrong(format!("has {never}, by which any user of the container would become root"))
                .hint("list what the application needs; a start as root needs no file capabilities"),
        ));
    }
    Ok(request.required)
}

fn unknown_option(option: &[u8]) -> Refusal {
    Refusal::new(Exit::Usage, format!("unknown option '{}'", shown(option))).hint(
        "settings are environment variables, see capshim --help; a COMMAND that begins with - goes after --",
    )
}

fn not_empty<'a>(what: &str, word: &'a CStr) -> Result<&'a CStr, Refusal> {
    if word.is_empty() {
        Err(Refusal::new(Exit::Usage, format!("{what} is empty"))
            .hint("look for a variable or template before it that came out empty"))
    } else {
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&CStr]) -> Result<Vec<Vec<u8>>, u8> {
        match parse(args) {
            Ok(Action::Run { argv, .. }) => Ok(argv.iter().map(|arg| arg.to_bytes().to_vec()).collect()),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal.exit as u8),
        }
    }

    #[test]
    fn the_command_begins_at_the_first_word_that_is_no_option() {
        assert_eq!(
            run(&[c"capshim", c"ls", c"-l", c"--help"]).unwrap(),
            [b"ls".to_vec(), b"-l".to_vec(), b"--help".to_vec()]
        );
        assert_eq!(run(&[c"capshim", c"--", c"--help"]).unwrap(), [b"--help".to_vec()]);
        assert_eq!(run(&[c"capshim", c"--", c"--", c"x"]).unwrap(), [b"--".to_vec(), b"x".to_vec()]);
        assert_eq!(run(&[c"capshim", c"\xff\xfe", c""]).unwrap(), [b"\xff\xfe".to_vec(), b"".to_vec()]);
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error() {
        for args in [
            &[][..],
            &[c"capshim"],
            &[c"capshim", c"--"],
            &[c"capshim", c""],
            &[c"capshim", c"--", c""],
            &[c"capshim", c"-h"],
            &[c"capshim", c"-"],
            &[c"capshim", c"--user=app", c"ls"],
            &[c"capshim", c"--check", c""],
            &[c"capshim", c"--check", c"--", c""],
            &[c"capshim", c"--check", c"--all"],
            &[c"capshim", c"--install"],
            &[c"capshim", c"--install", c""],
            &[c"capshim", c"--install", c"--file-caps", c"ipc_lock"],
            &[c"capshim", c"--install", c"/x", c"/y"],
            &[c"capshim", c"--install", c"/x", c"--file-caps"],
            &[c"capshim", c"--install", c"/x", c"--file-caps", c"ipc_lock", c"/y"],
        ] {
            assert_eq!(run(args), Err(64), "{args:?}");
        }
    }

    #[test]
    fn a_check_takes_a_command_or_none() {
        let check = |args: &[&CStr]| match parse(args) {
            Ok(Action::Check { argv }) => argv.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert!(check(&[c"capshim", c"--check"]).is_empty());
        assert!(check(&[c"capshim", c"--check", c"--"]).is_empty());
        assert_eq!(check(&[c"capshim", c"--check", c"ls", c"-l"]), [c"ls", c"-l"].map(CStr::to_owned));
        assert_eq!(check(&[c"capshim", c"--check", c"--", c"-ls"]), [c"-ls".to_owned()]);
    }

    #[test]
    fn an_install_takes_a_path_and_capabilities_that_make_nobody_root() {
        let install = |args: &[&CStr]| match parse(args) {
            Ok(Action::Install { path, file_caps }) => Ok((path.to_owned(), file_caps)),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err((refusal.exit as u8, refusal.cause)),
        };
        let with = |list: &CStr| install(&[c"capshim", c"--install", c"/x", c"--file-caps", list]);
        assert_eq!(install(&[c"capshim", c"--install", c"/x"]), Ok((c"/x".to_owned(), CapSet::EMPTY)));
        let lock = CapSet::of(&[Cap::CAP_IPC_LOCK, Cap::CAP_NET_RAW]);
        assert_eq!(with(c"IPC_LOCK, cap_net_raw"), Ok((c"/x".to_owned(), lock)));
        for (list, why) in [
            (c"", "has an empty part"),
            (c"none", "lists no capability"),
            (c"ipc_lock?", "marks a capability as optional"),
            (c"ipc_lock,setuid", "has SETUID, by which"),
            (c"setgid", "has SETGID, by which"),
            (c"setpcap", "has SETPCAP, by which"),
            (c"setfcap", "has SETFCAP, by which"),
            (c"all", "asks for all capabilities"),
            (c"\xff", "is not UTF-8"),
        ] {
            let (exit, cause) = with(list).unwrap_err();
            assert!(
                exit == 64 && cause.starts_with("--file-caps '") && cause.contains(why),
                "{list:?}: {cause}"
            );
        }
        let other = install(&[c"capshim", c"--install", c"/x", c"--caps", c"ipc_lock"]);
        assert_eq!(other, Err((64, "'--caps' after PATH".to_owned())));
    }

    #[test]
    fn help_and_version_are_actions_of_their_own() {
        assert_eq!(parse(&[c"capshim", c"--help"]).unwrap(), Action::Help);
        assert_eq!(parse(&[c"capshim", c"--version"]).unwrap(), Action::Version);
    }
}
