//! A Dockerfile's HEALTHCHECK: what Docker runs as it, with and without the shim before it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::engine::{Engine, Kind};
use super::from::{APP, NON_ROOT, context};
use super::needs_engines;
use crate::container::Output;

/// Starts a container of this image with a health check, and returns what that left behind.
/// No name may begin with another: Docker's filter takes it for that.
fn check(name: &str, image: &str, command: &[&str], grant: &[&str]) -> (Output, String) {
    let engine = Engine::with_apps(Kind::Docker);
    let words = json!(command);
    let dockerfile = format!("FROM {image}\nHEALTHCHECK --interval=1s --retries=1 CMD {words}\n");
    let folder = context(&format!("context-{name}"), &dockerfile);
    engine.succeed(&["build", "-t", name, folder.to_str().expect("a path")]);
    // From the beginning of time, so that none is missed.
    let filters = ["--filter=event=health_status", &format!("--filter=container={name}")];
    let mut events =
        engine.command(&[&["docker", "events", "--since=0", "--format={{.Action}}"], &filters[..]].concat());
    let mut events = events.stdout(Stdio::piped()).spawn().expect("docker");
    engine.succeed(&[&["run", "--detach", "--name", name], grant, &[name, "sleep", "3600"]].concat());
    let mut status = String::new();
    BufReader::new(events.stdout.take().expect("a pipe")).read_line(&mut status).expect("an event");
    let _ = events.kill();
    events.wait().expect("docker's end");
    let log = engine.succeed(&["inspect", "--format", "{{json .State.Health.Log}}", name]);
    let log = serde_json::from_str::<Vec<Value>>(&log).expect("JSON").remove(0);
    engine.succeed(&["rm", "--force", name]);
    let code = log["ExitCode"].as_i64().expect("a code").try_into().expect("a code");
    let stdout = log["Output"].as_str().expect("text").to_owned();
    (Output { code, stdout, stderr: String::new() }, status.trim().to_owned())
}

const ROOT: [&str; 4] = ["--cap-drop=ALL", "--cap-add=IPC_LOCK", "--cap-add=SETUID", "--cap-add=SETGID"];
const USER: [&str; 2] = ["--cap-drop=ALL", "--cap-add=IPC_LOCK"];

#[test]
fn a_health_check_of_the_image_s_passes_through_the_shim_where_it_says_so() {
    needs_engines!();
    // By itself: root with all that is granted, or the user with nothing.
    let (output, _) = check("health-root-alone", APP, &["my-server"], &ROOT);
    let state = output.state();
    assert_eq!(
        (state["uid"], state["effective"], state["ambient"]),
        ("0", "SETGID, SETUID, IPC_LOCK", "none")
    );
    let (output, _) = check("health-user-alone", NON_ROOT, &["my-server"], &USER);
    let state = output.state();
    assert_eq!((state["uid"], state["effective"], state["ambient"]), ("1000", "none", "none"));

    for (name, image, grant) in
        [("health-through-root", APP, &ROOT[..]), ("health-through-user", NON_ROOT, &USER)]
    {
        let (output, status) = check(name, image, &["/capshim", "my-server"], grant);
        output.is_exactly(1000, 1000, "1000", "IPC_LOCK");
        assert_eq!(status, "health_status: healthy");
    }
}
