//! What the validating policies refuse, word for word, and that each one also admits.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::pods::{CASES, created, pod_of, template};
use super::policy::{self, Object};
use super::server::admit;
use super::{BY_IMAGE_VOLUME, BY_INIT_CONTAINER, CONTAINERS, LABEL, WAYS};
use crate::container::built;
use crate::needs_containerd;

type Edit = fn(&mut Value);

const SILENT: &str = "capshim.internal/caps: container my-web states no command. Write the ENTRYPOINT of its \
                      image as command, and the CMD as args, if args are not there already";
const BYPASSED: &str = "container my-web: its command discards the ENTRYPOINT of the image, and capshim with it. \
                        Put the path of capshim before it, or make it args";
const NOT_PUT: &str = "capshim.internal/caps: the shim was not put before the command. Is the \
                       MutatingAdmissionPolicy capshim there and bound, and is no other volume called capshim?";

/// Edits of the Deployment's template, and what is said of them: first of the Deployment, then of a
/// pod of it.
const REFUSALS: &[(&str, Edit, &[&str], &[&str])] = &[
    ("as it is", |_| {}, &[], &[]),
    ("args only", |pod| remove(pod, "command"), &[SILENT], &[SILENT, NOT_PUT]),
    ("an empty command", |pod| app(pod)["command"] = json!([]), &[SILENT], &[SILENT, NOT_PUT]),
    (
        "neither command nor args",
        |pod| {
            remove(pod, "command");
            remove(pod, "args");
        },
        &[SILENT],
        &[SILENT, NOT_PUT],
    ),
    (
        "a container that is not there",
        |pod| pod["metadata"]["annotations"] = json!({ CONTAINERS: "my-web,cache, my-web" }),
        &["capshim.internal/containers: no container 'cache', ' my-web'. It has: my-web"],
        &["capshim.internal/containers: no container 'cache', ' my-web'. It has: my-web"],
    ),
    (
        "another volume of the name",
        |pod| pod["spec"]["volumes"] = json!([{ "name": "capshim", "emptyDir": {} }]),
        &[],
        &[NOT_PUT],
    ),
    (
        "the same, with the annotation",
        |pod| {
            pod["spec"]["volumes"] = json!([{ "name": "capshim", "emptyDir": {} }]);
            pod["metadata"]["annotations"] = json!({ CONTAINERS: "my-web" });
        },
        &[],
        &[NOT_PUT],
    ),
    (
        "a container that another policy puts first",
        |pod| {
            pod["spec"]["volumes"] =
                json!([{ "name": "capshim", "image": { "reference": "capshim-caps:0.1.0" } }]);
            app(pod)["command"] = json!(["/.capshim/capshim", "httpd"]);
            let sidecar = json!({ "name": "mesh", "image": "busybox:1.36", "command": ["httpd", "-f"] });
            pod["spec"]["containers"].as_array_mut().expect("containers").insert(0, sidecar);
        },
        &[],
        &[],
    ),
    // guard.yaml
    ("a command before the image's shim", |pod| root_start(pod, &["my-server"]), &[BYPASSED], &[BYPASSED]),
    (
        "a shell before it",
        |pod| root_start(pod, &["sh", "-c", "exec /capshim my-server"]),
        &[BYPASSED],
        &[BYPASSED],
    ),
    ("a file that ends like it", |pod| root_start(pod, &["/usr/bin/xcapshim"]), &[BYPASSED], &[BYPASSED]),
    ("the shim itself", |pod| root_start(pod, &["/usr/bin/capshim", "my-server"]), &[], &[]),
    ("the shim by its name", |pod| root_start(pod, &["capshim", "my-server"]), &[], &[]),
    ("no command", |pod| root_start(pod, &[]), &[], &[]),
    (
        "an init container's",
        |pod| {
            root_start(pod, &[]);
            let mut init = app(pod).clone();
            (init["name"], init["command"]) = (json!("migrate"), json!(["migrate"]));
            pod["spec"]["initContainers"] = json!([init]);
        },
        &[
            "container migrate: its command discards the ENTRYPOINT of the image, and capshim with it. Put the path \
           of capshim before it, or make it args",
        ],
        &[
            "container migrate: its command discards the ENTRYPOINT of the image, and capshim with it. Put the path \
           of capshim before it, or make it args",
        ],
    ),
    (
        "a variable of the shim's where the label puts the shim",
        |pod| app(pod)["env"] = json!([{ "name": "CAPSHIM_CAPS", "value": "none" }]),
        &[],
        &[],
    ),
    (
        "the same by the annotation",
        |pod| {
            app(pod)["env"] = json!([{ "name": "CAPSHIM_CAPS", "value": "none" }]);
            pod["metadata"]["annotations"] = json!({ CONTAINERS: "my-web" });
        },
        &[],
        &[],
    ),
];

fn app(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

fn remove(pod: &mut Value, field: &str) {
    app(pod).as_object_mut().expect("a container").remove(field);
}

/// No label, and an image whose ENTRYPOINT is the shim.
fn root_start(pod: &mut Value, command: &[&str]) {
    pod["metadata"]["labels"].as_object_mut().expect("labels").remove(LABEL);
    app(pod)["env"] = json!([{ "name": "CAPSHIM_USER", "value": "app" }]);
    app(pod)["command"] = json!(command);
}

/// What is not refused as the table says.
pub fn differences(objects: &[Object]) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, edit, of_template, of_pod) in REFUSALS {
        let mut deployment = created("deployment");
        edit(template(&mut deployment));
        for (object, said) in [(&deployment, of_template), (&pod_of(&deployment), of_pod)] {
            let refused = admit(objects, object).err().unwrap_or_default();
            if refused != **said {
                differences.push(format!("{name}: {refused:?}"));
            }
        }
    }
    // Neither way serves it.
    for said in of_label(objects, "ipc_lock.setuid") {
        let [words] = &said[..] else {
            differences.push(format!("setuid: {said:?}"));
            continue;
        };
        if !words.starts_with("capshim.internal/caps: ") || !words.contains("'setuid'") {
            differences.push(format!("setuid: {words}"));
        }
    }
    differences
}

#[test]
fn what_the_shim_cannot_be_put_into_is_refused_with_words() {
    for files in WAYS {
        assert_eq!(differences(&policy::load(&files, &[])), Vec::<String>::new());
    }
}

/// What is said of a label: of every kind of workload, and of a pod of each.
fn of_label(objects: &[Object], label: &str) -> Vec<Vec<String>> {
    let labelled = CASES.iter().flat_map(|case| {
        let mut created = created(case);
        template(&mut created)["metadata"]["labels"][LABEL] = json!(label);
        [pod_of(&created), created]
    });
    labelled.map(|object| admit(objects, &object).err().unwrap_or_default()).collect()
}

/// The same, where all of them are to be told the same.
#[track_caller]
fn said_of_label(objects: &[Object], label: &str) -> Vec<String> {
    let mut said = of_label(objects, label);
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    said.remove(0)
}

#[test]
fn a_label_that_the_image_of_the_volume_cannot_serve_is_refused() {
    let objects = policy::load(&BY_IMAGE_VOLUME, &[]);
    let has = "It has: kill, net_bind_service, net_admin, net_raw, ipc_lock, sys_nice, sys_time, syslog, perfmon. \
               Several are joined by dots";
    for (label, missing) in [
        ("sys_admin", "sys_admin"),
        ("ipc_lock.SETUID.chown", "setuid', 'chown"),
        ("cap_ipc_lock", "cap_ipc_lock"),
        ("ipc_lock_net_raw", "ipc_lock_net_raw"),
        ("ipc_lock..net_raw", ""),
        ("", ""),
    ] {
        let said = format!("capshim.internal/caps: not in the image capshim-caps:0.1.0: '{missing}'. {has}");
        assert_eq!(said_of_label(&objects, label), [said], "{label}");
    }
    for label in ["ipc_lock", "Net_Bind_Service.net_raw.NET_ADMIN", "sys_nice.sys_time.perfmon"] {
        assert_eq!(said_of_label(&objects, label), [""; 0], "{label}");
    }
}

/// The binary decides, and the policy says the same before.
#[test]
fn a_label_that_an_installation_refuses_is_refused() {
    needs_containerd!();
    let objects = policy::load(&BY_INIT_CONTAINER, &[]);
    let folder = TempDir::with_prefix("capshim-install-").expect("a temporary folder");
    let names = caps::all().into_iter().map(|cap| cap.to_string().trim_start_matches("CAP_").to_lowercase());
    let mut refused = Vec::new();
    for name in names.chain(["ipclock", "all", "none", "14"].map(String::from)) {
        let mut install = Command::new(built("capshim"));
        let output = install.arg("--install").arg(folder.path()).args(["--file-caps", &name]).output();
        // It may also end with 77, where this machine's root may not give a file such a capability.
        let usage = output.expect("capshim").status.code() == Some(64);
        let said = said_of_label(&objects, &name);
        assert_eq!(said.is_empty(), !usage, "{name}: {said:?}");
        if usage {
            let words =
                format!("capshim.internal/caps: capshim --install refuses '{name}': it is no capability's");
            assert!(said[0].starts_with(&words), "{said:?}");
            refused.push(name);
        }
    }
    refused.sort();
    assert_eq!(refused, ["14", "all", "ipclock", "none", "setfcap", "setgid", "setpcap", "setuid"]);
}
