//! What `--check` says against what a run did: the same exit code and the same words for a
//! refusal, the same credentials for an application that ran.

use capshim::model::caps::CapSet;

use crate::perform::{FIELDS, NOT_EXECUTED, Seen};

/// What differs.
pub fn differs(run: &Seen, check: &Seen) -> Option<String> {
    let same = match run.code {
        // The kernel did not execute the shim either way.
        NOT_EXECUTED => check.code == NOT_EXECUTED,
        0 => check.code == 0 && check.stderr.is_empty() && outcome(run, &said(check)) == said(check),
        code => check.code == code && check.stderr.is_empty() && check.stdout.contains(&refusal(run)),
    };
    (!same).then(|| format!("--check: {check:#?}\nrun: {run:#?}"))
}

/// The outcome in the report on a start that was refused.
fn refusal(run: &Seen) -> String {
    let lines = run.stderr.lines().map(|line| match line.strip_prefix("capshim: hint: ") {
        Some(hint) => format!("  hint:  {hint}\n"),
        None => format!("  cause: {}\n", line.strip_prefix("capshim: ").unwrap_or(line)),
    });
    let lines: String = lines.collect();
    format!("\noutcome\n  the application would not start\n{lines}  exit code {}\n\ngranted\n", run.code)
}

/// The names in the report, in the order of `FIELDS`.
const NAMES: [&str; FIELDS.len()] =
    ["uid", "gid", "groups", "inheritable", "permitted", "effective", "bounding", "ambient", "no_new_privs"];

/// What the application held, in the report's words. Where a file's capabilities belong to
/// another user namespace, the report has to name two ambient sets: it is then one of them.
fn outcome(run: &Seen, said: &[String]) -> Vec<String> {
    let state = run.state();
    let words = |field: &str| {
        let value = &state[field];
        match field {
            "Uid" | "Gid" => value.split(' ').next().unwrap_or_default().to_owned(),
            "Groups" if value.is_empty() => "none".to_owned(),
            "Groups" => value.replace(' ', ", "),
            "NoNewPrivs" => if value == "1" { "on" } else { "off" }.to_owned(),
            _ => {
                let set = CapSet::from_bits(u64::from_str_radix(value, 16).expect("a set")).to_string();
                let either = field == "CapAmb"
                    && said[7].strip_suffix(", or none").is_some_and(|all| set == all || set == "none");
                if either { said[7].clone() } else { set }
            }
        }
    };
    FIELDS.into_iter().map(words).collect()
}

/// The same of the report's outcome.
fn said(check: &Seen) -> Vec<String> {
    let report = check.stdout.rsplit("\noutcome\n").next().unwrap_or_default();
    let rest = report.strip_prefix("  the application would start, with\n").unwrap_or_default();
    let rest = rest.split("\n\n").next().unwrap_or_default();
    let value = |name: &str| {
        let lines = rest.lines().skip_while(|line| !line.trim_start().starts_with(name));
        // A long value goes on below itself.
        let more = |(at, line): &(usize, &str)| *at == 0 || line.starts_with("        ");
        let lines = lines.enumerate().take_while(more).map(|(_, line)| line.trim()).collect::<Vec<_>>();
        let value = lines.join(" ").strip_prefix(name).unwrap_or_default().trim().to_owned();
        value.rsplit(" -> ").next().unwrap_or_default().to_owned()
    };
    NAMES.into_iter().map(value).collect()
}
