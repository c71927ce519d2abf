//! docs/starts.svg: which start fits, drawn from the table in docs/approaches.md. docs/steps.svg: the
//! steps of a root start, drawn from the plan that the program makes.
//!
//!     UPDATE_DOCS=1 cargo test --test pictures

use std::fs;
use std::path::Path;

use capshim::accounts::entries::Accounts;
use capshim::model::caps::{Cap, CapSet};
use capshim::model::credentials::{Credentials, Ids, OverflowGid, Securebits};
use capshim::model::ids::{Gid, Uid};
use capshim::plan;
use capshim::settings::Config;

const WIDTH: usize = 860;
/// Of one line of text, and of one character (13 px, monospace).
const LINE: usize = 20;
const CHARACTER: usize = 8;

/// Colours that can be read on light and on dark ground.
const STYLE: &str = "text{font:13px monospace;fill:#777}.title{font-weight:bold;fill:#38d}.then{fill:#2a2;font-weight:bold}\
    rect{fill:none;stroke:#999}path{stroke:#999;fill:none}";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The file has this content, or gets it where that is asked for.
fn is_drawn(path: &str, body: &str, height: usize) {
    let drawn = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n{body}</svg>\n"
    );
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &drawn).expect(path);
    }
    assert_eq!(read(path), drawn);
}

fn text(x: usize, y: usize, class: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{words}</text>\n")
}

/// Lines of at most this many characters.
fn wrapped(words: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let line = lines.last_mut().expect("a line");
        if line.is_empty() || line.len() + 1 + word.len() <= most {
            *line += if line.is_empty() { "" } else { " " };
            *line += word;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A cell as it reads: without links and marks.
fn plain(cell: &str) -> String {
    let mut plain = String::new();
    let mut rest = cell;
    while let Some((before, link)) = rest.split_once("](") {
        plain += &before.replace('[', "");
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    (plain + rest).replace('`', "").trim().to_owned()
}

#[test]
fn the_picture_of_the_starts_is_the_table() {
    let page = read("docs/approaches.md");
    let table = page.split("## The least that you must do").nth(1).expect("the section");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows: Vec<Vec<String>> = rows
        .take_while(|line| !line.contains("capshim from an"))
        .map(|row| row.split('|').skip(1).take(3).map(plain).collect())
        .collect();
    assert!(rows.len() >= 5, "{rows:?}");
    let (left, right, gap) = (400, 380, 60);
    let mut body = String::new();
    let mut top = 10;
    for (at, row) in rows.iter().enumerate() {
        let question = wrapped(&row[0], (left - 20) / CHARACTER);
        let mut answer = wrapped(&row[1], (right - 20) / CHARACTER);
        let first = answer.len();
        answer.extend(wrapped(&row[2], (right - 20) / CHARACTER));
        let high = question.len().max(answer.len()) * LINE + 16;
        for (x, width) in [(10, left), (10 + left + gap, right)] {
            body += &format!("<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{high}\" rx=\"4\"/>\n");
        }
        for (line, words) in question.iter().enumerate() {
            body += &text(20, top + 20 + line * LINE, "title", words);
        }
        for (line, words) in answer.iter().enumerate() {
            let class = if line < first { "then" } else { "" };
            body += &text(20 + left + gap, top + 20 + line * LINE, class, words);
        }
        let middle = top + high / 2;
        body += &format!("<path d=\"M{} {middle}h{gap}m-7 -4l7 4l-7 4\"/>\n", 10 + left);
        body += &text(22 + left, middle - 6, "", "yes");
        top += high;
        if at + 1 < rows.len() {
            body += &format!("<path d=\"M200 {top}v30m-4 -7l4 7l4 -7\"/>\n");
            body += &text(210, top + 20, "", "no");
        }
        top += 30;
    }
    is_drawn("docs/starts.svg", &body, top - 10);
}

#[test]
fn the_picture_of_the_steps_is_the_plan() {
    let granted = CapSet::of(&[Cap::CAP_IPC_LOCK, Cap::CAP_SETUID, Cap::CAP_SETGID, Cap::CAP_SETPCAP]);
    let start = Credentials {
        uid: Ids::all(Uid::ROOT),
        gid: Ids::all(Gid::ROOT),
        groups: vec![Gid::ROOT],
        permitted: granted,
        effective: granted,
        inheritable: CapSet::EMPTY,
        ambient: CapSet::EMPTY,
        no_new_privs: false,
        securebits: Securebits::default(),
        has_ambient: true,
        bounding: Some(granted),
        own_file: None,
        overflow_gid: OverflowGid::Unknown,
    };
    let config = Config::parse(&[c"CAPSHIM_USER=1000:1000", c"CAPSHIM_CAPS=ipc_lock"]).expect("settings");
    let accounts = Accounts::users(start.uid.effective, config.user.as_ref(), &b""[..]).expect("no users");
    let plan = plan::plan(&config, &start, &accounts).expect("a plan");
    let mut body =
        text(10, 22, "title", "started by the runtime: uid 0, granted IPC_LOCK, SETUID, SETGID, SETPCAP");
    let mut top = 34;
    let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
    let last =
        ["read everything back and compare", "find the command as this user, examine its file", "execve"];
    for (at, step) in steps.iter().map(String::as_str).chain(last).enumerate() {
        body += &format!("<rect x=\"10\" y=\"{top}\" width=\"620\" height=\"28\" rx=\"4\"/>\n");
        body += &text(20, top + 19, "", &format!("{:>2}. {step}", at + 1));
        let said = match step {
            _ if step.starts_with("setresuid") => "from here on uid 1000",
            _ if step.contains("AMBIENT_RAISE") => "survives exec",
            _ if step.contains("NO_NEW_PRIVS") => "nothing is regained",
            "read everything back and compare" => "or the start ends",
            "execve" => "capshim is gone",
            _ => "",
        };
        body += &text(645, top + 19, "then", said);
        top += 28;
        if at + 1 < steps.len() + last.len() {
            body += &format!("<path d=\"M40 {top}v12m-4 -6l4 6l4 -6\"/>\n");
        }
        top += 12;
    }
    is_drawn("docs/steps.svg", &body, top);
}
