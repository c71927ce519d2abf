//! The table in docs/peers.md: what setpriv, capsh, gosu and capshim were seen to do. Each row
//! is observed by a test, which so keeps it from going stale.

use crate::harness::container::{Container, Output};
use crate::same::{run, with_peers};

const PAGE: &str = include_str!("../../docs/peers.md");

/// The rows of the page's table, without its head.
fn table() -> impl Iterator<Item = &'static str> {
    let rows = PAGE.lines().skip_while(|line| !line.starts_with("| case |")).skip(2);
    rows.take_while(|line| line.starts_with("| "))
}

/// The options that make each of them switch to the user app.
pub const SETPRIV: &str = "/setpriv --reuid=app --regid=app --init-groups";
pub const CAPSH: &str = "/capsh --user=app --shell=";

/// The same, and ask for IPC_LOCK.
pub const SETPRIV_LOCK: &str =
    "/setpriv --reuid=app --regid=app --init-groups --inh-caps=+ipc_lock --ambient-caps=+ipc_lock";
pub const CAPSH_LOCK: &str = "/capsh --keep=1 --user=app --inh=cap_ipc_lock --addamb=cap_ipc_lock --shell=";

/// What one of them was seen to do.
pub struct Outcome {
    pub words: String,
    /// The contract of capshim rules it out.
    pub wrong: bool,
}

pub fn right(words: impl Into<String>) -> Outcome {
    Outcome { words: words.into(), wrong: false }
}

pub fn wrong(words: impl Into<String>) -> Outcome {
    Outcome { words: words.into(), wrong: true }
}

/// The command did not run.
pub fn refused(output: &Output) -> Outcome {
    assert!(output.code != 0 && output.stdout.is_empty() && !output.stderr.is_empty(), "{}", output.stdout);
    right(format!("refused, exit {}", output.code))
}

/// Runs the lines of setpriv, capsh, gosu and capshim, where there is one, and compares what
/// came of them with the table's row. At least one of them is wrong, and never capshim.
#[track_caller]
pub fn row(case: &str, start: impl Fn() -> Container, judge: impl Fn(&Output) -> Outcome, lines: [&str; 4]) {
    let outcomes = lines.map(|line| match line {
        "" => right("–"),
        line => judge(&run(with_peers(start()), line)),
    });
    let [peers @ .., ours] = &outcomes;
    assert!(peers.iter().any(|peer| peer.wrong), "no peer is wrong");
    assert!(!ours.wrong, "capshim: {}", ours.words);
    let cells = outcomes.map(|cell| if cell.wrong { format!("**{}**", cell.words) } else { cell.words });
    let observed = format!("| {case} | {} |", cells.join(" | "));
    let prefix = format!("| {case} | ");
    let documented = table().find(|line| line.starts_with(&prefix)).unwrap_or("no such row");
    assert_eq!(observed, documented, "observed, and in docs/peers.md");
}

#[test]
fn every_row_of_the_table_is_observed() {
    let rows: Vec<&str> = table().filter_map(|line| line.split(" | ").next()).collect();
    assert!(rows.len() > 15, "{}", rows.len());
    let code = [include_str!("identity.rs"), include_str!("privileges.rs")].concat();
    for case in rows.iter().map(|row| row.trim_start_matches("| ")) {
        assert!(code.contains(&format!("\"{case}\",")), "no test observes: {case}");
    }
}
