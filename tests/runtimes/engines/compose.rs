//! `examples/compose.yaml` with docker-compose.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::engine::{Engine, Kind};
use super::needs_engines;
use crate::container::Output;
use crate::containerd::cri::wait_for;
use crate::machine::Machine;

/// docker-compose with the example, and with what this machine needs: there is no network.
fn compose(project: &str, more: &str, words: &[&str]) -> Output {
    let engine = Engine::with_apps(Kind::Docker);
    let machine = Machine::get().path(&format!("{project}.yaml"));
    let services = format!(
        "services: {{ my-app: {{ network_mode: none, {more} }}, my-app-non-root: {{ network_mode: none }} }}"
    );
    fs::write(&machine, services).expect("a file");
    let files = ["--file", "examples/compose.yaml", "--file", machine.to_str().expect("a path")];
    let words = [&["docker-compose", "--project-name", project], &files[..], words].concat();
    let mut command = engine.command(&words);
    // As a shell or a file `.env` has them.
    command.env("PUID", "1000").env("PGID", "1001").stdin(Stdio::null());
    Output::of(command.output().expect("docker-compose"))
}

#[test]
fn each_service_holds_exactly_the_capability() {
    needs_engines!();
    for service in ["my-app", "my-app-non-root"] {
        let run = |words: &[&str]| compose("holds", "", &[&["run", "--rm", "-T"], words].concat());
        run(&[service]).holds(1000, 1000, "1000", "IPC_LOCK");
        let without = run(&["--user", "1000:1000", "--entrypoint", "my-server", service]);
        assert_eq!((without.state()["permitted"], without.state()["ambient"]), ("none", "none"), "{service}");
    }
}

#[test]
fn puid_and_pgid_are_put_into_capshim_user() {
    needs_engines!();
    let run = |user: &str| {
        let more = format!("environment: {{ CAPSHIM_USER: '{user}', PUID: 3000, PGID: 3000 }}");
        compose("ids", &more, &["run", "--rm", "-T", "my-app"])
    };
    run("${PUID}:${PGID}").holds(1000, 1001, "1001", "IPC_LOCK");
    // They mean nothing to capshim by themselves, nor do they inside a value that nobody expanded.
    run("app").holds(1000, 1000, "1000", "IPC_LOCK");
    // docker-compose says something, too.
    let refused = run("$${PUID}:$${PGID}");
    let said = "capshim: CAPSHIM_USER='${PUID}:${PGID}' is a variable that nothing expanded\n";
    assert!(refused.code == 78 && refused.stderr.contains(said), "{}", refused.stderr);
}

#[test]
fn a_health_check_through_the_shim_has_the_applications_rights() {
    needs_engines!();
    let engine = Engine::with_apps(Kind::Docker);
    // What is checked must go on for a while.
    let more = "command: [sleep, '3600'], container_name: healthy, healthcheck: { interval: 1s }";
    let up = compose("health", more, &["up", "--detach", "my-app"]);
    assert_eq!(up.code, 0, "{}", up.stderr);
    let log = wait_for("a health check", || {
        let log = engine.succeed(&["inspect", "--format", "{{json .State.Health.Log}}", "healthy"]);
        serde_json::from_str::<Vec<Value>>(&log).expect("JSON").pop()
    });
    assert_eq!((&log["ExitCode"], &log["Output"]), (&json!(0), &json!("mlock of 64 MiB: locked\n")));
    engine.succeed(&["rm", "--force", "healthy"]);
}
