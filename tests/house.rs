//! Who imports whom in src, as a table: folders import downwards only, no module is in a circle,
//! and the pure ones make no system call.

#[path = "containers/harness/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::sources;

/// From the ground up: each room, whether it is pure, and the rooms that it may import.
const ROOMS: [(&str, bool, &[&str]); 12] = [
    ("model", true, &[]),
    ("settings", true, &["model"]),
    ("accounts", true, &["model", "settings"]),
    ("hints", true, &["model", "settings"]),
    ("plan", true, &["model", "settings", "accounts", "hints"]),
    ("system", false, &["model"]),
    ("process", false, &["model", "hints", "plan", "system"]),
    ("command", false, &["model", "settings", "hints", "plan", "system", "process"]),
    ("init", false, &["model", "accounts", "plan", "system", "process"]),
    ("run", false, &["model", "settings", "accounts", "plan", "system", "process", "init"]),
    ("install", false, &["model", "hints", "plan", "system", "process"]),
    (
        "check",
        false,
        &["model", "settings", "accounts", "hints", "plan", "system", "process", "command", "run"],
    ),
];

/// Modules and what each imports of the project, without its tests.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let texts: BTreeMap<String, String> = sources("src")
        .into_iter()
        .filter(|(path, _)| !matches!(path.as_str(), "lib.rs" | "main.rs"))
        .map(|(path, text)| (module(&path), text))
        .collect();
    let modules: BTreeSet<String> = texts.keys().cloned().collect();
    let of = |text: &str| -> BTreeSet<String> {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let uses = code.split("\nuse crate::").skip(1).filter_map(|rest| rest.split(';').next());
        uses.flat_map(paths).map(|path| nearest(&path, &modules)).collect()
    };
    texts.iter().map(|(name, text)| (name.clone(), of(text))).collect()
}

/// `plan/mod.rs` and `plan.rs` are `plan`.
fn module(path: &str) -> String {
    let path = path.trim_end_matches(".rs");
    path.strip_suffix("/mod").unwrap_or(path).replace('/', "::")
}

/// What stands after `use crate::`, each path by itself.
fn paths(text: &str) -> Vec<String> {
    let text: String = text.split_whitespace().collect();
    match text.split_once('{') {
        None => vec![text],
        Some((before, within)) => {
            assert!(!within.contains('{'), "one pair of braces is enough: {text}");
            let items = within.trim_end_matches('}').split(',').filter(|item| !item.is_empty());
            items.map(|item| format!("{before}{}", item.replace("self", ""))).collect()
        }
    }
}

/// The module that a path leads to or into.
fn nearest(path: &str, modules: &BTreeSet<String>) -> String {
    let mut path = path.trim_end_matches("::");
    while !modules.contains(path) {
        path = path.rsplit_once("::").unwrap_or_else(|| panic!("no module in {path}")).0;
    }
    path.to_owned()
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

#[test]
fn each_room_imports_what_the_table_lets_it() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.iter().map(|(name, _, may)| (*name, *may)).collect();
    for (module, imports) in imports() {
        let may = rooms.get(room(&module)).unwrap_or_else(|| panic!("{module} is in no room"));
        for import in imports {
            assert!(
                room(&import) == room(&module) || may.contains(&room(&import)),
                "{module} imports {import}"
            );
        }
    }
}

/// So that the imports tell all.
#[test]
fn what_is_imported_is_named_at_the_top() {
    for (path, text) in sources("src") {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines =
            code.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains("$crate::"));
        let inline = lines.filter(|line| line.contains("crate::") && !line.starts_with("use "));
        assert_eq!(inline.collect::<Vec<_>>(), Vec::<&str>::new(), "{path}");
    }
}

#[test]
fn the_rooms_are_ordered() {
    for (place, (room, pure, may)) in ROOMS.iter().enumerate() {
        for below in *may {
            let found = ROOMS[..place].iter().find(|(name, ..)| name == below);
            let (_, is_pure, _) =
                found.unwrap_or_else(|| panic!("{room} imports {below}, which is not below it"));
            assert!(!pure || *is_pure, "{room} is pure and imports {below}");
        }
    }
}

#[test]
fn no_module_is_in_a_circle() {
    let mut left = imports();
    while !left.is_empty() {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, imports| imports.iter().any(|import| names.contains(import)));
        assert!(left.len() < before, "circles among {:?}", left.keys().collect::<Vec<_>>());
    }
}

#[test]
fn a_pure_room_makes_no_system_call() {
    for (path, text) in sources("src") {
        let name = module(&path);
        if !ROOMS.iter().any(|(room_name, pure, _)| *pure && *room_name == room(&name)) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in [
            "nix::",
            "libc::",
            "std::fs",
            "std::process",
            "std::env::",
            "std::os::fd",
            "std::net",
            "std::thread",
        ] {
            let allowed = ["nix::errno", "libc::SIG", "libc::S_"];
            let calls = code
                .match_indices(word)
                .filter(|(at, _)| !allowed.iter().any(|ok| code[*at..].starts_with(ok)));
            assert_eq!(calls.count(), 0, "{path} has {word}");
        }
    }
}
