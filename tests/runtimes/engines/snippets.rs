//! The snippets of docs/snippets.md, word for word.

use super::engine::{Engine, Kind};
use super::needs_engines;

const DOCUMENT: &str = include_str!("../../../docs/snippets.md");

/// What lets a profiler's calls through.
const UNCONFINED: [&str; 2] = ["--security-opt", "seccomp=unconfined"];

struct Snippet {
    /// What is typed after `docker`.
    words: Vec<&'static str>,
    /// The capabilities in the pod's field.
    field: Vec<&'static str>,
    printed: &'static str,
}

fn snippets() -> Vec<Snippet> {
    let blocks: Vec<(&str, &str)> = DOCUMENT
        .split("\n```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').expect("a block of several lines"))
        .collect();
    let snippet = |blocks: &[(&'static str, &'static str)]| {
        let [("sh", command), ("yaml", yaml), ("console", printed)] = blocks else { panic!("{blocks:?}") };
        let words = command.split_whitespace().filter(|word| *word != "\\");
        let field = yaml.rsplit_once("add: [").expect("a list").1.split('"').skip(1).step_by(2);
        Snippet { words: words.skip(1).collect(), field: field.collect(), printed }
    };
    blocks.chunks(3).map(snippet).collect()
}

/// The values of an option.
fn values<'a>(words: &[&'a str], option: &str) -> Vec<&'a str> {
    words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]).collect()
}

#[test]
fn both_runtimes_are_told_the_same() {
    let snippets = snippets();
    assert_eq!(snippets.len(), 4);
    for snippet in snippets {
        assert_eq!(values(&snippet.words, "--cap-add"), snippet.field);
    }
}

fn run(kind: Kind) {
    let engine = Engine::with_apps(kind);
    for Snippet { words, printed, .. } in snippets() {
        // What the document says of this one.
        if words.contains(&"profile") {
            if !engine.knows_perfmon() {
                let output = engine.run(&words);
                assert!(output.stderr.contains("unknown capability: \"CAP_PERFMON\""), "{}", output.stderr);
                continue;
            }
            let at = words.iter().position(|word| *word == UNCONFINED[1]).expect("the option");
            assert_eq!(words[at - 1..=at], UNCONFINED);
            let output = engine.run(&[&words[..at - 1], &words[at + 1..]].concat());
            match kind {
                Kind::Docker => assert_eq!(output.stdout.trim_end(), printed, "{}", output.stderr),
                _ => assert!(
                    output.stdout.ends_with(": EPERM: Operation not permitted\n"),
                    "{}",
                    output.stdout
                ),
            }
        }
        let output = engine.run(&words);
        assert_eq!((output.stdout.trim_end(), output.code), (printed, 0), "{words:?}: {}", output.stderr);

        // The first in the list, and the setting that asks for it.
        let asked: Vec<&str> = words.iter().filter_map(|word| word.strip_prefix("CAPSHIM_CAPS=")).collect();
        let capability = asked[0].split(',').next().expect("a capability").to_uppercase();
        let at = words.iter().position(|word| *word == capability).expect("the capability");
        let output = engine.run(&[&words[..at - 1], &words[at + 1..]].concat());
        output.refuses_saying(
            77,
            &format!("not granted to this container, not in its bounding set: {capability}"),
        );

        // Without the shim, a user holds none of it.
        let image = words.iter().position(|word| *word == "my-app:1.0").expect("the image");
        let options = ["--user", "1000:1000", "--entrypoint", words[image + 1]];
        let without = [&words[..image], &options, &words[image..=image], &words[image + 2..]].concat();
        match kind {
            Kind::Docker => assert_eq!(engine.run(&without).code, 1, "{without:?}"),
            _ => assert_eq!(engine.run(&without).code, 0, "{without:?}"),
        }
    }
}

#[test]
fn the_snippets_do_under_docker_what_they_say() {
    needs_engines!();
    run(Kind::Docker);
}

#[test]
fn the_snippets_do_under_podman_what_they_say() {
    needs_engines!();
    run(Kind::PodmanCrun);
}
