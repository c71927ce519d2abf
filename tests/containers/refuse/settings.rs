//! Settings and command lines that are refused before anything is done.

use crate::harness::container::Container;
use crate::harness::container::output::lines;
use crate::harness::starts::{GRANTED, app};

#[track_caller]
fn refused(container: Container, code: i32, cause: &str, hint: &str) {
    container.shim(&["/state"]).refuses(code, &lines(cause, hint));
}

#[test]
fn values_that_a_tool_mangled_are_shown_escaped_with_what_it_was() {
    for (value, cause, hint) in [
        (
            "ipc_lock\r",
            "CAPSHIM_CAPS='ipc_lock\\r' ends in a carriage return",
            "the file that it was read from has Windows line ends: convert it, for example with dos2unix",
        ),
        (
            "ipc_lock\n",
            "CAPSHIM_CAPS='ipc_lock\\n' has a newline in it",
            "write the value on one line: a YAML block (|) or a file with a last newline adds one",
        ),
        (
            "\"ipc_lock\"",
            "CAPSHIM_CAPS='\"ipc_lock\"' has quotes around it",
            "env files and lists of NAME=VALUE take quotes literally: write the value without them",
        ),
        (
            "[\"ipc_lock\"]",
            "CAPSHIM_CAPS='[\"ipc_lock\"]' is JSON",
            "write plain words, with commas between them where there are several",
        ),
        (
            "$(CAPS)",
            "CAPSHIM_CAPS='$(CAPS)' is a variable that nothing expanded",
            "write the value itself: env entries expand $(NAME) in Kubernetes only, and ${NAME} in a shell or compose file",
        ),
        (
            "{{ .Values.caps }}",
            "CAPSHIM_CAPS='{{ .Values.caps }}' is a template that nothing rendered",
            "write the value itself; or render the template",
        ),
        (
            "ipc\tlock",
            "CAPSHIM_CAPS='ipc\\tlock' has a control character in it",
            "write the value again by hand",
        ),
    ] {
        refused(app().env("CAPSHIM_CAPS", value), 78, cause, hint);
    }
}

#[test]
fn empty_settings_are_refused_by_name() {
    let hint = "a template or variable came out empty: write a list; or none: CAPSHIM_CAPS=none";
    refused(app().env("CAPSHIM_CAPS", ""), 78, "CAPSHIM_CAPS='' is set but empty", hint);
    for name in ["CAPSHIM_GROUPS", "CAPSHIM_NO_NEW_PRIVS", "CAPSHIM_INIT", "CAPSHIM_LOG"] {
        let hint = "a template or variable came out empty: write a value; or leave the variable out";
        refused(app().env(name, ""), 78, &format!("{name}='' is set but empty"), hint);
    }
    let hint = "write the words with one comma between them; a template or variable may have come out empty";
    refused(
        app().env("CAPSHIM_CAPS", "ipc_lock,,kill"),
        78,
        "CAPSHIM_CAPS='ipc_lock,,kill' has an empty part in its list",
        hint,
    );
    app().capabilities(&GRANTED).env("CAPSHIM_CAPS", "ipc_lock, setuid").shim(&["/state"]).is_exactly(
        1000,
        1000,
        "29, 1000, 1001",
        "SETUID, IPC_LOCK",
    );
}

#[test]
fn unknown_settings_are_answered_with_the_nearest_one() {
    let hint = "the nearest one is CAPSHIM_CAPS; capshim --help lists them all";
    refused(app().env("CAPSHIM_CAP", "ipc_lock"), 78, "CAPSHIM_CAP is not a setting of this version", hint);
}

#[test]
fn capabilities_that_are_none_are_refused() {
    let list = "list the ones that the application needs: it gets exactly those";
    refused(app().env("CAPSHIM_CAPS", "all"), 78, "CAPSHIM_CAPS='all' asks for all capabilities", list);
    let near = "the nearest one is NET_RAW; capabilities(7) lists them all";
    refused(
        app().env("CAPSHIM_CAPS", "net_row"),
        78,
        "CAPSHIM_CAPS='net_row' has an unknown capability 'net_row'",
        near,
    );
    refused(
        app().env("CAPSHIM_CAPS", "none,kill"),
        78,
        "CAPSHIM_CAPS='none,kill' lists none beside capabilities",
        "write none alone; or leave none out of the list",
    );
    refused(
        app().env("CAPSHIM_CAPS", "kill,kill?"),
        78,
        "CAPSHIM_CAPS='kill,kill?' lists KILL with and without ?",
        "write it once: with ? if the application can do without; or without ? if it cannot",
    );
}

#[test]
fn words_that_are_no_value_are_refused() {
    refused(
        app().env("CAPSHIM_NO_NEW_PRIVS", "yes"),
        78,
        "CAPSHIM_NO_NEW_PRIVS='yes' is not 1 or 0",
        "write 1 or 0",
    );
    refused(
        app().env("CAPSHIM_LOG", "debug"),
        78,
        "CAPSHIM_LOG='debug' is not a log level",
        "write quiet, warn or info",
    );
    refused(
        app().env("CAPSHIM_INIT", "child"),
        78,
        "CAPSHIM_INIT='child' is not 1, 0 or group",
        "write 1, 0 or group",
    );
}

#[test]
fn a_setting_that_is_there_twice_is_refused() {
    let output = app().run(&["/launch", "--env", "CAPSHIM_USER=0", "--", "/capshim", "/state"]);
    output.refuses(
        78,
        "capshim: CAPSHIM_USER is set twice in the environment\n\
         capshim: hint: remove one of the two: runtimes and libc disagree on which one counts\n",
    );
}

#[test]
fn a_very_long_value_is_cut_in_the_message() {
    // One argument or variable can be 128 KiB at most (MAX_ARG_STRLEN, execve(2)).
    let output = app().env("CAPSHIM_CAPS", &"x".repeat(100_000)).shim(&["/state"]);
    assert_eq!(output.code, 78);
    assert!(output.stderr.len() < 600, "{}", output.stderr.len());
}

#[test]
fn wrong_command_lines_are_refused() {
    let entrypoint = "capshim: no COMMAND to run\ncapshim: hint: a pod's command: and a derived image's ENTRYPOINT discard the image's own: repeat the \
         image's ENTRYPOINT and CMD after capshim; docker image inspect -f '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' IMAGE prints them\n";
    app().run(&["/capshim"]).refuses(64, entrypoint);
    app().run(&["/capshim", "--"]).refuses(64, entrypoint);
    app().run(&["/capshim", ""]).refuses(64, "capshim: COMMAND is empty\ncapshim: hint: look for a variable or template before it that came out empty\n");
    app().run(&["/capshim", "--user=app", "/state"]).refuses(
        64,
        "capshim: unknown option '--user=app'\n\
         capshim: hint: settings are environment variables, see capshim --help; a COMMAND that begins with - goes after --\n",
    );
}

#[test]
fn help_and_version_need_no_settings_and_no_privileges() {
    for container in [Container::user(1000, 1000), Container::root(), Container::user(0, 0)] {
        let help = container.run(&["/capshim", "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        assert_eq!(help.stdout, include_str!("../../../src/settings/help.txt"));
    }
    let version = Container::user(1000, 1000).run(&["/capshim", "--version"]);
    assert_eq!((version.code, version.stdout), (0, format!("capshim {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_double_dash_ends_the_options() {
    app().run(&["/capshim", "--", "/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "none");
    let odd = app().copy("/state", "/bin/--help").run(&["/capshim", "--", "--help"]);
    odd.is_exactly(1000, 1000, "29, 1000, 1001", "none");
}
