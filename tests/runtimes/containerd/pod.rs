//! Pods that run: their volumes, their containers, and what these left in their logs.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_cri::v1::PodSandboxConfig;

use super::cri::wait_for;
use super::kubelet;
use super::manifest::{Container, PodSpec, Volume, Workload};
use super::node::Node;
use super::status::in_words;
use crate::container::Output;
use crate::engines::versions::numbers;

/// A pod. It ends with its node.
pub struct Pod<'a> {
    node: &'a Node,
    spec: PodSpec,
    folder: PathBuf,
    config: PodSandboxConfig,
    sandbox: String,
    started: Cell<u32>,
}

/// A container that was started.
pub struct Started<'a> {
    node: &'a Node,
    id: String,
    log: PathBuf,
}

impl Node {
    /// Starts a pod: its volumes and its sandbox, then its init containers one after the other,
    /// each to a good end. Its containers are for the test to start.
    pub fn pod(&self, manifest: &Workload) -> Pod<'_> {
        let pod = self.sandbox(manifest);
        pod.init();
        pod
    }

    /// The same before any container of it.
    pub fn sandbox(&self, manifest: &Workload) -> Pod<'_> {
        let mut spec = manifest.spec.template.spec.clone();
        let (name, folder) = self.next_pod();
        fs::create_dir_all(folder.join("logs")).expect("a folder");
        for volume in &mut spec.volumes {
            match volume.image.take_if(|_| !self.mounts_images()) {
                Some(image) => self.mount_image(&folder_of(&folder, &volume.name), &image.reference),
                None if volume.image.is_some() => {}
                None => self.volume(&folder, volume, spec.security_context.fs_group),
            }
        }
        let config = kubelet::sandbox(&spec, &name, &folder.join("logs"), self.cgroup());
        let sandbox = self.cri().run_sandbox(&config).unwrap_or_else(|error| panic!("{error}"));
        Pod { node: self, spec, folder, config, sandbox, started: Cell::new(0) }
    }

    /// Whether an image may be mounted by name, as a volume. Older versions of containerd have no such mount.
    pub fn mounts_images(&self) -> bool {
        numbers(&self.cri().version()) >= [2, 1, 0]
    }

    /// What newer versions of containerd do for an image volume: the image's layers, read-only.
    fn mount_image(&self, folder: &Path, image: &str) {
        fs::create_dir_all(folder).expect("a folder");
        let known = self.cri().image(image).unwrap_or_else(|| panic!("{image}: ErrImagePull"));
        let (socket, folder) = (self.path("socket").display().to_string(), folder.display().to_string());
        let mount = ["--namespace", "k8s.io", "image", "mount", &known.repo_tags[0], &folder];
        self.inside("ctr", &[&["--address", &socket], &mount[..]].concat());
    }

    /// An emptyDir: a folder of everyone's, or a tmpfs; of fsGroup, where there is one.
    fn volume(&self, pod: &Path, volume: &Volume, fs_group: Option<i64>) {
        let path = folder_of(pod, &volume.name);
        fs::create_dir_all(&path).expect("a folder");
        let name = path.display().to_string();
        match volume.empty_dir.as_ref().expect("an emptyDir").medium.as_str() {
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

/// Where a pod's volume is on the node.
fn folder_of(pod: &Path, volume: &str) -> PathBuf {
    pod.join("volumes").join(volume)
}

impl<'a> Pod<'a> {
    /// The same with the volumes as this manifest has them: a runtime that has no image volumes is asked for
    /// one all the same.
    pub fn with_volumes_of(self, manifest: &Workload) -> Pod<'a> {
        Pod { spec: manifest.spec.template.spec.clone(), ..self }
    }
}

impl Pod<'_> {
    pub fn init(&self) {
        for container in &self.spec.init_containers {
            let output = self.run(container).expect(&container.name);
            assert_eq!(output.code, 0, "{}: {}", container.name, output.stderr);
        }
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        folder_of(&self.folder, name)
    }

    /// Starts a container and waits for its end. An error is what `kubectl describe` says where
    /// it does not come to a start.
    pub fn run(&self, container: &Container) -> Result<Output, String> {
        Ok(self.start(container)?.wait())
    }

    pub fn start(&self, container: &Container) -> Result<Started<'_>, String> {
        let cri = self.node.cri();
        let image = cri.image(&container.image).ok_or(format!("{}: ErrImagePull", container.image))?;
        // No two containers may have the same name, and a test starts one several times.
        let log = format!("{}-{}.log", container.name, self.started.replace(self.started.get() + 1));
        // A kubelet passes on by what name the runtime knows an image once it is pulled.
        let mut spec = self.spec.clone();
        for volume in spec.volumes.iter_mut().filter_map(|volume| volume.image.as_mut()) {
            volume.reference = cri.image(&volume.reference).ok_or("ErrImagePull")?.id;
        }
        let config = kubelet::container(&spec, container, &image, &log, |volume| self.volume(volume))?;
        let id = cri.start(&self.sandbox, config, &self.config)?;
        Ok(Started { node: self.node, id, log: PathBuf::from(&self.config.log_directory).join(log) })
    }
}

impl Started<'_> {
    /// What `kubectl exec`, a probe or a hook does.
    pub fn exec(&self, command: &[&str]) -> Output {
        let answer = self.node.cri().exec(&self.id, command).unwrap_or_else(|error| {
            let Output { code, stdout, stderr } = self.wait();
            panic!("{error}: {code}\n{stdout}{stderr}")
        });
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Output { code: answer.exit_code, stdout: text(answer.stdout), stderr: text(answer.stderr) }
    }

    pub fn wait(&self) -> Output {
        let code = self.node.cri().wait(&self.id);
        Output { code, stdout: self.log("stdout"), stderr: self.log("stderr") }
    }

    /// What a kubelet does at the end of a pod: the stop signal, and after a while the one that
    /// cannot be caught.
    pub fn stop(&self) -> Output {
        self.node.cri().stop(&self.id, 30);
        self.wait()
    }

    /// Waits until it has written this line.
    pub fn wait_for_line(&self, line: &str) {
        wait_for(line, || {
            let exited = self.node.cri().exited(&self.id);
            let written = self.log("stdout").lines().any(|written| written == line);
            assert!(written || exited.is_none(), "{exited:?}: {}", self.log("stderr"));
            written.then_some(())
        });
    }

    /// How long it lived, once it has ended.
    pub fn life(&self) -> Duration {
        self.node.cri().life(&self.id)
    }

    /// What the first process holds, once it is this program, in the words of /state.
    pub fn holds(&self, program: &str) -> Output {
        let status = wait_for(program, || {
            let status = self.exec(&["cat", "/proc/1/status"]).stdout;
            status.starts_with(&format!("Name:\t{program}\n")).then_some(status)
        });
        Output { code: 0, stdout: in_words(&status), stderr: self.log("stderr") }
    }

    /// The same of a server that ends here.
    pub fn held(self, program: &str) -> Output {
        let output = self.holds(program);
        self.node.cri().stop(&self.id, 0);
        output
    }

    fn log(&self, stream: &str) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter_map(|line| entry(line, stream)).collect()
    }
}

/// An entry of a container's log, `TIME STREAM TAG TEXT`, where P tags one that goes on.
fn entry(line: &str, wanted: &str) -> Option<String> {
    let mut parts = line.splitn(4, ' ').skip(1);
    let (stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?);
    let end = if tag == "P" { "" } else { "\n" };
    (stream == wanted).then(|| format!("{text}{end}"))
}
