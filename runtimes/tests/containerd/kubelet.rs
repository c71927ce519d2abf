//! What a kubelet makes of a pod's specification: volumes, and requests to the runtime.
//!
//! From pkg/kubelet/kuberuntime of Kubernetes: security_context.go, and kuberuntime_container.go.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use k8s_cri::v1::security_profile::ProfileType;
use k8s_cri::v1::{
    Capability, ContainerConfig, ContainerMetadata, DnsConfig, ImageSpec, Int64Value, KeyValue,
    LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    Mount, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata, SecurityProfile,
};

use super::manifest::{Container, EmptyDir, PodSpec, SeccompProfile};
use super::node::Node;
use crate::container::Output;

/// A pod. It ends with its node.
pub struct Pod<'a> {
    node: &'a Node,
    spec: PodSpec,
    config: PodSandboxConfig,
    sandbox: String,
    count: Cell<u32>,
}

/// A container that was started.
pub struct Started<'a> {
    pod: &'a Pod<'a>,
    id: String,
    log: PathBuf,
}

impl Node {
    /// Starts a pod: its volumes and its sandbox, then its init containers one after the other,
    /// each to a good end. Its containers are for the test to start.
    pub fn pod(&self, spec: &PodSpec) -> Pod<'_> {
        let pod = self.sandbox(spec);
        for container in &pod.spec.init_containers {
            let output = pod.run(container).expect(&container.name);
            assert_eq!(output.code, 0, "{}: {}", container.name, output.stderr);
        }
        pod
    }

    /// The same before any container of it.
    pub fn sandbox(&self, spec: &PodSpec) -> Pod<'_> {
        let folder = self.path("pod");
        assert!(!folder.exists(), "one pod to a node");
        fs::create_dir_all(folder.join("logs")).expect("a folder");
        for volume in &spec.volumes {
            let path = folder.join("volumes").join(&volume.name);
            self.volume(
                path,
                volume.empty_dir.as_ref().expect("an emptyDir"),
                spec.security_context.fs_group,
            );
        }
        let security = LinuxSandboxSecurityContext {
            namespace_options: Some(namespaces()),
            seccomp: Some(profile(Some(&SeccompProfile { r#type: "RuntimeDefault".into() }))),
            ..LinuxSandboxSecurityContext::default()
        };
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: "pod".into(),
                uid: "1".into(),
                namespace: "test".into(),
                attempt: 0,
            }),
            log_directory: folder.join("logs").display().to_string(),
            // Without, the runtime copies this machine's /etc/resolv.conf.
            dns_config: Some(DnsConfig { servers: vec!["127.0.0.1".into()], ..DnsConfig::default() }),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: self.cgroup(),
                security_context: Some(security),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        };
        let sandbox = self.cri().run_sandbox(&config).unwrap_or_else(|error| panic!("{error}"));
        Pod { node: self, spec: spec.clone(), config, sandbox, count: Cell::new(0) }
    }

    /// An emptyDir: a folder of everyone's, or a tmpfs; of fsGroup, where there is one.
    fn volume(&self, path: PathBuf, volume: &EmptyDir, fs_group: Option<i64>) {
        fs::create_dir_all(&path).expect("a folder");
        let name = path.display().to_string();
        match volume.medium.as_str() {
            "" => fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("chmod"),
            "Memory" => self.inside("mount", &["-t", "tmpfs", "-o", "mode=0777", "tmpfs", &name]),
            unknown => panic!("emptyDir.medium: {unknown}"),
        }
        if let Some(gid) = fs_group {
            self.inside("chown", &[&format!(":{gid}"), &name]);
            self.inside("chmod", &["2777", &name]);
        }
    }
}

impl Pod<'_> {
    /// Starts a container and waits for its end. An error is what `kubectl describe` says where
    /// it does not come to a start.
    pub fn run(&self, container: &Container) -> Result<Output, String> {
        Ok(self.start(container)?.wait())
    }

    pub fn start(&self, container: &Container) -> Result<Started<'_>, String> {
        let log = format!("{}-{}.log", container.name, self.count.replace(self.count.get() + 1));
        let config = self.container(container, &log)?;
        let id = self.node.cri().start(&self.sandbox, config, &self.config)?;
        Ok(Started { pod: self, id, log: PathBuf::from(&self.config.log_directory).join(log) })
    }

    fn container(&self, container: &Container, log: &str) -> Result<ContainerConfig, String> {
        let mounts = container.volume_mounts.iter().map(|mount| {
            assert!(
                self.spec.volumes.iter().any(|volume| volume.name == mount.name),
                "no volume {}",
                mount.name
            );
            Mount {
                container_path: mount.mount_path.clone(),
                host_path: self.node.path("pod/volumes").join(&mount.name).display().to_string(),
                readonly: mount.read_only,
                ..Mount::default()
            }
        });
        let envs = container
            .env
            .iter()
            .map(|variable| KeyValue { key: variable.name.clone(), value: variable.value.clone() });
        for word in container.command.iter().chain(&container.args) {
            assert!(!word.contains("$("), "a reference to a variable, which a kubelet expands: {word}");
        }
        Ok(ContainerConfig {
            // The log's name, since no two containers may have the same.
            metadata: Some(ContainerMetadata { name: log.to_owned(), attempt: 0 }),
            image: Some(ImageSpec { image: container.image.clone(), ..ImageSpec::default() }),
            command: container.command.clone(),
            args: container.args.clone(),
            envs: envs.collect(),
            mounts: mounts.collect(),
            log_path: log.to_owned(),
            linux: Some(LinuxContainerConfig {
                security_context: Some(self.security(container)?),
                ..LinuxContainerConfig::default()
            }),
            ..ContainerConfig::default()
        })
    }

    /// A container's field counts before its pod's.
    fn security(&self, container: &Container) -> Result<LinuxContainerSecurityContext, String> {
        let (own, pod) = (&container.security_context, &self.spec.security_context);
        let image =
            self.node.cri().image(&container.image).ok_or(format!("{}: ErrImagePull", container.image))?;
        let image_uid = match (image.uid, image.username.as_str()) {
            (Some(uid), _) => Some(uid.value),
            (None, "") => Some(0),
            (None, _) => None,
        };
        let asked = own.run_as_user.or(pod.run_as_user);
        if own.run_as_non_root.or(pod.run_as_non_root) == Some(true) {
            match (asked, image_uid) {
                (Some(0), _) => return Err("container's runAsUser breaks non-root policy".into()),
                (None, Some(0)) => return Err("container has runAsNonRoot and image will run as root".into()),
                (None, None) => {
                    return Err("container has runAsNonRoot and image has non-numeric user, cannot verify user is non-root".into());
                }
                _ => {}
            }
        }
        let uid = asked.or(image_uid);
        let groups = pod.fs_group.iter().chain(&pod.supplemental_groups);
        Ok(LinuxContainerSecurityContext {
            capabilities: Some(Capability {
                add_capabilities: own.capabilities.add.clone(),
                drop_capabilities: own.capabilities.drop.clone(),
                ..Capability::default()
            }),
            namespace_options: Some(namespaces()),
            run_as_user: uid.map(|value| Int64Value { value }),
            run_as_group: own.run_as_group.or(pod.run_as_group).map(|value| Int64Value { value }),
            run_as_username: if uid.is_none() { image.username } else { String::new() },
            readonly_rootfs: own.read_only_root_filesystem,
            supplemental_groups: groups.copied().collect(),
            no_new_privs: own.allow_privilege_escalation == Some(false),
            masked_paths: MASKED.map(String::from).to_vec(),
            readonly_paths: READ_ONLY.map(String::from).to_vec(),
            seccomp: Some(profile(own.seccomp_profile.as_ref().or(pod.seccomp_profile.as_ref()))),
            ..LinuxContainerSecurityContext::default()
        })
    }
}

impl Started<'_> {
    /// What `kubectl exec`, a probe or a hook gets.
    pub fn exec(&self, command: &[&str]) -> Output {
        let answer = self.pod.node.cri().exec(&self.id, command);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Output { code: answer.exit_code, stdout: text(answer.stdout), stderr: text(answer.stderr) }
    }

    pub fn stop(&self, seconds: i64) {
        self.pod.node.cri().stop(&self.id, seconds);
    }

    pub fn wait(&self) -> Output {
        let code = self.pod.node.cri().wait(&self.id);
        let log = fs::read_to_string(&self.log).expect("a log");
        let stream = |name: &str| log.lines().filter_map(|line| entry(line, name)).collect();
        Output { code, stdout: stream("stdout"), stderr: stream("stderr") }
    }
}

/// An entry of a container's log, `TIME STREAM TAG TEXT`, where P tags one that goes on.
fn entry(line: &str, wanted: &str) -> Option<String> {
    let mut parts = line.splitn(4, ' ').skip(1);
    let (stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?);
    let end = if tag == "P" { "" } else { "\n" };
    (stream == wanted).then(|| format!("{text}{end}"))
}

/// There is no CNI here, so every pod has the node's network, which is the tests' own. Kubernetes
/// gives every container its own PIDs.
fn namespaces() -> NamespaceOption {
    NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ipc: NamespaceMode::Pod.into(),
        ..NamespaceOption::default()
    }
}

/// Without a profile: unconfined, unless the node's seccompDefault is set.
fn profile(seccomp: Option<&SeccompProfile>) -> SecurityProfile {
    let kind = match seccomp.map(|profile| profile.r#type.as_str()) {
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
