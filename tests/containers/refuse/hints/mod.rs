//! For every hint: a container that is refused with it, and the start that succeeds when the
//! hint is done. Its words are performed as they stand, where they can be typed; what a
//! human has to do, a closure does. The other files have the cases.

mod commands;
mod files;
mod grants;
mod install;
mod kernel;
mod names;
mod places;
mod settings;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::harness::container::{Container, Output};
use crate::harness::perform::{perform, spellings};
use crate::harness::sources::sources;
use crate::harness::start::Start;
use crate::harness::starts::{GRANTED, GROUPS};

const KINDS: [&str; 3] = ["Reason::", "FileGaveNone::", "Unfit::"];

pub const STATE: [&str; 2] = ["/capshim", "/state"];

/// One way that a hint offers.
pub enum Way<'a> {
    /// By its words, in each spelling; and what then comes.
    Typed(&'a dyn Fn(&Output)),
    /// By what a human makes of these words; more than one where they are a choice.
    ByHand(&'a str, &'a [fn(Start) -> Start], &'a dyn Fn(&Output)),
}

/// Starts what `build` makes, which is refused with the hint of this place in the source, and
/// then once more for every way of the hint.
#[track_caller]
pub fn performs(site: &str, build: impl Fn() -> Start, ways: &[Way]) {
    let hint = hint(&build().run());
    begins(site, &hint);
    let offered: Vec<&str> = hint.split("; or ").collect();
    assert_eq!(offered.len(), ways.len(), "{hint}");
    for (words, way) in offered.into_iter().zip(ways) {
        // Shown where the test fails.
        println!("{site}: {words}");
        match way {
            Way::Typed(comes) => {
                for spelling in spellings(words) {
                    comes(&perform(build(), &spelling).run());
                }
            }
            Way::ByHand(begin, acts, comes) => {
                assert!(words.contains(begin), "{begin:?} is not in {words:?}");
                for act in *acts {
                    comes(&act(build()).run());
                }
            }
        }
    }
}

/// The hint is the one of this place.
#[track_caller]
fn begins(site: &str, hint: &str) {
    let opening = SITES.get(site).unwrap_or_else(|| panic!("there is no {site}"));
    assert!(hint.starts_with(opening), "{site}: {hint}");
    assert_eq!(hint.trim(), hint);
}

/// The one line of a refusal, or of a report.
#[track_caller]
pub fn hint(output: &Output) -> String {
    let said: Vec<&str> = output.stderr.lines().collect();
    if let [cause, hint] = said[..] {
        assert!(cause.starts_with("capshim: "), "{cause}");
        return hint.strip_prefix("capshim: hint: ").expect("a hint").to_owned();
    }
    let mut reported = output.stdout.lines().filter_map(|line| line.strip_prefix("  hint:  "));
    match (reported.next(), reported.next()) {
        (Some(hint), None) => hint.to_owned(),
        _ => panic!("not one hint in: {}{}", output.stdout, output.stderr),
    }
}

/// A root start of `/state` that is granted all that these tests ask for, without settings.
pub fn granted() -> Start {
    Start::new(Container::root().capabilities(&GRANTED), &STATE)
}

/// The same that is to become `app`.
pub fn app() -> Start {
    granted().env("CAPSHIM_USER", "app")
}

/// And asks for IPC_LOCK.
pub fn lock() -> Start {
    app().env("CAPSHIM_CAPS", "ipc_lock")
}

/// `app` with this in CAPSHIM_CAPS.
pub fn caps(value: &'static str) -> impl Fn() -> Start {
    move || app().env("CAPSHIM_CAPS", value)
}

/// It is `app`, without a capability.
pub fn as_app(output: &Output) {
    output.is_exactly(1000, 1000, GROUPS, "none");
}

/// It is `app` and has IPC_LOCK.
pub fn with_lock(output: &Output) {
    output.is_exactly(1000, 1000, GROUPS, "IPC_LOCK");
}

/// The application has exactly this.
pub fn exactly(uid: u32, gid: u32, groups: &str, capabilities: &str) -> impl Fn(&Output) {
    move |output| {
        output.is_exactly(uid, gid, groups, capabilities);
    }
}

/// The same where no_new_privs was to stay off.
pub fn without_no_new_privs(uid: u32, groups: &str, capabilities: &str) -> impl Fn(&Output) {
    move |output| {
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        let state = output.state();
        assert_eq!((state["uid"], state["gid"]), (uid.to_string().as_str(), uid.to_string().as_str()));
        assert_eq!((state["groups"], state["no_new_privs"]), (groups, "off"));
        let sets = ["inheritable", "permitted", "effective", "ambient"].map(|set| state[set]);
        assert_eq!(sets, [capabilities; 4]);
    }
}

/// The places in the source that make a hint, `folder/file::function`, where reasons are data
/// `folder/file::Reason`, or either with a number from 2 on, with the words that each begins with, as
/// far as they are literal.
static SITES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let mut sites = BTreeMap::new();
    for (path, text) in sources("src") {
        let file = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut count = BTreeMap::new();
        for (at, marker) in places(code) {
            let key = format!("{file}::{}", place(&code[..at]).expect("a function"));
            let number = count.entry(key.clone()).and_modify(|count| *count += 1).or_insert(1);
            let key = if *number == 1 { key } else { format!("{key} {number}") };
            sites.insert(key, opening(marker, &code[at + marker.len()..]));
        }
    }
    sites
});

/// Without comments and unit tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// In a refusal, and in a report as far as that is not a refusal's.
fn places(code: &str) -> Vec<(usize, &str)> {
    let mut places: Vec<_> = code.match_indices(".hint(").collect();
    let reported = code.match_indices("\"  hint:  ");
    places.extend(reported.filter(|(at, marker)| !code[at + marker.len()..].starts_with('{')));
    places.sort_unstable();
    places
}

/// The kind of reason whose arm ends this code, or the function that begins on a line of its own.
fn place(code: &str) -> Option<&str> {
    code.lines().rev().map(str::trim_start).find_map(|line| {
        let arm = KINDS.iter().find_map(|kind| line.strip_prefix(kind));
        let function = line.split_once("fn ").filter(|(before, _)| {
            before.split_whitespace().all(|word| word == "const" || word.starts_with("pub"))
        });
        arm.or(function.map(|(_, name)| name))?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    })
}

/// The beginning of a literal; in a report the place is in the middle of one.
fn opening(marker: &str, code: &str) -> String {
    let argument = code.trim_start();
    let argument = argument.strip_prefix("format!(").unwrap_or(argument).trim_start();
    let literal = if marker.ends_with(' ') { Some(code) } else { argument.strip_prefix('"') };
    literal.and_then(|words| words.split(['"', '{', '\\']).next()).unwrap_or_default().to_owned()
}

#[test]
fn every_place_that_makes_a_hint_has_a_test_that_performs_it() {
    let tests: String = sources("tests/containers").into_iter().map(|(_, text)| text).collect();
    let named = tests.match_indices("performs").filter_map(|(at, _)| {
        let (_, arguments) = tests[at..].split_once('(')?;
        arguments.trim_start().strip_prefix('"')?.split('"').next()
    });
    let performed: BTreeSet<&str> = named.filter(|site| site.contains("::")).collect();
    let there: BTreeSet<&str> = SITES.keys().map(String::as_str).collect();
    assert!(there.len() > 60, "{there:?}");
    // No other place makes one, or writes more than one way in a piece.
    for word in ["ways: vec![", "; or "] {
        let makers = sources("src").into_iter().filter(|(_, text)| code(text).contains(word));
        assert_eq!(makers.map(|(path, _)| path).collect::<Vec<_>>(), ["model/error.rs"], "{word}");
    }
    let missing: Vec<_> = there.difference(&performed).collect();
    let stale: Vec<_> = performed.difference(&there).collect();
    assert!(missing.is_empty() && stale.is_empty(), "no test: {missing:?}\nno such place: {stale:?}");
}
