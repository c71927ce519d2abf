//! The documents say what the program does: README, --help and the source name the same
//! variables, defaults and exit codes, and every test that a document names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use capshim::model::caps::CapSet;
use capshim::model::error::Exit;
use capshim::settings::arguments::HELP;
use capshim::settings::capabilities::Request;
use capshim::settings::names::SETTINGS;

use sources::sources;

#[path = "containers/harness/sources.rs"]
mod sources;

const EXITS: [Exit; 6] =
    [Exit::Usage, Exit::System, Exit::NotGranted, Exit::Setting, Exit::CannotExecute, Exit::NotFound];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a document says under a title of the second level.
#[track_caller]
fn under<'a>(text: &'a str, title: &str) -> &'a str {
    let after = text.split_once(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no section {title}"));
    after.1.split("\n## ").next().unwrap_or_default()
}

/// The cells of every table row whose first cell begins with this.
fn rows(text: &str, prefix: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells =
        rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect());
    cells.filter(|cells: &Vec<String>| cells[0].starts_with(prefix)).collect()
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

/// The sources below these folders, one after the other.
fn texts(folders: &[&str]) -> String {
    folders.iter().flat_map(|folder| sources(folder)).map(|(_, text)| text).collect()
}

#[test]
fn readme_fits_a_short_read() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "{lines} lines");
}

#[test]
fn the_reference_has_the_settings_of_the_readme() {
    let [readme, reference] = ["README.md", "docs/reference.md"].map(read);
    assert_eq!(rows(under(&readme, "Settings"), ""), rows(under(&reference, "Settings"), ""));
}

#[test]
fn readme_and_help_list_the_settings_with_their_defaults() {
    let documented = rows(&read("README.md"), "`CAPSHIM_");
    let names: BTreeSet<String> = documented.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    let settings: BTreeSet<String> = SETTINGS.iter().map(|name| name.to_string()).collect();
    assert_eq!(names, settings);
    let variables = HELP.split("variables:").nth(1).expect("the section");
    let help = variables.split_whitespace().collect::<Vec<_>>().join(" ");
    for row in &documented {
        let name = row[0].trim_matches('`');
        let at = help.find(name).unwrap_or_else(|| panic!("{name} is not in --help"));
        let entry = help[at + name.len()..].split(" CAPSHIM_").next().unwrap_or_default();
        let default = match row[2].as_str() {
            required if required.contains("required") => "required when started as root".to_owned(),
            default => format!("(default: {})", default.trim_matches('`')),
        };
        assert!(entry.contains(&default), "{name}: {default:?} is not in {entry:?}");
        // The words that a value can be, those in backquotes, are named by both.
        for word in row[1].split('`').skip(1).step_by(2).filter(|word| !matches!(*word, "CAP_")) {
            assert!(entry.contains(word), "{name}: --help does not name {word}");
        }
    }
}

#[test]
fn readme_and_help_list_the_exit_codes_with_the_same_words() {
    let readme = read("README.md");
    let section = under(&readme, "Exit codes");
    for exit in EXITS {
        let code = exit as u8;
        let row = rows(section, &code.to_string()).pop().unwrap_or_else(|| panic!("{code} is not in README"));
        let line = HELP.lines().find(|line| line.trim_start().starts_with(&code.to_string()));
        let meaning = line.and_then(|line| line.trim().split_once(' ')).map(|(_, meaning)| meaning.trim());
        assert_eq!(meaning, Some(row[1].as_str()), "{code}");
    }
    let codes = rows(section, "").iter().filter(|row| row[0].parse::<u8>().is_ok()).count();
    assert_eq!(codes, EXITS.len());
}

/// The text of a section of the manual page, and what each of its items begins with and says,
/// without mdoc(7)'s macros.
fn section(manual: &str, name: &str) -> Vec<(String, String)> {
    let macros = ["Ar", "Dv", "Ev", "Fl", "It", "Op", "Pa", "Pp", "Pq", "Ql", "Xr"];
    let plain = |line: &str| {
        let words = line.trim_start_matches('.').split(' ').filter(|word| !macros.contains(word));
        words.collect::<Vec<_>>().join(" ").replace("?\\&", "?").replace("Bl -tag -width Ds", "")
    };
    let at = manual.find(&format!(".Sh {name}\n")).unwrap_or_else(|| panic!("no section {name}"));
    let text = manual[at + 1..].split("\n.Sh ").next().unwrap_or_default();
    let items = text.split("\n.It ").skip(1).map(|item| item.split("\n.El").next().unwrap_or_default());
    items
        .map(|item| {
            let (title, text) = item.split_once('\n').unwrap_or((item, ""));
            (plain(title), text.lines().map(plain).collect::<Vec<_>>().join(" "))
        })
        .collect()
}

#[test]
fn the_manual_has_its_sections_in_the_usual_order() {
    let manual = read("docs/capshim.8");
    let sections: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix(".Sh ")).collect();
    let usual =
        ["NAME", "SYNOPSIS", "DESCRIPTION", "VARIABLES", "STARTS", "EXIT STATUS", "EXAMPLES", "NOTES"];
    assert_eq!(sections, [&usual[..], &["SEE ALSO"]].concat());
}

#[test]
fn the_manual_lists_the_settings_with_the_values_and_defaults_of_the_readme() {
    let variables = section(&read("docs/capshim.8"), "VARIABLES");
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, SETTINGS);
    for row in rows(&read("README.md"), "`CAPSHIM_") {
        let name = row[0].trim_matches('`');
        let (_, entry) = variables.iter().find(|(variable, _)| variable == name).expect(name);
        let default = match row[2].as_str() {
            required if required.contains("required") => "Required when started as root".to_owned(),
            default => format!("default: {}", default.trim_matches('`')),
        };
        assert!(entry.contains(&default), "{name}: {default:?} is not in {entry:?}");
        for word in row[1].split('`').skip(1).step_by(2) {
            assert!(entry.contains(word), "{name}: the manual does not name {word}");
        }
    }
}

#[test]
fn the_manual_lists_exit_codes_as_the_readme_does_and_starts_as_the_reference() {
    let [manual, readme, reference] = ["docs/capshim.8", "README.md", "docs/reference.md"].map(read);
    let codes = rows(under(&readme, "Exit codes"), "");
    let codes: Vec<_> = codes[1..].iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(section(&manual, "EXIT STATUS"), codes);

    let starts = rows(under(&reference, "How a container may start it"), "**");
    let starts: Vec<_> = starts.iter().map(|row| row[0].split("**").nth(1).expect("a start")).collect();
    let described = section(&manual, "STARTS");
    assert_eq!(described.iter().map(|(start, _)| start.as_str()).collect::<Vec<_>>(), starts);
}

#[test]
fn the_manual_has_the_options_of_the_help() {
    let help = HELP.split("variables:").next().expect("the usage");
    let usage: BTreeSet<&str> =
        help.split([' ', '[', ']', '\n']).filter(|word| word.starts_with("--")).collect();
    let manual = read("docs/capshim.8");
    let synopsis = manual.split(".Sh DESCRIPTION").next().expect("the synopsis");
    let ends = |letter: char| !(letter.is_ascii_lowercase() || letter == '-');
    let options = synopsis.split("Fl -").skip(1).map(|rest| rest.split(ends).next().unwrap_or_default());
    let options: BTreeSet<String> = options.map(|option| format!("--{option}")).collect();
    let plain: BTreeSet<String> = usage.iter().map(|option| option.to_string()).collect();
    assert_eq!(options, plain);
    let described = section(&manual, "DESCRIPTION");
    for option in options.iter().filter(|option| *option != "--") {
        let option = option.trim_start_matches('-');
        assert!(described.iter().any(|(title, _)| title.contains(option)), "{option}");
    }
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let code = texts(&["tests", "src"]);
    let peers = read("docs/peers.md");
    let faults = under(&peers, "Faults of others, and the test that keeps each out of here");
    let mut seen = 0;
    for row in faults.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault")) {
        let tests = row.rsplit(" | ").next().unwrap_or_default();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test in: {row}");
        for name in names {
            assert!(code.contains(&format!("fn {name}()")), "there is no test {name}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    // Elsewhere a test is known by its many words.
    let documents =
        ["peers", "approaches", "runtimes", "troubleshooting", "from-others", "image-volume", "rollout"];
    for document in documents {
        let text = read(&format!("docs/{document}.md"));
        let named = names_of_tests(&text);
        assert!(named.len() > 2, "{document}: {named:?}");
        for name in named {
            assert!(code.contains(&format!("fn {name}()")), "{document}: there is no test {name}");
        }
    }
}

/// Words in backquotes with more underscores than a capability's name has.
fn names_of_tests(text: &str) -> Vec<&str> {
    let words = text.split('`').skip(1).step_by(2);
    let is_name = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    words
        .filter(|word| word.matches('_').count() > 2 && is_name(word) && word.to_lowercase() == **word)
        .collect()
}

#[test]
fn what_the_guides_say_of_others_is_a_tests_or_quoted() {
    let guides = [("troubleshooting", "| words | "), ("from-others", "| option or variable | ")];
    for (guide, header) in guides {
        let text = read(&format!("docs/{guide}.md"));
        let tables: Vec<&str> =
            text.split(header).skip(1).map(|table| table.split("\n\n").next().expect("rows")).collect();
        assert!(!tables.is_empty(), "{guide}");
        for row in tables.iter().flat_map(|table| table.lines().skip(2)) {
            let source = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
            assert!(source.contains("quoted") || !names_of_tests(source).is_empty(), "{guide}: {row}");
        }
    }
}

#[test]
fn every_image_of_capshim_is_named_with_this_version() {
    let folders = [".", "docs", "examples", "examples/kubernetes", "examples/kubernetes/kustomize/component"];
    let all = folders.iter().flat_map(|folder| files(folder, ""));
    let (mut seen, tag) = (0, format!(":{}", env!("CARGO_PKG_VERSION")));
    for path in all.filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for before in ["--from=capshim", "image: capshim", "FROM capshim", "reference: capshim"] {
            for rest in text.split(before).skip(1) {
                let end = rest.strip_prefix("-caps").unwrap_or(rest);
                let end = end.strip_prefix(&tag).unwrap_or_else(|| panic!("{}: {before}", path.display()));
                assert!(end.starts_with([' ', '\n']), "{}: {before}{tag}{end:.20}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "{seen}");
}

#[test]
fn every_image_in_a_policy_and_of_a_volume_is_named_with_this_version() {
    let folders = ["docs", "examples/kubernetes/admission", "examples/kubernetes/kustomize/image-volume"];
    let (mut seen, tag) = (0, env!("CARGO_PKG_VERSION"));
    for path in folders.iter().flat_map(|folder| files(folder, "")) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for before in ["capshim-caps:", "\"capshim:"] {
            for rest in text.split(before).skip(1) {
                assert!(rest.starts_with(tag), "{}: {before}{rest:.10}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 4, "{seen}");
}

#[test]
fn the_page_on_the_label_lists_what_the_image_carries() {
    let page = read("docs/admission.md");
    let list = page.split("\nThe image carries ").nth(1).and_then(|rest| rest.split('.').next());
    let ends = |letter: char| !(letter.is_ascii_uppercase() || letter == '_');
    let listed: Vec<&str> = list.expect("a list").split(ends).filter(|word| !word.is_empty()).collect();
    let carried = read("scripts/caps.txt").to_uppercase();
    assert_eq!(listed, carried.lines().collect::<Vec<_>>());
}

#[test]
fn the_second_image_carries_what_its_page_lists_and_nothing_that_can_be_turned_into_root() {
    let carried: Vec<String> =
        include_str!("../scripts/caps.txt").lines().map(|name| name.to_uppercase()).collect();
    let page = read("docs/image-volume.md");
    let table =
        page.split("| capability | ").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table");
    let listed: Vec<String> = rows(table, "").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed, carried);
    let set = Request::from_str(&carried.join(",")).expect("names").required;
    assert_eq!(set.names().collect::<Vec<_>>(), carried, "by their numbers");
    assert_eq!((set & CapSet::ROOT_EQUIVALENT).to_string(), "none");
    // Those that can be, and those that --install refuses, are named as left out.
    let left_out = page.split("Left out on purpose").nth(1).expect("a section");
    for name in CapSet::ROOT_EQUIVALENT.names() {
        assert!(left_out.contains(&name), "{name}");
    }
}

#[test]
fn links_and_commands_in_the_documents_lead_somewhere() {
    for document in [files(".", ".md"), files("docs", ".md")].concat() {
        let text = fs::read_to_string(&document).expect("a document");
        let folder = document.parent().expect("a folder").to_owned();
        let document = document.display();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, section) = target.split_once('#').unwrap_or((target, ""));
            assert!(target.contains("://") || folder.join(path).exists(), "{document}: {target}");
            if path.ends_with(".md") && !section.is_empty() {
                let linked = fs::read_to_string(folder.join(path)).expect("a document");
                assert!(linked.lines().any(|line| anchor(line) == section), "{document}: {target}");
            }
        }
    }
}

/// Every file of the repository in this folder and those below, and its text, if it is one.
fn all_files(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let not_ours = [".git", "artifacts", "corpus", "dist", "target"];
    let ours = entries.filter(|path| !not_ours.iter().any(|name| path.ends_with(name)));
    ours.flat_map(|path| {
        if path.is_dir() {
            all_files(&path)
        } else {
            vec![(path.clone(), fs::read_to_string(&path).unwrap_or_default())]
        }
    })
    .collect()
}

#[test]
fn every_script_that_a_file_names_is_there() {
    let mut seen = 0;
    for (path, text) in all_files(root()) {
        for rest in text.split("scripts/").skip(1) {
            let ends = |letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter));
            let script = rest.split(ends).next().unwrap_or_default().trim_end_matches('.');
            assert!(root().join("scripts").join(script).exists(), "{}: scripts/{script}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
}

/// A filter that fits no test would run none, and pass.
#[test]
fn every_test_that_the_makefile_or_a_script_asks_for_is_there() {
    let code = texts(&["tests"]);
    let named = ["fn ", "mod ", "pub mod "];
    let names: Vec<&str> =
        code.lines().filter(|line| named.iter().any(|word| line.starts_with(word))).collect();
    let commands = [read("Makefile"), read("scripts/aarch64"), read("scripts/glibc")].concat();
    let after = |word| commands.split(word).skip(1).filter_map(|rest| rest.split_whitespace().next());
    let paths = commands.split_whitespace().filter(|word| word.contains("::"));
    let asked = after("--skip ")
        .chain(after("--test containers "))
        .chain(after("--test peers "))
        .chain(after("scripts/runtimes "));
    let mut seen = 0;
    for name in asked.chain(paths).flat_map(|word| word.trim_end_matches('\'').split("::")) {
        if name.starts_with(|first: char| first.is_ascii_lowercase()) {
            assert!(names.iter().any(|line| line.contains(name)), "no test {name}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn make_help_has_a_sentence_for_each_target_and_documents_name_no_other() {
    let makefile = read("Makefile");
    let rules = makefile.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
    let targets: BTreeSet<&str> = rules
        .map(|rule| {
            let (target, sentence) =
                rule.split_once(": ## ").unwrap_or_else(|| panic!("no sentence: {rule}"));
            assert!(sentence.ends_with('.') && sentence.matches(". ").count() == 0, "{rule}");
            target
        })
        .collect();
    let phony = makefile.split_once(".PHONY:").expect("a list").1.replace("\\\n", "");
    let phony: BTreeSet<&str> = phony.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(phony, targets);
    let mut seen = 0;
    for document in [files(".", ".md"), files("docs", ".md")].concat() {
        let text = fs::read_to_string(&document).expect("a document");
        for command in text.split('`').filter_map(|word| word.strip_prefix("make ")) {
            let target = command.split_whitespace().next().unwrap_or_default();
            assert!(targets.contains(target), "{}: make {target}", document.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn messages_in_the_troubleshooting_guide_are_ones_that_tests_see() {
    let code = texts(&["tests/containers"]);
    // A long literal goes on after a backslash and the next line's indentation.
    let lines: Vec<&str> = code.split("\\\n").collect();
    let code = lines.iter().map(|line| line.trim_start()).collect::<String>();
    let guide = read("docs/troubleshooting.md");
    let mut messages = Vec::new();
    for (title, least) in [("77s", 9), ("78s", 10), ("126s and 127s", 8)] {
        let section = guide.split(&format!("## What the {title} mean\n")).nth(1).expect(title);
        let rows = rows(section.split("\n## ").next().unwrap_or_default(), "`");
        assert!(rows.len() > least, "{title}: {rows:?}");
        messages.extend(rows.into_iter().map(|row| row[0].clone()));
    }
    for quoted in messages.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        for part in quoted.split("...").flat_map(|part| part.split(": X")).map(str::trim) {
            assert!(code.contains(part), "no test sees: {part}");
        }
    }
}

/// The name by which a title is linked to.
fn anchor(line: &str) -> String {
    let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    title.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[test]
fn all_unsafe_code_is_in_one_folder() {
    let mut explained = 0;
    for (path, text) in sources("src") {
        match path.as_str() {
            _ if path.starts_with("system/") => {
                let lines: Vec<&str> = text.lines().collect();
                for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("unsafe {")) {
                    let before = lines[at.saturating_sub(6)..at].join("\n");
                    let is_explained = before.contains("SAFETY:") || line.contains("SAFETY:");
                    assert!(is_explained, "no SAFETY comment: src/{path}:{}", at + 1);
                    explained += 1;
                }
            }
            "lib.rs" => assert!(text.contains("#![deny(unsafe_code)]"), "src/{path}"),
            _ => {
                assert!(text.contains("#![forbid(unsafe_code)]"), "unsafe code is not forbidden: src/{path}")
            }
        }
    }
    assert!(explained > 20, "{explained}");
}
