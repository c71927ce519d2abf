//! The Dockerfiles of the repository under each builder, and what builders do to a file's
//! capabilities.

use std::process::{Command, Stdio};

use super::engine::{Engine, Kind};
use super::from::context;
use super::modes::documented as documented_cell;
use super::needs_engines;
use crate::container::Output;
use crate::images::output;

/// What builds an image, and where it then is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Builder {
    DockerClassic,
    BuildKit,
    Podman,
    Buildah,
    PodmanWithoutRoot,
}

const BUILDERS: [Builder; 5] = [
    Builder::DockerClassic,
    Builder::BuildKit,
    Builder::Podman,
    Builder::Buildah,
    Builder::PodmanWithoutRoot,
];

impl Builder {
    fn engine(self) -> Engine {
        Engine::with_bases(match self {
            Builder::DockerClassic | Builder::BuildKit => Kind::Docker,
            Builder::Podman => Kind::PodmanCrun,
            Builder::Buildah => Kind::PodmanRunc,
            Builder::PodmanWithoutRoot => Kind::PodmanRootless,
        })
    }

    /// Builds what `build` and these words say.
    fn command(self, words: &[&str]) -> Command {
        let engine = self.engine();
        let begin: &[&str] = match self {
            Builder::DockerClassic | Builder::BuildKit => &["docker", "build"],
            Builder::Podman | Builder::PodmanWithoutRoot => &["podman", "build"],
            Builder::Buildah => &["buildah", "bud"],
        };
        let mut command = engine.command(&[begin, words].concat());
        command.env("DOCKER_BUILDKIT", if self == Builder::BuildKit { "1" } else { "0" });
        command
    }

    #[track_caller]
    fn build(self, words: &[&str]) {
        output(self.command(words).stdin(Stdio::null()).output().expect("a builder"));
    }
}

/// The command lines in a Dockerfile's first comment, by their words.
fn documented(dockerfile: &str) -> Vec<Vec<&str>> {
    let comment = dockerfile.lines().take_while(|line| line.starts_with('#'));
    let mut lines: Vec<Vec<&str>> = Vec::new();
    let mut continues = false;
    for line in comment.filter_map(|line| line.strip_prefix("#   ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ends = words.last() == Some(&"\\");
        let words = words.into_iter().filter(|word| *word != "\\");
        match continues {
            true => lines.last_mut().expect("a line before").extend(words),
            false => lines.push(words.collect()),
        }
        continues = ends;
    }
    lines
}

/// Builds examples/Dockerfile and starts it, both as it says itself; then without the grant.
fn example(builder: Builder) {
    let lines = documented(include_str!("../../../examples/Dockerfile"));
    let [build, run] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&build[..2], &run[..2]), (&["docker", "build"][..], &["docker", "run"][..]));
    assert!(include_str!("../../../README.md").contains(&format!("`{}`", build.join(" "))));
    let name = format!("lock-memory-{}", format!("{builder:?}").to_lowercase());
    let named = |words: &[&'static str]| -> Vec<String> {
        words
            .iter()
            .map(|word| if *word == "lock-memory:1.0" { name.clone() } else { word.to_string() })
            .collect()
    };
    let words = named(&build[2..]);
    builder.build(&words.iter().map(String::as_str).collect::<Vec<_>>());

    let engine = builder.engine();
    let words = named(&run[1..]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = engine.run(&words);
    match builder {
        // Outside the initial user namespace the kernel does not count it.
        Builder::PodmanWithoutRoot => {
            assert_eq!(
                (output.code, output.stdout.as_str()),
                (1, "mlock of 64 MiB: ENOMEM: Out of memory\n")
            );
        }
        _ => assert_eq!(
            (output.stdout.as_str(), output.code),
            ("mlock of 64 MiB: locked\n", 0),
            "{}",
            output.stderr
        ),
    }
    let at = words.iter().position(|word| *word == "IPC_LOCK").expect("the capability");
    let output = engine.run(&[&words[..at - 1], &words[at + 1..]].concat());
    output.refuses_saying(77, "not granted to this container, not in its bounding set: IPC_LOCK");
}

#[test]
fn the_example_is_built_and_runs_with_dockers_classic_builder() {
    needs_engines!();
    example(Builder::DockerClassic);
}

#[test]
fn the_example_is_built_and_runs_with_buildkit() {
    needs_engines!();
    example(Builder::BuildKit);
}

#[test]
fn the_example_is_built_and_runs_with_podman() {
    needs_engines!();
    example(Builder::Podman);
}

#[test]
fn the_example_is_built_and_runs_with_buildah() {
    needs_engines!();
    example(Builder::Buildah);
}

#[test]
fn the_example_is_built_and_starts_with_podman_without_root() {
    needs_engines!();
    example(Builder::PodmanWithoutRoot);
}

/// Builds an image with the shim at /capshim, and what `--check` says of that file.
fn file_capabilities(builder: Builder, name: &str, dockerfile: &str) -> String {
    let folder = context(&format!("context-{builder:?}-{name}"), dockerfile);
    // And no other: BuildKit takes a file from the context, which loses them, for the same file
    // from a stage, which keeps them.
    if name == "copy" {
        let setcap = Command::new("setcap").arg("cap_ipc_lock=p").arg(folder.join("capshim")).output();
        output(setcap.expect("setcap"));
    }
    let tag = format!("{name}-{builder:?}").to_lowercase();
    builder.build(&["--no-cache", "-t", &tag, folder.to_str().expect("a path")]);
    let Output { stdout, .. } =
        builder.engine().run(&["run", "--rm", "--entrypoint", "/capshim", &tag, "--check"]);
    let line = stdout.lines().find_map(|line| line.trim().strip_prefix("this program"));
    line.unwrap_or(&stdout).trim().to_owned()
}

const KEPT: &str = "/capshim: IPC_LOCK=p";
const LOST: &str = "/capshim: no file capabilities";

/// Compares what each builder does with a row of the table in docs/runtimes.md.
fn row(row: &str, name: &str, dockerfile: &str) {
    for builder in BUILDERS {
        let column = match builder {
            Builder::DockerClassic => "Docker, classic",
            Builder::BuildKit => "Docker, BuildKit",
            Builder::Podman | Builder::Buildah | Builder::PodmanWithoutRoot => "Podman, Buildah",
        };
        let seen = match file_capabilities(builder, name, dockerfile).as_str() {
            KEPT => "kept",
            LOST => "lost",
            other => panic!("{other}"),
        };
        assert_eq!(documented_cell("file capabilities", row, column), seen, "{row}, {builder:?}");
    }
}

const INSTALL: &str = r#"RUN ["/capshim", "--install", "/capshim", "--file-caps", "ipc_lock"]"#;

#[test]
fn docker_loses_the_file_capabilities_of_what_is_copied_from_the_build_context_and_podman_keeps_them() {
    needs_engines!();
    row("`COPY` from the build context", "copy", "FROM alpine:3\nCOPY capshim /capshim\n");
}

#[test]
fn dockers_classic_builder_loses_them_between_stages_and_others_keep_them() {
    needs_engines!();
    let stages = format!(
        "FROM alpine:3 AS shim\nCOPY capshim /capshim\n{INSTALL}\nFROM alpine:3\nCOPY --from=shim /capshim /capshim\n"
    );
    row("`COPY --from` another stage or image", "stages", &stages);
}

#[test]
fn buildkit_and_podman_keep_them_where_a_copy_between_stages_changes_the_owner() {
    needs_engines!();
    let stages = format!(
        "FROM alpine:3 AS shim\nCOPY capshim /capshim\n{INSTALL}\nFROM alpine:3\nCOPY --chown=1000:1000 --from=shim /capshim /capshim\n"
    );
    row("`COPY --chown --from` another stage or image", "owner", &stages);
}

#[test]
fn every_builder_installs_and_keeps_them_in_the_final_stage() {
    needs_engines!();
    let dockerfile = include_str!("../../../examples/Dockerfile.non-root");
    assert!(dockerfile.contains(INSTALL));
    row("`--install` in a `RUN` line", "install", dockerfile);
    // Its own words to build and start it, of which Docker's column in the other table comes.
    let [build, run] = &documented(dockerfile)[..] else { panic!("two lines") };
    assert_eq!(build.join(" "), "docker build -f Dockerfile.non-root -t my-app-non-root:1.0 .");
    assert_eq!(
        run.join(" "),
        "docker run --rm --cap-drop ALL --cap-add IPC_LOCK --read-only my-app-non-root:1.0"
    );
}

#[test]
fn a_change_of_owner_or_a_copy_in_a_run_line_loses_them() {
    needs_engines!();
    let install = INSTALL.replace("--install\", \"/capshim", "--install\", \"/shim");
    for (name, line) in
        [("chown", "RUN chown 0:0 /shim && mv /shim /capshim"), ("cp", "RUN cp -a /shim /capshim")]
    {
        let dockerfile = format!("FROM alpine:3\nCOPY capshim /capshim\n{install}\n{line}\n");
        assert_eq!(file_capabilities(Builder::DockerClassic, name, &dockerfile), LOST, "{line}");
    }
    // What moves it within the image does not.
    let dockerfile = format!("FROM alpine:3\nCOPY capshim /capshim\n{install}\nRUN mv /shim /capshim\n");
    assert_eq!(file_capabilities(Builder::DockerClassic, "mv", &dockerfile), KEPT);
}
