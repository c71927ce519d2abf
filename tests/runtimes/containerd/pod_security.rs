//! The rules of the Pod Security Standards, as their tables have them: a path, and what may stand
//! there.

use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Level {
    Baseline,
    Restricted,
}
use Level::{Baseline, Restricted};

pub struct Rule {
    pub name: &'static str,
    level: Level,
    /// `C` is every container of every kind, `*` every element. With `|`, the second counts
    /// where the first is not set.
    paths: &'static [&'static str],
    allowed: fn(&Value) -> bool,
}

const fn rule(
    name: &'static str,
    level: Level,
    paths: &'static [&'static str],
    allowed: fn(&Value) -> bool,
) -> Rule {
    Rule { name, level, paths, allowed }
}

pub const RULES: [Rule; 20] = [
    rule(
        "HostProcess",
        Baseline,
        &["securityContext/windowsOptions/hostProcess", "C/securityContext/windowsOptions/hostProcess"],
        not_true,
    ),
    rule("Host Namespaces", Baseline, &["hostNetwork", "hostPID", "hostIPC"], not_true),
    rule("Privileged Containers", Baseline, &["C/securityContext/privileged"], not_true),
    rule("Capabilities", Baseline, &["C/securityContext/capabilities/add/*"], |add| {
        among(add, &BASELINE_CAPS)
    }),
    rule("HostPath Volumes", Baseline, &["volumes/*/hostPath"], Value::is_null),
    rule("Host Ports", Baseline, &["C/ports/*/hostPort"], |port| port.is_null() || port == 0),
    rule(
        "Host Probes / Lifecycle Hooks",
        Baseline,
        &[
            "C/livenessProbe/httpGet/host",
            "C/readinessProbe/httpGet/host",
            "C/startupProbe/httpGet/host",
            "C/livenessProbe/tcpSocket/host",
            "C/readinessProbe/tcpSocket/host",
            "C/startupProbe/tcpSocket/host",
            "C/lifecycle/postStart/httpGet/host",
            "C/lifecycle/preStop/httpGet/host",
            "C/lifecycle/postStart/tcpSocket/host",
            "C/lifecycle/preStop/tcpSocket/host",
        ],
        empty,
    ),
    rule(
        "AppArmor",
        Baseline,
        &["securityContext/appArmorProfile/type", "C/securityContext/appArmorProfile/type"],
        |kind| kind.is_null() || among(kind, &["RuntimeDefault", "Localhost"]),
    ),
    rule(
        "SELinux",
        Baseline,
        &["securityContext/seLinuxOptions/type", "C/securityContext/seLinuxOptions/type"],
        |kind| {
            empty(kind)
                || among(kind, &["container_t", "container_init_t", "container_kvm_t", "container_engine_t"])
        },
    ),
    rule(
        "SELinux",
        Baseline,
        &[
            "securityContext/seLinuxOptions/user",
            "C/securityContext/seLinuxOptions/user",
            "securityContext/seLinuxOptions/role",
            "C/securityContext/seLinuxOptions/role",
        ],
        empty,
    ),
    rule("/proc Mount Type", Baseline, &["C/securityContext/procMount"], |kind| {
        kind.is_null() || kind == "Default"
    }),
    rule(
        "Seccomp",
        Baseline,
        &["securityContext/seccompProfile/type", "C/securityContext/seccompProfile/type"],
        |kind| kind.is_null() || among(kind, &["RuntimeDefault", "Localhost"]),
    ),
    rule("Sysctls", Baseline, &["securityContext/sysctls/*/name"], |name| among(name, &SYSCTLS)),
    rule("Volume Types", Restricted, &["volumes/*"], |volume| {
        volume.as_object().is_some_and(|fields| {
            fields.keys().all(|kind| kind == "name" || VOLUMES.contains(&kind.as_str()))
        })
    }),
    rule("Privilege Escalation", Restricted, &["C/securityContext/allowPrivilegeEscalation"], |allow| {
        *allow == json!(false)
    }),
    rule(
        "Running as Non-root",
        Restricted,
        &["C/securityContext/runAsNonRoot|securityContext/runAsNonRoot"],
        |asked| *asked == json!(true),
    ),
    rule(
        "Running as Non-root user",
        Restricted,
        &["securityContext/runAsUser", "C/securityContext/runAsUser"],
        |uid| uid != 0,
    ),
    rule(
        "Seccomp",
        Restricted,
        &["C/securityContext/seccompProfile/type|securityContext/seccompProfile/type"],
        |kind| among(kind, &["RuntimeDefault", "Localhost"]),
    ),
    rule("Capabilities", Restricted, &["C/securityContext/capabilities/drop"], |drop| {
        drop.as_array().is_some_and(|drop| drop.contains(&json!("ALL")))
    }),
    rule("Capabilities", Restricted, &["C/securityContext/capabilities/add/*"], |add| {
        add == "NET_BIND_SERVICE"
    }),
];

const BASELINE_CAPS: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];
/// image since Kubernetes 1.33 (kubernetes pull request 130394), whatever the version of the level.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn not_true(value: &Value) -> bool {
    *value != json!(true)
}

fn empty(value: &Value) -> bool {
    value.is_null() || value == ""
}

fn among(value: &Value, words: &[&str]) -> bool {
    words.iter().any(|word| value == word)
}

/// What stands at a path: null where nothing does, and nothing at all for an element of a list
/// that is not there.
fn at(value: &Value, path: &str) -> Vec<Value> {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let found: Vec<Value> = match first {
        "C" => ["containers", "initContainers", "ephemeralContainers"]
            .iter()
            .flat_map(|kind| elements(&value[kind]))
            .collect(),
        "*" => elements(value),
        name => vec![value[name].clone()],
    };
    match rest {
        Some(rest) => found.iter().flat_map(|value| at(value, rest)).collect(),
        None => found,
    }
}

fn elements(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

/// The rules of a level that a pod's specification breaks.
pub fn broken(spec: &Value, level: Level) -> Vec<&'static str> {
    let rules = RULES.iter().filter(|rule| rule.level == level);
    let broken = rules.filter(|rule| {
        rule.paths.iter().any(|path| {
            let (path, fallback) =
                path.split_once('|').map_or((*path, None), |(path, fallback)| (path, Some(fallback)));
            let values = at(spec, path).into_iter().map(|value| match (value.is_null(), fallback) {
                (true, Some(fallback)) => at(spec, fallback).remove(0),
                _ => value,
            });
            !values.into_iter().all(|value| (rule.allowed)(&value))
        })
    });
    broken.map(|rule| rule.name).collect()
}

pub fn spec(manifest: &str) -> Value {
    let manifest: Value = serde_norway::from_str(manifest).expect("YAML");
    // AppArmor was once chosen by one.
    let annotations = &manifest["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations.is_null(), "{annotations}");
    manifest["spec"]["template"]["spec"].clone()
}

pub fn level(spec: &Value) -> &'static str {
    match (broken(spec, Baseline).is_empty(), broken(spec, Restricted).is_empty()) {
        (true, true) => "restricted",
        (true, false) => "baseline",
        (false, _) => "privileged",
    }
}
