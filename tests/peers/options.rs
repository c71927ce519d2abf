//! docs/from-others.md: no option of another tool is missing there, and where capshim does
//! something else, it is so.

use std::collections::BTreeSet;
use std::process::Command;

use crate::harness::container::{Container, find, guard};
use crate::harness::starts::{GRANTED, app};

const PAGE: &str = include_str!("../../docs/from-others.md");

/// Options, and variables of the tool's own, in the first cells of a section's table.
fn documented(tool: &str) -> BTreeSet<String> {
    let section = PAGE.split(&format!("\n## {tool}")).nth(1).unwrap_or_else(|| panic!("no section {tool}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.filter_map(|row| row.trim_start_matches("| ").split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// What a tool prints about itself, wherever it does so.
fn help(program: &str, option: &str) -> String {
    let output = Command::new(find(program).expect(program)).arg(option).output().expect(program);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The options at the beginnings of the help's lines.
fn options(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = lines.flat_map(|line| {
        let words = line.split([',', ' ']).filter(|word| !word.is_empty());
        words.take_while(|word| word.starts_with('-')).map(|word| word.trim_end_matches(':').to_owned())
    });
    words.collect()
}

/// The names of variables that stand in the program itself.
fn variables(program: &str, prefix: &str) -> BTreeSet<String> {
    let file = std::fs::read(find(program).expect(program)).expect(program);
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    let words = file.split(|byte| !is_name(byte)).filter(|word| word.starts_with(prefix.as_bytes()));
    let words = words.map(|word| String::from_utf8(word.to_vec()).expect("text"));
    words.filter(|word| word.len() > prefix.len() && !word.ends_with('_')).collect()
}

#[test]
fn each_option_of_the_tools_is_in_the_table() {
    guard();
    let catatonit = help("catatonit", "-h");
    let letters = catatonit.split(['[', ']']).nth(1).expect("letters").trim_start_matches('-').chars();
    let catatonit: BTreeSet<String> = letters.map(|letter| format!("-{letter}")).collect();
    let none = BTreeSet::new;
    let gosu = ["-h", "--help", "-v", "--version"]
        .into_iter()
        .filter(|option| !help("gosu", option).contains("error:"));
    for (section, options, variables, more) in [
        ("tini", options(&help("tini", "-h")), variables("tini", "TINI_"), &[][..]),
        ("dumb-init", options(&help("dumb-init", "--help")), variables("dumb-init", "DUMB_INIT_"), &[]),
        // Its usage has letters alone, and the second one is no variable of its own.
        ("catatonit", catatonit, variables("catatonit", "CATATONIT_"), &["--version", "LISTEN_PID"]),
        ("gosu and su-exec", gosu.map(str::to_owned).collect(), variables("gosu", "GOSU_"), &[]),
        // The manual has the first one, and newer manuals the others.
        (
            "setpriv",
            options(&help("setpriv", "--help")),
            none(),
            &["--list-caps", "--ptracer", "--landlock-access", "--landlock-rule", "--seccomp-filter"],
        ),
    ] {
        let theirs: BTreeSet<String> = options.into_iter().chain(variables).collect();
        assert!(theirs.len() > 3, "{section}: {theirs:?}");
        let documented = documented(section);
        let missing: Vec<_> = theirs.difference(&documented).collect();
        assert_eq!(missing, Vec::<&String>::new(), "{section}");
        let unknown: Vec<_> =
            documented.difference(&theirs).filter(|option| !more.contains(&option.as_str())).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "{section}");
    }
}

/// The second cell of a line of the short table, the words of which are run.
fn instead_of(first: &str) -> &'static str {
    let line = PAGE
        .lines()
        .find(|line| line.starts_with(&format!("| `{first}")))
        .unwrap_or_else(|| panic!("no {first}"));
    line.trim_end_matches(" |").rsplit(" | ").next().expect("a cell")
}

fn with_variables(start: Container, words: &str) -> Container {
    let words = words.split([' ', '`']).filter_map(|word| word.split_once('='));
    words
        .filter(|(name, _)| name.starts_with("CAPSHIM_"))
        .fold(start, |start, (name, value)| start.env(name, value))
}

#[test]
fn each_line_of_the_short_table_starts_the_application() {
    let script = "/state; echo parent: $PPID";
    let command = ["/capshim", "/bin/sh", "-c", script];
    for (first, parent, held) in [
        ("ENTRYPOINT [\"tini\", \"--\"]", "1", "none"),
        ("ENTRYPOINT [\"dumb-init\"]", "1", "none"),
        ("gosu app my-server", "0", "none"),
        ("tini -- gosu app my-server", "1", "none"),
        ("setpriv --reuid=app", "0", "IPC_LOCK"),
    ] {
        let words = instead_of(first);
        assert!(words.contains("/capshim"), "{words}");
        // An image's lines name no user: the runtime does, or the manifest.
        let starts = if words.contains("ENTRYPOINT") {
            vec![Container::user(1000, 1000), app()]
        } else {
            vec![Container::root().capabilities(&GRANTED)]
        };
        for start in starts {
            let output = with_variables(start, words).run(&command);
            let state = output.state();
            assert_eq!(
                (state["uid"], state["ambient"], state["parent"]),
                ("1000", held, parent),
                "{first}: {}",
                output.stderr
            );
        }
    }
}
