//! What the settings promise, checked on an application that ran, without the program's code:
//! a decision that is wrong in the prediction and in the binary alike shows here.

use std::collections::BTreeMap;

use crate::case::Case;

/// The promise that is broken.
pub fn broken(case: &Case, state: &BTreeMap<&'static str, String>) -> Option<String> {
    let set = |name: &str| u64::from_str_radix(&state[name], 16).expect("a capability set");
    let (permitted, (required, optional)) = (set("CapPrm"), case.caps.unwrap_or((0, 0)));
    let switches = case.uid == 0 && !matches!(case.user, Some("root" | "0" | "0:1000"));
    let groups: Vec<&str> = state["Groups"].split(' ').collect();
    let leaks = |gid: &&str| groups.contains(gid) && state["Gid"].split(' ').next() != Some(*gid);
    let promises = [
        ("every required capability", required & !permitted == 0),
        ("none beyond the request", permitted & !(required | optional) == 0),
        ("effective equals permitted", set("CapEff") == permitted),
        ("inheritable equals permitted", set("CapInh") == permitted),
        ("ambient equals permitted, or is lost", [0, permitted].contains(&set("CapAmb"))),
        ("no_new_privs as set", (state["NoNewPrivs"] == "1") == case.no_new_privs_setting.unwrap_or(true)),
        ("the user", uid(case).is_some_and(|uid| state["Uid"] == [uid.to_string().as_str(); 4].join(" "))),
        ("one gid", state["Gid"].split(' ').all(|gid| state["Gid"].starts_with(gid))),
        ("the written group", gid(case).is_none_or(|gid| state["Gid"].split(' ').next() == Some(gid))),
        ("the gid among the groups", !switches || state["Gid"].split(' ').all(|gid| groups.contains(&gid))),
        // Group 6 is root's by /etc/group, 0 always.
        (
            "no group of root's",
            !switches
                || !matches!(case.group_setting, None | Some("auto" | "auto,2000" | "auto,65534"))
                || !["0", "6"].iter().any(leaks),
        ),
    ];
    let broken = promises.into_iter().find(|(_, kept)| !kept);
    broken.map(|(promise, _)| format!("the application ran without this promise: {promise}\n{state:#?}"))
}

/// Who the application is to be; none where it may not run.
fn uid(case: &Case) -> Option<u32> {
    if case.uid != 0 {
        return Some(case.uid);
    }
    match case.user? {
        "app" | "1000" | "1000:1000" | "app:web" | "1000:0" | "1000:70000" | "app:1000" => Some(1000),
        "4242" | "4242:4242" => Some(4242),
        "other" => Some(1001),
        "70000:70000" => Some(70000),
        "root" | "0" | "0:1000" => Some(0),
        _ => None,
    }
}

/// The gid that the setting or /etc/passwd writes, where it counts.
fn gid(case: &Case) -> Option<&'static str> {
    match case.user.filter(|_| case.uid == 0)? {
        "app" | "1000" | "1000:1000" | "app:1000" | "0:1000" => Some("1000"),
        "app:web" => Some("1001"),
        "4242:4242" => Some("4242"),
        "70000:70000" | "1000:70000" => Some("70000"),
        "1000:0" | "other" | "root" | "0" => Some("0"),
        _ => None,
    }
}
