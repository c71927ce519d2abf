//! README's quick start as it is typed, and in a pod.

use std::path::{Path, PathBuf};

use super::engine::{ENGINES, Engine, Kind};
use super::needs_engines;
use crate::containerd::manifest::load;
use crate::containerd::node::Node;
use crate::containerd::termination_message;
use crate::machine::repository;
use crate::needs_containerd;

const README: &str = include_str!("../../../README.md");

/// What the command lines have for the folder that this script prints.
const BUILT: [&str; 2] = ["\"$(scripts/build-static --examples)\"", "\"$(scripts/build-static)\""];

fn section() -> &'static str {
    let section = README.split("\n## Quick start\n").nth(1).expect("the section");
    section.split("\n## ").next().expect("its text")
}

/// The command lines of the section that begin with this word.
fn typed(program: &str) -> Vec<&'static str> {
    let blocks = section().split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter(|line| line.split(' ').next() == Some(program)).collect()
}

/// The words after `docker`, with the folder in the script's place.
fn words(line: &str) -> Vec<String> {
    let folder = PathBuf::from(std::env::var_os("STATIC_DIR").expect("STATIC_DIR"));
    // As the script prints it; the real one may lie where an ordinary user cannot go.
    let folder = folder.strip_prefix(repository()).unwrap_or(&folder).display().to_string();
    let line = BUILT.iter().fold(line.to_owned(), |line, script| line.replace(script, &folder));
    assert!(!line.contains(['$', '"', '\'']), "{line}");
    line.split(' ').skip(1).map(str::to_owned).collect()
}

#[test]
fn the_quick_start_is_typed_and_refuses_and_then_runs() {
    needs_engines!();
    let lines = typed("docker");
    let [build, refused, runs] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(include_str!("../../../examples/Dockerfile.quick-start").contains(build));
    for kind in ENGINES {
        let engine = Engine::get(kind);
        let type_in = |line: &str| {
            let words = words(line);
            engine.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let built = type_in(build);
        assert_eq!(built.code, 0, "{kind:?}: {}", built.stderr);
        let said = section().split("```console\n").nth(1).and_then(|rest| rest.split("```").next());
        let refused = type_in(refused);
        assert_eq!((refused.code, Some(refused.stderr.as_str())), (77, said), "{kind:?}");
        let output = type_in(runs);
        match kind {
            // In a user namespace IPC_LOCK has no effect, and the limit is one of the tests' machine.
            Kind::PodmanRootless => {
                assert_eq!(
                    (output.code, output.stdout.as_str()),
                    (1, "mlock of 64 MiB: ENOMEM: Out of memory\n")
                );
                assert!(output.stderr.contains("IPC_LOCK"), "{}", output.stderr);
            }
            _ => {
                assert!(section().contains("prints `mlock of 64 MiB: locked`"));
                assert_eq!(
                    (output.code, output.stdout.as_str()),
                    (0, "mlock of 64 MiB: locked\n"),
                    "{kind:?}"
                );
            }
        }
    }
}

#[test]
fn the_image_that_has_the_shim_alone_is_built_as_the_readme_says() {
    needs_engines!();
    let line = README.lines().find_map(|line| line.split('`').find(|code| code.contains("--target shim")));
    let line = line.expect("the line");
    // Other tests have another image under this name.
    assert!(line.contains(" -t capshim:0.1.0 "));
    let words = words(&line.replace("capshim:0.1.0", "shim-alone:1.0"));
    for kind in ENGINES {
        let engine = Engine::get(kind);
        engine.succeed(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let said = engine.succeed(&["run", "--rm", "shim-alone:1.0", "--version"]);
        assert_eq!(said, "capshim 0.1.0");
    }
}

#[test]
fn the_quick_start_s_pod_says_the_same_in_its_log() {
    needs_containerd!();
    let lines = typed("kubectl");
    let [apply, wait, logs] = lines.as_slice() else { panic!("{lines:?}") };
    let file = apply.strip_prefix("kubectl apply -f examples/kubernetes/").expect("a manifest");
    assert_eq!(Path::new(file).extension().and_then(|ending| ending.to_str()), Some("yaml"));
    let job = load(file);
    for line in [wait, logs] {
        assert!(line.ends_with(&format!(" job/{}", job.metadata.name)), "{line}");
    }
    let node = Node::start();
    let (pod, mut app) = (node.pod(&job), job.app());
    let output = pod.run(&app).expect("a start");
    assert_eq!((output.code, output.stdout.as_str()), (0, "mlock of 64 MiB: locked\n"), "{}", output.stderr);
    app.security_context.capabilities.add.retain(|name| name != "IPC_LOCK");
    let refused = pod.run(&app).expect("a start");
    let said = section().split("```console\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!((refused.code, Some(termination_message(&refused).as_str())), (77, said));
}
