//! The Pod Security level that each manifest says it has, and those of the modes of a start.

use serde_json::json;

use super::kustomize::example;
use super::pod_security::Level::{Baseline, Restricted};
use super::pod_security::{RULES, broken, level, spec};
use super::schema::{files, read};
use crate::needs;

#[test]
fn the_restricted_deployment_breaks_no_rule_and_each_rule_would_be_seen_to_be_broken() {
    let restricted = spec(&read("restricted.yaml"));
    assert_eq!(level(&restricted), "restricted");
    let changes = [
        ("HostProcess", "/securityContext/windowsOptions", json!({ "hostProcess": true })),
        ("HostProcess", "/containers/0/securityContext/windowsOptions", json!({ "hostProcess": true })),
        ("Host Namespaces", "/hostNetwork", json!(true)),
        ("Host Namespaces", "/hostPID", json!(true)),
        ("Host Namespaces", "/hostIPC", json!(true)),
        ("Privileged Containers", "/containers/0/securityContext/privileged", json!(true)),
        ("Capabilities", "/containers/0/securityContext/capabilities/add", json!(["IPC_LOCK"])),
        ("HostPath Volumes", "/volumes", json!([{ "name": "all", "hostPath": { "path": "/" } }])),
        ("Host Ports", "/containers/0/ports/0/hostPort", json!(80)),
        (
            "Host Probes / Lifecycle Hooks",
            "/containers/0/livenessProbe",
            json!({ "tcpSocket": { "host": "127.0.0.1" } }),
        ),
        ("AppArmor", "/containers/0/securityContext/appArmorProfile", json!({ "type": "Unconfined" })),
        ("SELinux", "/containers/0/securityContext/seLinuxOptions", json!({ "type": "spc_t" })),
        ("SELinux", "/securityContext/seLinuxOptions", json!({ "user": "system_u" })),
        ("/proc Mount Type", "/containers/0/securityContext/procMount", json!("Unmasked")),
        ("Seccomp", "/containers/0/securityContext/seccompProfile", json!({ "type": "Unconfined" })),
        ("Seccomp", "/securityContext/seccompProfile", json!(null)),
        ("Sysctls", "/securityContext/sysctls", json!([{ "name": "kernel.msgmax", "value": "1" }])),
        ("Volume Types", "/volumes", json!([{ "name": "share", "nfs": { "server": "a", "path": "/" } }])),
        ("Privilege Escalation", "/containers/0/securityContext/allowPrivilegeEscalation", json!(null)),
        ("Running as Non-root", "/securityContext/runAsNonRoot", json!(null)),
        ("Running as Non-root", "/containers/0/securityContext/runAsNonRoot", json!(false)),
        ("Running as Non-root user", "/containers/0/securityContext/runAsUser", json!(0)),
        ("Capabilities", "/containers/0/securityContext/capabilities/drop", json!(["KILL"])),
        ("Capabilities", "/containers/0/securityContext/capabilities/add", json!(["CHOWN"])),
    ];
    for (rule, place, value) in &changes {
        let mut changed = restricted.clone();
        let (parent, field) = place.rsplit_once('/').expect("a field");
        changed.pointer_mut(parent).expect("a place")[field] = value.clone();
        let found = [broken(&changed, Baseline), broken(&changed, Restricted)].concat();
        assert!(!found.is_empty() && found.iter().all(|name| related(name, rule)), "{place}: {found:?}");
    }
    for rule in &RULES {
        assert!(changes.iter().any(|(name, ..)| *name == rule.name), "{} is not tried", rule.name);
    }
}

/// A hostPath is of no type that restricted admits, either.
fn related(found: &str, rule: &str) -> bool {
    found == rule || (found, rule) == ("Volume Types", "HostPath Volumes")
}

#[test]
fn every_manifest_says_its_level() {
    for file in files().iter().filter(|file| !file.contains('/')) {
        let text = read(file);
        let said = text.lines().find_map(|line| line.strip_prefix("# Pod Security: "));
        let said = said.and_then(|said| said.split(['.', ' ', ',']).next());
        assert_eq!(said, Some(level(&spec(&text))), "{file}");
    }
}

#[test]
fn a_root_start_is_at_best_baseline_and_a_start_as_another_user_can_be_restricted() {
    for (file, capability, expected) in [
        ("root-start.yaml", "CHOWN", "baseline"),
        ("root-start.yaml", "NET_BIND_SERVICE", "baseline"),
        ("stay-root.yaml", "NET_BIND_SERVICE", "baseline"),
        ("file-capabilities.yaml", "NET_BIND_SERVICE", "restricted"),
        ("non-root-image.yaml", "NET_BIND_SERVICE", "restricted"),
        ("non-root-image.yaml", "CHOWN", "baseline"),
        ("non-root-init-container.yaml", "NET_BIND_SERVICE", "baseline"),
        ("image-volume.yaml", "NET_BIND_SERVICE", "restricted"),
        ("image-volume.yaml", "KILL", "baseline"),
        ("image-volume.yaml", "IPC_LOCK", "privileged"),
    ] {
        let added = format!("\"{capability}\"");
        let text = read(file).replace("\"IPC_LOCK\"", &added).replace("\"NET_BIND_SERVICE\"", &added);
        assert_eq!(level(&spec(&text)), expected, "{file} with {capability}");
    }
}

#[test]
fn an_init_container_with_setfcap_is_baseline_and_never_restricted() {
    needs!("kubectl");
    let mut component = spec(&example());
    component["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["NET_BIND_SERVICE"]);
    assert_eq!(level(&component), "baseline");
    assert_eq!(
        broken(&component, Restricted),
        ["Running as Non-root", "Running as Non-root user", "Capabilities"]
    );
}
