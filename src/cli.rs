//! The command line: arguments to an action.
//!
//! Pure. The options are verbs; settings come from the environment (see `config`).
#![forbid(unsafe_code)]

use std::ffi::CStr;

use crate::error::{Exit, Refusal, shown};

/// What one invocation is to do. Arguments are bytes and are passed on unchanged.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    Run { command: &'a CStr, argv: &'a [&'a CStr] },
    Help,
    Version,
}

/// The text of `--help`.
pub const HELP: &str = include_str!("help.txt");

/// The text of `--version`.
pub const VERSION: &str = concat!("capshim ", env!("CARGO_PKG_VERSION"), "\n");

/// Reads the arguments, `argv[0]` included.
pub fn parse<'a>(args: &'a [&'a CStr]) -> Result<Action<'a>, Refusal> {
    let args = args.get(1..).unwrap_or_default();
    let argv = match args.first().map(|first| first.to_bytes()) {
        Some(b"--help") => return Ok(Action::Help),
        Some(b"--version") => return Ok(Action::Version),
        Some(b"--") => &args[1..],
        Some(verb @ (b"--check" | b"--install")) => {
            return Err(Refusal::new(Exit::Usage, format!("this version does not have {}", shown(verb))));
        }
        Some(option) if option.starts_with(b"-") => {
            return Err(Refusal::new(Exit::Usage, format!("unknown option '{}'", shown(option)))
                .hint("settings are environment variables, see capshim --help; a COMMAND that begins with - goes after --"));
        }
        _ => args,
    };
    match argv.first() {
        None => Err(Refusal::new(Exit::Usage, "no COMMAND to run").hint(
            "a pod's command: and a derived image's ENTRYPOINT discard the image's own: repeat the image's \
             ENTRYPOINT and CMD after capshim; docker image inspect -f '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' IMAGE prints them",
        )),
        Some(command) if command.is_empty() => Err(Refusal::new(Exit::Usage, "COMMAND is an empty word")
            .hint("look for a variable or template before it that came out empty")),
        Some(command) => Ok(Action::Run { command, argv }),
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
            &[c"capshim", c"--check"],
            &[c"capshim", c"--install", c"/x"],
        ] {
            assert_eq!(run(args), Err(64), "{args:?}");
        }
    }

    #[test]
    fn help_and_version_are_actions_of_their_own() {
        assert_eq!(parse(&[c"capshim", c"--help"]).unwrap(), Action::Help);
        assert_eq!(parse(&[c"capshim", c"--version"]).unwrap(), Action::Version);
    }
}
