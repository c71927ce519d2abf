//! Manifests fail loudly: what a rollout, a Job and a stricter pod need of them.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::manifest::{Container, Workload, folder, load};
use super::node::Node;
use super::schema::{files, read};
use super::status::described;
use super::termination_message;
use crate::{images, needs, needs_containerd};

/// Those to paste: deployment.yaml is what was there before the component.
fn manifests() -> impl Iterator<Item = (String, Workload)> {
    files().into_iter().filter(|file| !file.contains('/')).map(|file| (file.clone(), load(&file)))
}

#[test]
fn a_rollout_waits_longer_than_a_refused_container_lives() {
    for (file, manifest) in manifests().filter(|(_, manifest)| manifest.kind != "Job") {
        assert_eq!(manifest.spec.min_ready_seconds, Some(5), "{file}");
    }
    needs_containerd!();
    let node = Node::start();
    for file in ["root-start.yaml", "non-root-image.yaml", "image-volume.yaml"] {
        let manifest = load(file);
        let mut app = manifest.app();
        app.security_context.capabilities.add.clear();
        let pod = node.pod(&manifest);
        let refused = pod.start(&app).expect("a start");
        assert_eq!(refused.wait().code, 77, "{file}");
        println!("{file}: {:?}", refused.life());
        assert!(refused.life() < Duration::from_secs(5), "{file}: {:?}", refused.life());
    }
}

#[test]
fn a_job_does_not_try_again_what_the_shim_refused() {
    let mut jobs = 0;
    for (file, manifest) in manifests().filter(|(_, manifest)| manifest.kind == "Job") {
        assert_eq!(manifest.spec.template.spec.restart_policy.as_deref(), Some("Never"), "{file}");
        let policy = manifest.spec.pod_failure_policy.as_ref().expect(&file);
        let [rule] = &policy.rules[..] else { panic!("{file}: {policy:?}") };
        let exits = rule.on_exit_codes.as_ref().expect(&file);
        assert_eq!((rule.action.as_str(), exits.operator.as_str()), ("FailJob", "In"), "{file}");
        for code in [64, 77, 78] {
            assert!(exits.values.contains(&code), "{file}: {code}");
        }
        jobs += 1;
    }
    assert!(jobs > 0);
}

/// A container's field counts before its pod's, which a cluster's policy or a template may set.
#[test]
fn a_container_that_is_root_says_so_and_starts_where_its_pod_must_not_be() {
    for (file, manifest) in manifests() {
        let spec = manifest.spec.template.spec;
        for container in spec.init_containers.iter().chain(&spec.containers) {
            let security = &container.security_context;
            let is_root = security.run_as_user == Some(0);
            assert_eq!(security.run_as_non_root == Some(false), is_root, "{file}: {}", container.name);
        }
    }
    needs_containerd!();
    let node = Node::start();
    for (file, held) in [("non-root-init-container.yaml", "IPC_LOCK"), ("root-start.yaml", "IPC_LOCK")] {
        let mut manifest = load(file);
        manifest.spec.template.spec.security_context.run_as_non_root = Some(true);
        let mut app = manifest.app();
        app.args = ["cat", "/proc/self/status"].map(String::from).to_vec();
        let output = described(node.pod(&manifest).run(&app).expect(file));
        output.is_exactly(1000, 1000, "29, 1000, 1001", held);
    }
}

/// The guide's own script, with a kubectl that applies nothing.
#[test]
fn the_guide_s_script_makes_a_preflight_job_for_each_node_pool() {
    needs!("kubectl");
    let page = include_str!("../../../docs/rollout.md");
    let script = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    let stub = "kubectl() { if [ \"$1\" = apply ]; then cat; else command kubectl \"$@\"; fi; }\n";
    let mut shell = Command::new("sh");
    shell.args(["-euc", &[stub, script].concat()]).current_dir(folder());
    let made = images::output(shell.output().expect("sh"));
    let jobs = serde_json::Deserializer::from_slice(&made).into_iter::<Value>();
    let jobs: Vec<Value> = jobs.map(|job| job.expect("JSON")).collect();
    assert_eq!(jobs.len(), 2);
    for (job, pool) in jobs.iter().zip(["system", "gpu"]) {
        let mut expected: Value = serde_norway::from_str(&read("preflight-job.yaml")).expect("YAML");
        expected["metadata"]["name"] = json!(format!("my-app-preflight-{pool}"));
        expected["spec"]["template"]["spec"]["nodeSelector"] = json!({ "agentpool": pool });
        assert_eq!(*job, expected);
    }
}

/// A mistake: its row in docs/rollout.md, the manifest, and what is wrong in the application's container.
type Mistake = (&'static str, &'static str, fn(&mut Container));

const MISTAKES: [Mistake; 15] = [
    ("IPC_LOCK is missing in `capabilities.add`", "root-start.yaml", |app| add(app, &["SETUID", "SETGID"])),
    ("CAP_IPC_LOCK stands in `capabilities.add`", "root-start.yaml", |app| {
        add(app, &["CAP_IPC_LOCK", "SETUID", "SETGID"]);
    }),
    ("SETUID and SETGID are missing in a root start", "root-start.yaml", |app| add(app, &["IPC_LOCK"])),
    ("`sh -c` stands before the shim", "non-root-image.yaml", |app| {
        app.command = words(&["sh", "-c", "exec /capshim my-server"]);
    }),
    ("the image's shim carries no capabilities, in a non-root start", "non-root-image.yaml", |app| {
        app.image = "my-app:1.0".into();
        app.security_context.run_as_user = Some(1000);
    }),
    ("capshim-caps does not carry the capability", "image-volume.yaml", |app| {
        set(app, "CAPSHIM_CAPS", "chown");
        add(app, &["CHOWN"]);
    }),
    ("the init container has no SETFCAP", "non-root-init-container.yaml", |init| add(init, &[])),
    ("`CAPSHIM_USER` is missing in a root start", "root-start.yaml", |app| {
        app.env.retain(|entry| entry.name != "CAPSHIM_USER");
    }),
    ("the image has no such user", "root-start.yaml", |app| set(app, "CAPSHIM_USER", "my-user")),
    ("CAPSHIM_CAP is written for `CAPSHIM_CAPS`", "root-start.yaml", |app| {
        app.env[1].name = "CAPSHIM_CAP".into()
    }),
    ("the capability is misspelt in `CAPSHIM_CAPS`", "root-start.yaml", |app| {
        set(app, "CAPSHIM_CAPS", "ipc_lok")
    }),
    ("`CAPSHIM_CAPS` is a list in JSON", "root-start.yaml", |app| set(app, "CAPSHIM_CAPS", "[\"ipc_lock\"]")),
    ("a template was not rendered", "root-start.yaml", |app| set(app, "CAPSHIM_CAPS", "{{ .Values.caps }}")),
    ("`args` is missing behind the shim", "image-volume.yaml", |app| app.args.clear()),
    ("the command is misspelt", "image-volume.yaml", |app| app.args[0] = "httpdd".into()),
];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn add(app: &mut Container, names: &[&str]) {
    app.security_context.capabilities.add = words(names);
}

fn set(app: &mut Container, name: &str, value: &str) {
    value.clone_into(&mut app.env.iter_mut().find(|entry| entry.name == name).expect("a setting").value);
}

#[test]
fn each_mistake_shows_what_the_table_says() {
    let page = include_str!("../../../docs/rollout.md");
    let table = page.split("<!-- mistakes -->\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let rows: Vec<Vec<&str>> = table
        .expect("a table")
        .lines()
        .skip(2)
        .map(|row| row.trim_matches('|').split(" | ").collect())
        .collect();
    assert_eq!(rows.len(), MISTAKES.len());
    needs_containerd!();
    let node = Node::start();
    for (row, (mistake, file, change)) in rows.iter().zip(MISTAKES) {
        assert_eq!(row[0].trim(), mistake);
        let manifest = load(file);
        let mut containers = manifest.spec.template.spec.init_containers.iter();
        let mut container = containers.next().cloned().unwrap_or_else(|| manifest.app());
        change(&mut container);
        let output = node.sandbox(&manifest).run(&container).expect(mistake);
        assert_eq!(output.code.to_string(), row[1], "{mistake}: {}", output.stderr);
        let message = termination_message(&output);
        for quoted in row[2].split('`').skip(1).step_by(2) {
            assert!(message.contains(quoted), "{mistake}: {quoted:?} not in: {message}");
        }
    }
}
