//! The Kubernetes manifests of `examples/kubernetes`, read strictly: a field that is not listed
//! here is an error, so that nothing in them goes untested.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::images;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kubernetes")
}

/// The first object of a file.
#[track_caller]
pub fn load(file: &str) -> Workload {
    let text = fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    parse(&text).remove(0)
}

/// The fields of a pod in docs/non-root.md, in an object as a user would paste them into.
pub fn of_document() -> String {
    let document = include_str!("../../../docs/non-root.md");
    let block =
        document.split("```yaml\n").find(|block| block.starts_with("initContainers:\n")).expect("a block");
    let fields = block.split("```").next().unwrap_or_default().replace('\n', "\n      ");
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: app }}\nspec:\n  template:\n    spec:\n      {fields}\n"
    )
}

/// The objects of a text.
#[track_caller]
pub fn parse(text: &str) -> Vec<Workload> {
    let documents = serde_norway::Deserializer::from_str(text);
    documents
        .map(|document| Workload::deserialize(document).unwrap_or_else(|error| panic!("{error}")))
        .collect()
}

macro_rules! strict {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase", default)]
        #[allow(dead_code, reason = "a field that no test reads is one that a manifest may have")]
        pub struct $name { $(pub $field: $type,)* }
    )*};
}

impl Workload {
    /// The application's container.
    pub fn app(&self) -> Container {
        self.spec.template.spec.containers[0].clone()
    }
}

impl Container {
    /// The same without the shim: the application directly.
    pub fn without_shim(&self) -> Container {
        let written = [self.command.clone(), self.args.clone()].concat();
        let command = match written.first() {
            Some(first) if first.ends_with("/capshim") => written[1..].to_vec(),
            // The image's ENTRYPOINT is the shim.
            Some(_) => written,
            None => images::command(&self.image),
        };
        Container { command, args: Vec::new(), ..self.clone() }
    }
}

type Map = BTreeMap<String, String>;

strict! {
    /// A Deployment, DaemonSet or Job: what runs pods.
    Workload {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: WorkloadSpec,
    }
    Metadata {
        name: String,
        labels: Map,
    }
    WorkloadSpec {
        replicas: Option<u32>,
        backoff_limit: Option<u32>,
        min_ready_seconds: Option<u32>,
        pod_failure_policy: Option<PodFailurePolicy>,
        ttl_seconds_after_finished: Option<u32>,
        selector: Option<Selector>,
        template: Template,
    }
    PodFailurePolicy {
        rules: Vec<FailureRule>,
    }
    FailureRule {
        action: String,
        on_exit_codes: Option<ExitCodes>,
    }
    ExitCodes {
        operator: String,
        values: Vec<i32>,
    }
    Selector {
        match_labels: Map,
    }
    Template {
        metadata: Metadata,
        spec: PodSpec,
    }
    PodSpec {
        automount_service_account_token: Option<bool>,
        dns_policy: Option<String>,
        host_network: bool,
        host_users: Option<bool>,
        restart_policy: Option<String>,
        share_process_namespace: bool,
        termination_grace_period_seconds: Option<u32>,
        security_context: PodSecurity,
        init_containers: Vec<Container>,
        containers: Vec<Container>,
        volumes: Vec<Volume>,
    }
    PodSecurity {
        run_as_user: Option<i64>,
        run_as_group: Option<i64>,
        run_as_non_root: Option<bool>,
        fs_group: Option<i64>,
        supplemental_groups: Vec<i64>,
        seccomp_profile: Option<SeccompProfile>,
    }
    SeccompProfile {
        r#type: String,
    }
    Container {
        name: String,
        image: String,
        command: Vec<String>,
        args: Vec<String>,
        env: Vec<Variable>,
        ports: Vec<Port>,
        security_context: Security,
        volume_mounts: Vec<VolumeMount>,
        liveness_probe: Option<Handler>,
        lifecycle: Lifecycle,
        termination_message_policy: Option<String>,
    }
    Variable {
        name: String,
        value: String,
    }
    Port {
        name: Option<String>,
        container_port: u16,
    }
    Security {
        run_as_user: Option<i64>,
        run_as_group: Option<i64>,
        run_as_non_root: Option<bool>,
        read_only_root_filesystem: bool,
        allow_privilege_escalation: Option<bool>,
        seccomp_profile: Option<SeccompProfile>,
        capabilities: Capabilities,
    }
    Capabilities {
        drop: Vec<String>,
        add: Vec<String>,
    }
    VolumeMount {
        name: String,
        mount_path: String,
        read_only: bool,
    }
    Lifecycle {
        pre_stop: Option<Handler>,
    }
    Handler {
        exec: Option<Exec>,
        period_seconds: Option<u32>,
    }
    Exec {
        command: Vec<String>,
    }
    Volume {
        name: String,
        empty_dir: Option<EmptyDir>,
        image: Option<ImageSource>,
    }
    ImageSource {
        reference: String,
    }
    EmptyDir {
        medium: String,
        size_limit: Option<String>,
    }
}
