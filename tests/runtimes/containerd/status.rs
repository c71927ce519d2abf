//! /proc/PID/status (proc_pid_status(5)) in the words that /state has for the same.

use caps::Capability;

use crate::container::Output;

/// What a container that printed its own status left behind, in these words.
#[track_caller]
pub fn described(output: Output) -> Output {
    assert_eq!(output.code, 0, "{}", output.stderr);
    Output { stdout: in_words(&output.stdout), ..output }
}

pub fn in_words(status: &str) -> String {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":"));
        line.unwrap_or_else(|| panic!("no {name} in:\n{status}")).trim()
    };
    let on = |name: &str| if field(name) == "0" { "off" } else { "on" };
    let groups: Vec<&str> = field("Groups").split_whitespace().collect();
    let mut words =
        format!("uid: {}\ngid: {}\ngroups: {}\n", ids(field("Uid")), ids(field("Gid")), listed(groups));
    for (name, set) in [
        ("inheritable", "CapInh"),
        ("permitted", "CapPrm"),
        ("effective", "CapEff"),
        ("bounding", "CapBnd"),
        ("ambient", "CapAmb"),
    ] {
        words += &format!("{name}: {}\n", named(field(set)));
    }
    words + &format!("no_new_privs: {}\nseccomp: {}\n", on("NoNewPrivs"), on("Seccomp"))
}

/// Real, effective and saved: one number where they are equal.
fn ids(field: &str) -> String {
    let three: Vec<&str> = field.split_whitespace().take(3).collect();
    if three.iter().all(|id| *id == three[0]) { three[0].to_owned() } else { three.join("/") }
}

fn named(mask: &str) -> String {
    let mask = u64::from_str_radix(mask, 16).expect("a mask");
    let mut held: Vec<Capability> = caps::all().into_iter().filter(|cap| mask & cap.bitmask() != 0).collect();
    held.sort_by_key(Capability::index);
    let names: Vec<String> = held.iter().map(|cap| cap.to_string().replace("CAP_", "")).collect();
    listed(names.iter().map(String::as_str).collect())
}

fn listed(words: Vec<&str>) -> String {
    if words.is_empty() { "none".into() } else { words.join(", ") }
}
