//! Real containers for the tests: an OCI bundle made for one start, run by runc, and gone
//! with the value.

mod filter;
mod image;
mod machine;
pub mod output;
pub mod run;

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

pub use machine::{built, find, guard};
use machine::{emulator, runtime};
pub use output::Output;

/// What Alpine's base image has, in short.
pub const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    bin:x:1:1:bin:/bin:/sbin/nologin\n\
    nobody:x:65534:65534:nobody:/:/sbin/nologin\n\
    app:x:1000:1000:app:/home/app:/bin/sh\n\
    other:x:1001:1002::/home/other:/bin/sh\n";
pub const GROUP: &str = "root:x:0:root\nbin:x:1:root,bin,daemon\ndaemon:x:2:root,bin,daemon\n\
    sys:x:3:root,bin\nadm:x:4:root,daemon\ntty:x:5:\ndisk:x:6:root\nwheel:x:10:root\nfloppy:x:11:root\n\
    dialout:x:20:root\ntape:x:26:root\nvideo:x:27:root\naudio:x:29:app\nnobody:x:65534:\napp:x:1000:\n\
    web:x:1001:app,other\n";

/// The groups that a runtime gives root on such an image (its own, and all that list it).
pub const ROOTS_GROUPS: [u32; 11] = [0, 1, 2, 3, 4, 6, 10, 11, 20, 26, 27];

/// One container to be. The image has /capshim, the payloads /state, /lock_memory, /bind_port,
/// /listen, /orphans and /activated, /launch to set up odd starts, and busybox as /bin/sh.
pub struct Container {
    folder: TempDir,
    id: String,
    config: Value,
    stdin: Option<OwnedFd>,
    /// runc, or what has its command line, with what it is to be run by.
    pub runtime: Vec<String>,
}

impl Container {
    /// Started by the runtime as root, with SETUID and SETGID and nothing else.
    #[track_caller]
    pub fn root() -> Container {
        Container::user(0, 0).capabilities(&["SETGID", "SETUID"])
    }

    /// Started by the runtime as this user, with no capability anywhere.
    #[track_caller]
    pub fn user(uid: u32, gid: u32) -> Container {
        guard();
        let folder = TempDir::with_prefix("capshim-").expect("a temporary folder");
        // Not a process's number: tests may run in several process namespaces, over the same control groups.
        let id = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("chmod");
        let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
        let memlock = json!({ "type": "RLIMIT_MEMLOCK", "hard": 8 << 20, "soft": 8 << 20 });
        let device_options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
        let config = json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs" },
            "process": {
                "args": [], "cwd": "/", "env": ["PATH=/bin", "HOME=/root"],
                "user": { "uid": uid, "gid": gid, "additionalGids": [] },
                "capabilities": { "bounding": [], "permitted": [], "effective": [], "inheritable": [], "ambient": [] },
                "rlimits": [memlock], "noNewPrivileges": false, "terminal": false,
            },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": device_options },
            ],
            "linux": { "namespaces": namespaces },
        });
        let container = Container { folder, id, config, stdin: None, runtime: runtime() };
        for folder in ["bin", "dev", "etc", "home/app", "proc", "root", "run", "tmp"] {
            fs::create_dir_all(container.path(folder)).expect("a folder");
        }
        fs::set_permissions(container.path("tmp"), Permissions::from_mode(0o1777)).expect("chmod");
        for name in
            ["capshim", "state", "lock_memory", "bind_port", "launch", "listen", "orphans", "activated"]
        {
            fs::copy(built(name), container.path(name)).expect("a built binary");
        }
        fs::copy(find("busybox").expect("busybox"), container.path("bin/busybox")).expect("busybox");
        if let Some(emulator) = emulator() {
            fs::copy(emulator, container.path("emulator")).expect("the emulator");
            fs::copy(std::env::var_os("SHIM").expect("SHIM"), container.path("capshim")).expect("the shim");
        }
        container.link("busybox", "/bin/sh").file("/etc/passwd", PASSWD).file("/etc/group", GROUP)
    }

    /// What a runtime does with `capabilities.add`: bounding always, and for root permitted
    /// and effective. For others permitted before exec, which the kernel then clears.
    pub fn capabilities(self, names: &[&str]) -> Container {
        ["bounding", "permitted", "effective"].into_iter().fold(self, |this, set| this.set(set, names))
    }

    /// One of the five sets by itself.
    pub fn set(mut self, set: &str, names: &[&str]) -> Container {
        let names: Vec<String> = names.iter().map(|name| format!("CAP_{name}")).collect();
        self.config["process"]["capabilities"][set] = json!(names);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Container {
        self.environment().push(json!(format!("{name}={value}")));
        self
    }

    pub fn without_env(mut self, name: &str) -> Container {
        let prefix = format!("{name}=");
        self.environment().retain(|entry| !entry.as_str().unwrap_or_default().starts_with(&prefix));
        self
    }

    fn environment(&mut self) -> &mut Vec<Value> {
        self.config["process"]["env"].as_array_mut().expect("env")
    }

    /// Supplementary groups from the runtime.
    pub fn groups(mut self, gids: &[u32]) -> Container {
        self.config["process"]["user"]["additionalGids"] = json!(gids);
        self
    }

    pub fn no_new_privs(mut self) -> Container {
        self.config["process"]["noNewPrivileges"] = json!(true);
        self
    }

    pub fn read_only(mut self) -> Container {
        self.config["root"]["readonly"] = json!(true);
        self
    }

    pub fn cwd(mut self, folder: &str) -> Container {
        self.config["process"]["cwd"] = json!(folder);
        self
    }

    /// A user namespace in which the ids below `size` are those from `first` on outside.
    pub fn user_namespace(mut self, first: u32, size: u32) -> Container {
        let map = json!([{ "containerID": 0, "hostID": first, "size": size }]);
        self.config["linux"]["namespaces"]
            .as_array_mut()
            .expect("namespaces")
            .push(json!({ "type": "user" }));
        self.config["linux"]["uidMappings"] = map.clone();
        self.config["linux"]["gidMappings"] = map;
        self.image_of(first)
    }

    /// The node's own user namespace again.
    pub fn host_users(self) -> Container {
        let container = self.configured(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces");
            namespaces.retain(|namespace| namespace["type"] != "user");
            config["linux"].as_object_mut().expect("linux").retain(|name, _| !name.ends_with("Mappings"));
        });
        container.image_of(0)
    }

    /// What the runtime is told, changed by hand.
    pub fn configured(mut self, change: impl FnOnce(&mut Value)) -> Container {
        change(&mut self.config);
        self
    }

    /// A folder of the image once more at another place.
    pub fn bind(self, source: &str, destination: &str, options: &[&str]) -> Container {
        let source = self.path(source);
        self.volume(&source, destination, options)
    }

    /// A folder of the host's, or one file of the host's where the image has one too.
    pub fn volume(self, source: &Path, destination: &str, options: &[&str]) -> Container {
        self.mount(destination, "bind", source, &[&["bind"], options].concat())
    }

    /// Another file system.
    pub fn mount(mut self, destination: &str, kind: &str, source: &Path, options: &[&str]) -> Container {
        if !self.path(destination).exists() {
            fs::create_dir_all(self.path(destination)).expect("a folder");
        }
        let mount = json!({ "destination": destination, "type": kind, "source": source, "options": options });
        self.config["mounts"].as_array_mut().expect("mounts").push(mount);
        self
    }
}
