//! What a kubelet asks of the container runtime for a pod. Pure, but for the volumes' paths.
//!
//! As pkg/kubelet/kuberuntime of Kubernetes has it: security_context.go and
//! kuberuntime_container.go.

use std::path::{Path, PathBuf};

use k8s_cri::v1::security_profile::ProfileType;
use k8s_cri::v1::{
    Capability, ContainerConfig, ContainerMetadata, DnsConfig, IdMapping, Image, ImageSpec, Int64Value,
    KeyValue, LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, Mount, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
    SecurityProfile, UserNamespace,
};

use super::manifest::{Container, PodSpec, SeccompProfile};

pub fn sandbox(pod: &PodSpec, name: &str, logs: &Path, cgroup_parent: String) -> PodSandboxConfig {
    let security = LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        seccomp: Some(profile(Some("RuntimeDefault"))),
        ..LinuxSandboxSecurityContext::default()
    };
    let (name, namespace) = (name.to_owned(), "default".to_owned());
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata { uid: name.clone(), name, namespace, attempt: 0 }),
        log_directory: logs.display().to_string(),
        // Without, the runtime copies this machine's /etc/resolv.conf.
        dns_config: Some(DnsConfig { servers: vec!["127.0.0.1".into()], ..DnsConfig::default() }),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent,
            security_context: Some(security),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

/// A container of the pod, or what makes a kubelet not ask for it (CreateContainerConfigError).
pub fn container(
    pod: &PodSpec,
    container: &Container,
    image: &Image,
    log: &str,
    volume: impl Fn(&str) -> PathBuf,
) -> Result<ContainerConfig, String> {
    let mounts = container.volume_mounts.iter().map(|mount| {
        let of_pod = pod.volumes.iter().find(|volume| volume.name == mount.name);
        let image = &of_pod.unwrap_or_else(|| panic!("no volume {}", mount.name)).image;
        let image =
            image.as_ref().map(|image| ImageSpec { image: image.reference.clone(), ..ImageSpec::default() });
        Mount {
            container_path: mount.mount_path.clone(),
            host_path: if image.is_some() {
                String::new()
            } else {
                volume(&mount.name).display().to_string()
            },
            readonly: mount.read_only || image.is_some(),
            image,
            ..Mount::default()
        }
    });
    let variables = container.env.iter();
    let envs = variables.map(|entry| KeyValue { key: entry.name.clone(), value: entry.value.clone() });
    for word in container.command.iter().chain(&container.args) {
        assert!(!word.contains("$("), "{word}: a kubelet would put a variable in its place");
    }
    Ok(ContainerConfig {
        metadata: Some(ContainerMetadata { name: log.to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: container.image.clone(), ..ImageSpec::default() }),
        command: container.command.clone(),
        args: container.args.clone(),
        envs: envs.collect(),
        mounts: mounts.collect(),
        log_path: log.to_owned(),
        linux: Some(LinuxContainerConfig {
            security_context: Some(security(pod, container, image)?),
            ..LinuxContainerConfig::default()
        }),
        ..ContainerConfig::default()
    })
}

/// A container's field counts before its pod's.
fn security(
    pod: &PodSpec,
    container: &Container,
    image: &Image,
) -> Result<LinuxContainerSecurityContext, String> {
    let namespaces = namespaces(pod);
    let (own, pod) = (&container.security_context, &pod.security_context);
    let asked = own.run_as_user.or(pod.run_as_user);
    let of_image = match (&image.uid, image.username.as_str()) {
        (Some(uid), _) => Some(uid.value),
        (None, "") => Some(0),
        (None, _) => None,
    };
    if own.run_as_non_root.or(pod.run_as_non_root) == Some(true) {
        match (asked, of_image) {
            (Some(0), _) => return Err("container's runAsUser breaks non-root policy".into()),
            (None, Some(0)) => return Err("container has runAsNonRoot and image will run as root".into()),
            (None, None) => {
                return Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({}), cannot verify user is non-root",
                    image.username
                ));
            }
            (Some(_), _) | (None, Some(_)) => {}
        }
    }
    let uid = asked.or(of_image);
    let groups = pod.fs_group.iter().chain(&pod.supplemental_groups);
    let seccomp = own.seccomp_profile.as_ref().or(pod.seccomp_profile.as_ref());
    Ok(LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: own.capabilities.add.clone(),
            drop_capabilities: own.capabilities.drop.clone(),
            ..Capability::default()
        }),
        namespace_options: Some(namespaces),
        run_as_user: uid.map(|value| Int64Value { value }),
        run_as_group: own.run_as_group.or(pod.run_as_group).map(|value| Int64Value { value }),
        run_as_username: if uid.is_none() { image.username.clone() } else { String::new() },
        readonly_rootfs: own.read_only_root_filesystem,
        supplemental_groups: groups.copied().collect(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: MASKED.map(String::from).to_vec(),
        readonly_paths: READ_ONLY.map(String::from).to_vec(),
        seccomp: Some(profile(seccomp.map(|SeccompProfile { r#type }| r#type.as_str()))),
        ..LinuxContainerSecurityContext::default()
    })
}

/// Every pod has the node's network, which is the tests' own, but for one with a user namespace, for
/// which Kubernetes does not allow that. Kubernetes gives every container its own PIDs, unless
/// shareProcessNamespace is set.
fn namespaces(pod: &PodSpec) -> NamespaceOption {
    let remapped = pod.host_users == Some(false);
    // The kubelet gives every pod 65536 ids of its own.
    let ids = vec![IdMapping { host_id: 200_000, container_id: 0, length: 65_536 }];
    let users = UserNamespace { mode: NamespaceMode::Pod.into(), uids: ids.clone(), gids: ids };
    NamespaceOption {
        network: if remapped { NamespaceMode::Pod } else { NamespaceMode::Node }.into(),
        pid: if pod.share_process_namespace { NamespaceMode::Pod } else { NamespaceMode::Container }.into(),
        ipc: NamespaceMode::Pod.into(),
        userns_options: remapped.then_some(users),
        ..NamespaceOption::default()
    }
}

/// None is unconfined, unless the kubelet's seccompDefault is set.
fn profile(seccomp: Option<&str>) -> SecurityProfile {
    let kind = match seccomp {
        Some("RuntimeDefault") => ProfileType::RuntimeDefault,
        None | Some("Unconfined") => ProfileType::Unconfined,
        Some(unknown) => panic!("seccompProfile.type: {unknown}"),
    };
    SecurityProfile { profile_type: kind.into(), ..SecurityProfile::default() }
}

/// procMount: Default (pkg/securitycontext/util.go).
const MASKED: [&str; 8] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];
const READ_ONLY: [&str; 6] =
    ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
