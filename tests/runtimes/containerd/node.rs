//! A containerd of the tests' own, with the images, in namespaces of its own: whatever it
//! starts and mounts ends with them, also if the test is killed.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::cri::Cri;
use super::manifest::load;
use crate::engines::from::script;
use crate::images::{self, PAUSE, output};
use crate::machine::told;

/// A machine as a kubelet sees it: a runtime's socket, and folders.
pub struct Node {
    folder: TempDir,
    cri: Option<Cri>,
    namespaces: Child,
    /// The first process of the namespaces, by its number out here.
    init: String,
    pods: Cell<u32>,
}

/// The first process of the namespaces. The end of its standard input is the end of the node.
/// The network is theirs, too: what tests bind on the "host" meets nobody's port.
const INIT: &str = r#"
read -r pid _ </proc/self/stat
echo "$pid"
mount -t proc proc /proc
mount -t tmpfs run /run
# A cache of the network plugins.
mount -t tmpfs lib /var/lib
busybox ip link set lo up
containerd --config "$1" >"$2" 2>&1 &
cat >/dev/null
"#;

impl Node {
    pub fn start() -> Node {
        let folder = TempDir::with_prefix("capshim-node-").expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("config.toml"), configuration(&path("socket"))).expect("a file");
        for plugin in ["loopback", "nothing"] {
            script(&path(plugin), PLUGIN);
        }
        let network = r#"{ "cniVersion": "0.4.0", "name": "nothing", "type": "nothing" }"#;
        fs::write(path("nothing.conf"), network).expect("a file");
        let ready = UnixDatagram::bind(path("ready")).expect("a socket");
        ready.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");

        let mut namespaces = Command::new("unshare");
        namespaces.args(["--mount", "--net", "--pid", "--fork", "sh", "-c", INIT, "init"]);
        namespaces.arg(path("config.toml")).arg(path("log")).env("NOTIFY_SOCKET", path("ready"));
        let mut namespaces =
            namespaces.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut init = String::new();
        BufReader::new(namespaces.stdout.take().expect("a pipe")).read_line(&mut init).expect("a number");
        let mut node =
            Node { folder, cri: None, namespaces, init: init.trim().to_owned(), pods: Cell::new(0) };

        // As to systemd: "READY=1" (sd_notify(3)).
        if let Err(error) = told(&ready) {
            panic!("containerd: {error}: {}", node.log());
        }
        node.cri = Some(Cri::connect(&node.path("socket")));
        node.import();
        node
    }

    pub fn cri(&self) -> &Cri {
        self.cri.as_ref().expect("connected when started")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A name for one more pod, and a folder.
    pub fn next_pod(&self) -> (String, PathBuf) {
        let name = format!("pod-{}", self.pods.replace(self.pods.get() + 1));
        let folder = self.path(&name);
        (name, folder)
    }

    /// What all that runs here is a child of, in every hierarchy of control groups.
    pub fn cgroup(&self) -> String {
        let name = self.folder.path().file_name().expect("a name");
        format!("/{}", name.to_string_lossy())
    }

    /// Runs a program of this machine where containerd runs, so that a mount of it is seen there.
    pub fn inside(&self, program: &str, arguments: &[&str]) {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &self.init, "--mount", program]).args(arguments);
        output(nsenter.output().expect("nsenter"));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn import(&self) {
        let mut import = Command::new("ctr");
        import.arg("--address").arg(self.path("socket")).args([
            "--namespace",
            "k8s.io",
            "image",
            "import",
            "-",
        ]);
        let mut import = import.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("ctr");
        import.stdin.take().expect("a pipe").write_all(images::archive()).expect("the images");
        assert!(import.wait().expect("ctr").success(), "{}", self.log());
        self.cri().wait_for_image(PAUSE);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.namespaces.stdin.take());
        let _ = self.namespaces.wait();
        remove_cgroups(&self.cgroup());
    }
}

/// containerd's settings. /run is the namespace's own.
fn configuration(socket: &Path) -> String {
    let folder = socket.parent().expect("a folder").display();
    let socket = socket.display();
    format!(
        r#"version = 2
root = "/run/containerd-root"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# A sandbox's oom_score_adj is lowered only where this machine's root may (SYS_RESOURCE).
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{folder}"
conf_dir = "{folder}"
"#
    )
}

/// A CNI plugin that gives a pod's network namespace nothing, and says that all is well.
const PLUGIN: &str = r#"#!/bin/sh
cat >/dev/null
echo '{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0"}], "ips": [{"version": "4", "address": "192.0.2.2/24"}]}'
"#;

/// The hierarchies of control groups: one, or one for each controller and one for all.
fn cgroup_roots() -> impl Iterator<Item = PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let inner = fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    [root].into_iter().chain(inner)
}

/// A control group without processes is removed like a folder.
fn remove_cgroups(name: &str) {
    for root in cgroup_roots() {
        let group = root.join(name.trim_start_matches('/'));
        for inner in fs::read_dir(&group).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(inner.path());
        }
        let _ = fs::remove_dir(group);
    }
}

/// Ends a test here, loudly, where containerd cannot be run; fails it where all tests must.
#[macro_export]
macro_rules! needs_containerd {
    () => {
        $crate::needs!("containerd", "ctr", "runc", "busybox", "setcap", "unshare", "nsenter")
    };
}

#[test]
fn a_node_leaves_nothing_behind() {
    needs_containerd!();
    let node = Node::start();
    let mut manifest = load("non-root-init-container.yaml");
    manifest.spec.template.spec.volumes[0].empty_dir.as_mut().expect("an emptyDir").medium = "Memory".into();
    let pod = node.sandbox(&manifest);
    pod.start(&manifest.app().without_shim()).expect("a start").holds("httpd");
    let (folder, cgroup, init) = (node.path(""), node.cgroup(), node.init.clone());
    let members = || {
        let processes = fs::read_dir("/proc").expect("/proc").map(|entry| entry.expect("an entry").path());
        processes
            .filter(|path| fs::read_to_string(path.join("cgroup")).unwrap_or_default().contains(&cgroup))
            .count()
    };
    let groups = || cgroup_roots().filter(|root| root.join(cgroup.trim_start_matches('/')).exists()).count();
    assert!(folder.exists() && members() == 2 && groups() > 0 && Path::new("/proc").join(&init).exists());

    drop(pod);
    drop(node);
    assert!(!folder.exists() && !Path::new("/proc").join(&init).exists());
    assert_eq!((members(), groups()), (0, 0));
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(&cgroup), "{mounts}");
}
