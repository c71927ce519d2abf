//! The words of `--check`: what was granted, what was asked for, what a run would do.
//!
//! Pure: others observe and decide.
#![forbid(unsafe_code)]

use std::fmt::Display;

use nix::errno::Errno;

use crate::check::table::{Layout, Paint};
use crate::command::Found;
use crate::command::file::Effect;
use crate::hints;
use crate::model::caps::{self, CapSet};
use crate::model::credentials::{Credentials, Ids, OwnFile};
use crate::model::error::{Refusal, shown};
use crate::model::expected::Expected;
use crate::model::ids::Gid;
use crate::plan::init::{self, Forward};
use crate::plan::notes::Note;
use crate::plan::step::Step;
use crate::plan::{Plan, groups};
use crate::process::observe;
use crate::run::Prepared;
use crate::settings::groups::Inherited;
use crate::settings::{Config, names};

/// A longer list of groups is cut.
const MOST_GROUPS: usize = 64;

/// Facts that are reported although nothing depends on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Surroundings {
    /// PR_GET_SECCOMP: 0 means off, 2 means a filter.
    pub seccomp: Result<u32, Errno>,
    /// The ranges of /proc/self/uid_map: first uid inside, first uid in the parent namespace, count. `None`
    /// if it cannot be read.
    pub uid_map: Option<Vec<[i64; 3]>>,
    pub denies_setgroups: bool,
}

/// Reports what the runtime granted.
pub fn granted(to: &mut Layout, start: &Credentials, surroundings: &Surroundings) {
    let version = env!("CARGO_PKG_VERSION");
    to.painted(
        Paint::Bold,
        &format!("capshim {version}: what this container was granted, and what a run would do"),
    );
    to.title("granted");
    to.row("uid", ids(&start.uid));
    to.row("gid", ids(&start.gid));
    to.row("groups", all_groups(&start.groups));
    to.row("permitted", start.permitted);
    to.row("effective", unlike(start.permitted, start.effective));
    to.row("inheritable", unlike(start.permitted, start.inheritable));
    if start.has_ambient {
        to.row("ambient", unlike(start.permitted, start.ambient))
    } else {
        to.row("ambient", "this kernel or sandbox has no ambient capabilities")
    }
    to.row(
        "bounding",
        start.bounding.map_or("cannot be read".to_owned(), |set| unlike(start.permitted, set)),
    );
    to.row("no_new_privs", switch(start.no_new_privs));
    to.row("seccomp", seccomp(surroundings.seccomp));
    to.row("securebits", start.securebits);
    to.row("user namespace", user_namespace(surroundings));
    to.row("this program", start.own_file.as_ref().map_or("unknown".to_owned(), own_file));
}

/// Reports the settings as understood.
pub fn settings(to: &mut Layout, config: &Config, is_set: impl Fn(&str) -> bool) {
    to.title("settings");
    let user = config.user.as_ref().map(|user| shown(user.to_string().as_bytes()));
    for (name, value) in [
        (names::USER, user.unwrap_or("the one that the runtime gave".to_owned())),
        (names::CAPS, config.caps.to_string()),
        (names::GROUPS, shown(config.groups.to_string().as_bytes())),
        (names::NO_NEW_PRIVS, u8::from(config.no_new_privs).to_string()),
        (names::INIT, config.init.to_string()),
        (names::LOG, config.log.to_string()),
    ] {
        to.row(name, if is_set(name) { value } else { value + " (default)" });
    }
}

/// Reports settings that were not understood.
pub fn raw_settings<'a>(to: &mut Layout, entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    to.title("settings, as they stand");
    for (name, value) in entries {
        to.row(shown(name), format!("'{}'", shown(value)));
    }
}

/// Reports the plan.
pub fn plan(to: &mut Layout, prepared: &Prepared) {
    let Prepared { config, start, accounts, plan } = prepared;
    to.title("groups of the application");
    let expected = &plan.expected;
    let switches = start.uid.effective != expected.uid;
    let kept = expected
        .groups
        .iter()
        .map(|group| (group, groups::origin(*group, expected.gid, switches, config, accounts).to_owned()));
    let missing = start.groups.iter().filter(|group| expected.groups.binary_search(group).is_err());
    let dropped = missing.map(|group| match plan.dropped.iter().find(|dropped| dropped.gid == *group) {
        Some(dropped) => {
            let cure = groups::kept_by(*group, dropped.why, &config.groups);
            let cure = cure.map_or(String::new(), |cure| format!("; kept by {cure}"));
            (group, format!("dropped: {}{cure}", dropped.why))
        }
        None => (group, format!("dropped: {} does not list it", names::GROUPS)),
    });
    if expected.groups.is_empty() && start.groups.is_empty() {
        to.line("  none");
    }
    let mut rows = kept.chain(dropped);
    for (group, why) in rows.by_ref().take(MOST_GROUPS) {
        to.row(group, why);
    }
    match rows.count() {
        0 => {}
        more => to.row("and", format!("{more} more")),
    }
    if switches && config.groups.inherited == Inherited::Auto {
        for (file, doubt) in accounts.doubts.by_file() {
            to.row(file, format!("{doubt}: it does not say which groups are root's"));
        }
    }
    steps(to, plan);
}

fn steps(to: &mut Layout, plan: &Plan) {
    to.title("plan");
    let read_back = "read everything back and compare";
    let find = "find the command as this user, examine its file, execve";
    let Some(init) = &plan.init else {
        let number = items(to, 1, &plan.steps);
        to.item(number, read_back);
        to.item(number + 1, find);
        return;
    };
    let (before, childs) = init::split(&plan.steps);
    let number = items(to, 1, before);
    to.item(number, "fork; the child goes on here");
    let number = items(to, number + 1, childs);
    to.item(number, read_back);
    to.item(number + 1, format!("{find} when the parent has done the following"));

    to.title("plan of the parent, which stays as init");
    let number = items(to, 1, &init.parent);
    to.item(number, read_back);
    let number = items(to, number + 1, &init.then);
    to.item(
        number,
        "give the child a process group and, if there is one, the terminal; close all but 0 to 2",
    );
    let whom = match init.forward {
        Forward::Process => "process",
        Forward::Group => "process group",
    };
    to.item(
        number + 1,
        format!("let the child execute, forward signals to its {whom}, reap, end as it ends"),
    );
}

/// Adds steps to a numbered list. Returns the next number.
fn items(to: &mut Layout, mut number: usize, steps: &[Step]) -> usize {
    // All drops share one line: they are many and stand together.
    for alike in steps.chunk_by(|a, b| matches!((a, b), (Step::DropBounding(_), Step::DropBounding(_)))) {
        match alike {
            [step] => to.item(number, step),
            [first, ..] => {
                let names = alike.iter().filter_map(|step| match step {
                    Step::DropBounding(cap) => Some(caps::name(*cap)),
                    _ => None,
                });
                let names: Vec<String> = names.skip(1).collect();
                to.item(
                    format!("{number} to {}", number + alike.len() - 1),
                    format!("{first}, and so {}", names.join(", ")),
                );
            }
            [] => {}
        }
        number += alike.len();
    }
    number
}

/// Reports the command as the application's user finds it.
pub fn command(to: &mut Layout, name: &[u8], found: &Found) {
    let (path, holder) = (found.path.to_bytes(), found.effect.holder.to_bytes());
    to.title("command");
    to.row(shown(name), shown(path));
    if holder != path {
        to.row("run by", shown(holder));
    }
    let lost = found.effect.lost;
    let says = match &found.effect.caps {
        _ if found.effect.unread => {
            "are not known, as the file cannot be read; ambient may be cleared".to_owned()
        }
        None => "none, ambient stays".to_owned(),
        Some(caps) if caps.foreign => format!("{caps}; if it counts here, ambient is cleared"),
        Some(caps) if lost.is_empty() => format!("{caps}; ambient is cleared"),
        Some(caps) => {
            format!(
                "{caps}; ambient is cleared: the programs that it starts will not inherit {lost}, and it runs in secure mode (ld.so(8))"
            )
        }
    };
    to.row("file capabilities", says);
    to.row("", "programs that it executes are not examined: use --check -- /that/program");
}

/// Adds that exec itself was not tried.
pub fn untried(to: &mut Layout) {
    to.row(
        "execve",
        "not tried, as that takes ptrace(2) and two more processes: judged by the file alone, and not by \
         binfmt_misc, limits and security modules",
    );
}

fn outcome(to: &mut Layout) {
    to.first();
    to.title("outcome");
}

/// Reports that the application would start. A value that changes is shown before and after.
pub fn starts(
    to: &mut Layout,
    start: &Credentials,
    expected: &Expected,
    found: Option<&Found>,
    notes: &[Note],
) {
    outcome(to);
    to.painted(
        Paint::Green,
        match found {
            Some(_) => "  the application would start, with",
            None => "  an application would start, if it can be executed, with",
        },
    );
    let caps = expected.caps;
    to.row("uid", changes(start.uid.effective, expected.uid));
    to.row("gid", changes(start.gid.effective, expected.gid));
    to.row("groups", changes(all_groups(&start.groups), all_groups(&expected.groups)));
    to.row("permitted", changes(in_short(start.permitted), caps.to_string()));
    to.row("effective", changes(in_short(start.effective), caps.to_string()));
    to.row("inheritable", changes(in_short(start.inheritable), caps.to_string()));
    let unknown = |effect: &Effect| effect.unread || effect.caps.is_some_and(|caps| caps.foreign);
    let ambient = match found {
        Some(found) if unknown(&found.effect) && !caps.is_empty() => format!("{caps}, or none"),
        Some(found) => found.effect.ambient.to_string(),
        None => caps.to_string(),
    };
    to.row("ambient", changes(in_short(start.ambient), ambient));
    let bounding = match (start.bounding, expected.bounding.or(start.bounding)) {
        (Some(before), Some(after)) => changes(in_short(before), in_short(after)),
        (None, Some(after)) => in_short(after),
        (_, None) => "as granted".to_owned(),
    };
    to.row("bounding", bounding);
    to.row("no_new_privs", changes(switch(start.no_new_privs), switch(expected.no_new_privs)));
    for note in notes {
        match note {
            _ if note.is_warning() => to.row("warning", note),
            // Said above, by itself.
            Note::Becomes(_) | Note::GroupsDropped { .. } => {}
            _ => to.row("note", note),
        }
    }
}

/// Reports that the application would not start, and why.
pub fn refused(to: &mut Layout, refusal: &Refusal) {
    outcome(to);
    to.painted(Paint::Red, "  the application would not start");
    to.line(&format!("  cause: {}", refusal.cause));
    if let Some(hint) = refusal.hint_line() {
        to.line(&format!("  hint:  {hint}"));
    }
    to.line(&format!("  exit code {}", refusal.exit as u8));
}

/// Reports that no setting asks for anything.
pub fn nothing_set(to: &mut Layout) {
    outcome(to);
    to.line("  no CAPSHIM_ setting is there, so there is nothing to try; a run would be refused (78)");
    to.line("  hint:  set CAPSHIM_USER and CAPSHIM_CAPS as the application needs them, and check again");
}

/// Reports that a signal ended the attempt.
pub fn killed(to: &mut Layout, signal: i32) {
    outcome(to);
    to.painted(Paint::Red, &format!("  signal {signal} ended the attempt, and would end a run"));
    if signal == libc::SIGSYS {
        to.line(&format!(
            "  hint:  a seccomp filter kills for one of the calls of the plan: {}",
            hints::DEFAULT_PROFILE
        ));
    }
    to.line(&format!("  exit code {}", 128 + signal));
}

/// A value. If it changes, the old value comes before it.
fn changes<T: PartialEq + Display>(before: T, after: T) -> String {
    if before == after { after.to_string() } else { format!("{before} -> {after}") }
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// The set, or only its size if it is long.
fn in_short(set: CapSet) -> String {
    match set.numbers().count() {
        0..=LONG => set.to_string(),
        count => format!("{count} capabilities"),
    }
}

/// More capabilities than this are a long list.
const LONG: usize = 12;

/// The set, unless it is long and the same as permitted.
fn unlike(permitted: CapSet, set: CapSet) -> String {
    if set == permitted && set.numbers().count() > LONG { "as permitted".to_owned() } else { set.to_string() }
}

fn ids<T: Copy + PartialEq + Display>(ids: &Ids<T>) -> String {
    if ids.real == ids.effective && ids.saved == ids.effective {
        ids.effective.to_string()
    } else {
        format!("{ids} (real/effective/saved)")
    }
}

fn all_groups(groups: &[Gid]) -> String {
    let shown: Vec<String> = groups.iter().take(MOST_GROUPS).map(Gid::to_string).collect();
    match groups.len() {
        0 => "none".to_owned(),
        count if count > MOST_GROUPS => format!("{} and {} more", shown.join(", "), count - MOST_GROUPS),
        _ => shown.join(", "),
    }
}

fn seccomp(mode: Result<u32, Errno>) -> String {
    match mode {
        Ok(0) => "off".to_owned(),
        Ok(2) => "filter".to_owned(),
        Ok(mode) => format!("mode {mode}"),
        Err(errno) => format!("unknown, prctl(PR_GET_SECCOMP): {errno}"),
    }
}

fn user_namespace(surroundings: &Surroundings) -> String {
    let Some(ranges) = &surroundings.uid_map else {
        return "unknown, /proc/self/uid_map cannot be read".to_owned();
    };
    if *ranges == observe::WHOLE {
        return "the initial one, or one that maps every id to itself".to_owned();
    }
    let words = ranges.iter().map(|[inside, outside, count]| {
        let last = |first: &i64| first + count - 1;
        format!("uid {inside} to {} is {outside} to {} in its parent", last(inside), last(outside))
    });
    let denies = if surroundings.denies_setgroups { "; setgroups is denied" } else { "" };
    format!("its own: {}{denies}", words.collect::<Vec<_>>().join(", "))
}

fn own_file(file: &OwnFile) -> String {
    let caps = match &file.caps {
        Err(why) => format!("its file capabilities {why}"),
        Ok(None) => "no file capabilities".to_owned(),
        Ok(Some(caps)) if file.nosuid => format!("{caps} on a nosuid mount, where it does not count"),
        Ok(Some(caps)) => caps.to_string(),
    };
    format!("{}: {caps}", shown(&file.path))
}
