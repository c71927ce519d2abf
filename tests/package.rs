//! What is published: the crate's files, what the program is made of, and a release's name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a file")
}

/// What cargo prints about this package, without the network.
fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).args(["--locked", "--offline"]).current_dir(root()).output();
    text(output.expect("cargo"))
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_package_has_the_sources_and_what_a_user_reads() {
    let listed = cargo(&["package", "--list", "--allow-dirty"]);
    let rest: Vec<&str> =
        listed.lines().filter(|file| !file.starts_with("src/") && *file != ".cargo_vcs_info.json").collect();
    let expected =
        ["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig", "LICENSE-APACHE", "LICENSE-MIT"];
    let documents = ["README.md", "SECURITY.md", "docs/capshim.8"];
    assert_eq!(rest, [&expected[..], &documents].concat());
    assert!(listed.contains("\nsrc/main.rs\n") && listed.contains("\nsrc/settings/help.txt\n"));
}

#[test]
fn the_dependency_tree_is_the_documented_one() {
    let tree = cargo(&["tree", "-e", "normal"]);
    // The first line ends in this folder's path.
    let tree = tree.replace(&format!(" ({})", root().display()), "");
    let document = read("CONTRIBUTING.md");
    assert!(
        document.contains(&format!("```console\n$ cargo tree -e normal --locked\n{tree}```\n")),
        "\n{tree}"
    );
}

#[test]
fn no_crate_of_the_program_needs_a_newer_rust_than_promised() {
    // Others than this platform's may not have been downloaded.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", &platform]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let needs: BTreeMap<String, &Value> = packages
        .map(|package| {
            let [name, version] = ["name", "version"].map(|key| package[key].as_str().expect("text"));
            (format!("{name} v{version}"), &package["rust_version"])
        })
        .collect();
    let number = |version: &str| -> Vec<u32> {
        version.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    let promised = number(env!("CARGO_PKG_RUST_VERSION"));
    let crates = cargo(&["tree", "-e", "normal,build", "--prefix", "none", "--no-dedupe"]);
    for name in crates.lines().map(|line| line.split(" (").next().unwrap_or_default().to_owned()) {
        let needed = needs.get(&name).unwrap_or_else(|| panic!("{name} is not in cargo metadata"));
        assert!(needed.as_str().is_none_or(|version| number(version) <= promised), "{name} needs {needed}");
    }
}

/// The upload alone would say so: `cargo publish --dry-run` does not look.
#[test]
fn the_crate_describes_itself_within_the_limits_of_the_registry() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).expect("JSON");
    let package = &metadata["packages"][0];
    let words = |key: &str| -> Vec<&str> {
        package[key].as_array().expect(key).iter().map(|word| word.as_str().expect("text")).collect()
    };
    for word in words("keywords") {
        let mut letters = word.bytes();
        assert!(
            word.len() <= 20 && letters.all(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(&byte))
        );
    }
    assert!(words("keywords").len() <= 5 && words("categories").len() <= 5);
    assert_eq!((&package["readme"], &package["publish"]), (&Value::from("README.md"), &Value::Null));
    // Also the line that describes the Debian package.
    let description = package["description"].as_str().expect("a description");
    assert!(description.len() < 80, "{description}");
}

/// What scripts/build-static made: with a standard library that it compiled for size, or with the
/// toolchain's own.
#[test]
fn the_binary_is_no_larger_than_documented() {
    let Some(folder) = std::env::var_os("STATIC_DIR") else {
        let missing = "NOT RUN, no STATIC_DIR with the static binary: scripts/test builds it";
        assert!(std::env::var_os("REQUIRE_ALL_TESTS").is_none(), "{missing}");
        eprintln!("{missing}");
        return;
    };
    let folder = root().join(folder);
    let toolchain = fs::read_to_string(folder.join("toolchain")).expect("build-static's note");
    let (kibibytes, words) = if toolchain.contains("musl: as in this Rust's ") {
        (450, "450 KiB with the toolchain's standard library")
    } else {
        (256, "256 KiB with one that is compiled for size")
    };
    let size = fs::metadata(folder.join("capshim")).expect("the binary").len();
    println!("{size} bytes, and at most {words}");
    assert!(size < kibibytes * 1024, "{size} bytes, and at most {words}");
    let document = read("docs/performance.md");
    assert!(document.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{words}");
}

#[test]
fn a_tag_that_is_not_the_version_makes_no_release() {
    let release = |tag: &str| {
        let output = Command::new(root().join("scripts/release")).arg(tag).output().expect("scripts/release");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let version = env!("CARGO_PKG_VERSION");
    for tag in ["v0.0.0", version, &format!("v{version}-rc1"), ""] {
        let message = format!("release: the tag is {tag} and Cargo.toml's version {version}\n");
        assert_eq!(release(tag), (Some(1), message));
    }
}
