//! Real containers for the tests: an OCI bundle made for one start, run by runc, and gone
//! with the value.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

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

/// Where containers cannot be run, the test fails if all tests must run. Otherwise this ends the
/// whole target: none of its tests can run.
#[track_caller]
pub fn guard() {
    static NOT_RUN: LazyLock<Option<String>> = LazyLock::new(|| {
        let said = format!("NOT RUN, {}: scripts/test installs and builds what is needed", missing()?);
        if std::env::var_os("REQUIRE_ALL_TESTS").is_none() {
            // The test harness would swallow an eprintln!.
            writeln!(std::io::stderr(), "\n{said}").expect("standard error");
            std::process::exit(0);
        }
        Some(said)
    });
    if let Some(said) = &*NOT_RUN {
        panic!("{said}");
    }
}

/// What is missing here of what a container takes, and of the target's own `PROGRAMS`.
fn missing() -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("not root".into());
    }
    let runtime = runtime().swap_remove(0);
    let mut programs = [runtime.as_str(), "busybox", "setcap"].into_iter().chain(crate::PROGRAMS);
    let program = programs.find(|program| find(program).is_none()).map(|program| format!("no {program}"));
    let built = std::env::var_os("STATIC_DIR").is_some();
    program.or((!built).then(|| "no STATIC_DIR with the static binaries".into()))
}

/// A program on this machine.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A binary that scripts/build-static made.
#[track_caller]
pub fn built(name: &str) -> PathBuf {
    guard();
    let folder = PathBuf::from(std::env::var_os("STATIC_DIR").expect("STATIC_DIR"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if name == "capshim" { folder.join(name) } else { folder.join("examples").join(name) }
}

/// What runs the shim where it is for another architecture than this machine's
/// (scripts/aarch64): the path in `EMULATOR`, in the image /emulator. What it executes then runs
/// by itself, and so is for this machine's.
fn emulator() -> Option<PathBuf> {
    std::env::var_os("EMULATOR").map(PathBuf::from)
}

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

/// OCI_RUNTIME runs the same tests under another one, as in `OCI_RUNTIME=crun`.
fn runtime() -> Vec<String> {
    let words = std::env::var("OCI_RUNTIME").unwrap_or_else(|_| "runc".into());
    words.split_whitespace().map(str::to_owned).collect()
}

/// What a container left behind.
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("capshim-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = TempDir::with_prefix("capshim-").expect("a temporary folder");
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
        symlink("busybox", container.path("bin/sh")).expect("a link");
        container.file("/etc/passwd", PASSWD).file("/etc/group", GROUP)
    }

    /// A place in the image, for the host.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join("rootfs").join(inside.trim_start_matches('/'))
    }

    /// The same, where a folder of the host's may be mounted.
    pub fn path_in_volume(&self, inside: &str) -> PathBuf {
        let mounts = self.config["mounts"].as_array().expect("mounts");
        let binds = mounts.iter().rev().filter(|mount| mount["type"] == "bind");
        let mut below = binds.filter_map(|mount| {
            let rest = Path::new(inside).strip_prefix(mount["destination"].as_str()?).ok()?;
            Some(Path::new(mount["source"].as_str()?).join(rest))
        });
        below.next().unwrap_or_else(|| self.path(inside))
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

    fn image_of(self, owner: u32) -> Container {
        for entry in walk(&self.path("")) {
            std::os::unix::fs::lchown(entry, Some(owner), Some(owner)).expect("lchown");
        }
        self
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

    pub fn read_only_root(mut self) -> Container {
        self.config["root"]["readonly"] = json!(true);
        self
    }

    /// A system call that the container's seccomp filter answers with an errno.
    pub fn deny(self, call: &str, errno: i32) -> Container {
        self.seccomp(json!({ "names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno }))
    }

    /// The same for one option of prctl(2).
    pub fn deny_prctl(self, option: i32, errno: i32) -> Container {
        self.deny_where("prctl", (0, option.into()), errno)
    }

    /// The same for one request of ioctl(2).
    pub fn deny_ioctl(self, request: u32, errno: i32) -> Container {
        self.deny_where("ioctl", (1, request.into()), errno)
    }

    /// Where this argument, counted from 0, has this value.
    fn deny_where(self, call: &str, (index, value): (u32, i64), errno: i32) -> Container {
        let argument = json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" });
        self.seccomp(
            json!({ "names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": [argument] }),
        )
    }

    /// A limit on a user's processes (RLIMIT_NPROC).
    pub fn most_processes(self, most: u32) -> Container {
        self.configured(|config| {
            let limit = json!({ "type": "RLIMIT_NPROC", "hard": most, "soft": most });
            config["process"]["rlimits"].as_array_mut().expect("limits").push(limit);
        })
    }

    /// An option of prctl(2) that ends the process.
    pub fn kill_prctl(self, option: i32) -> Container {
        let argument = json!({ "index": 0, "value": option, "op": "SCMP_CMP_EQ" });
        self.seccomp(json!({ "names": ["prctl"], "action": "SCMP_ACT_KILL_PROCESS", "args": [argument] }))
    }

    /// A system call that ends the process.
    pub fn kill(self, call: &str) -> Container {
        self.seccomp(json!({ "names": [call], "action": "SCMP_ACT_KILL_PROCESS" }))
    }

    /// A filter like the runtimes' default one (Kubernetes' RuntimeDefault) for a container
    /// without capabilities: EPERM for the calls that Docker's profile leaves out, as its
    /// documentation lists them. The profile itself allows a long list instead.
    pub fn runtime_default(self) -> Container {
        let names = "acct add_key bpf clock_adjtime clock_settime delete_module finit_module fsopen init_module \
             ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount move_mount \
             move_pages open_by_handle_at open_tree perf_event_open pivot_root process_vm_readv \
             process_vm_writev quotactl reboot request_key set_mempolicy setns settimeofday swapoff swapon \
             sysfs umount2 unshare userfaultfd ustat vhangup";
        let names: Vec<&str> = names.split(' ').collect();
        self.seccomp(json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": nix::libc::EPERM }))
    }

    fn seccomp(mut self, rule: Value) -> Container {
        self.config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] });
        self
    }

    /// A file of root's, mode 0644.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Container {
        fs::write(self.path(path), content).expect("a file");
        self
    }

    /// A copy of something in the image.
    pub fn copy(self, from: &str, to: &str) -> Container {
        fs::create_dir_all(self.path(to).parent().expect("a parent")).expect("a folder");
        fs::copy(self.path(from), self.path(to)).expect("a copy");
        self
    }

    /// A file of this machine at the same place.
    pub fn import(self, file: &Path) -> Container {
        let to = self.path(file.to_str().expect("a path"));
        fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        fs::copy(file, to).expect("a copy");
        self
    }

    /// A program of this machine at the same place, with its loader and its libraries if it is
    /// dynamic.
    pub fn import_program(self, program: &Path) -> Container {
        let ldd = Command::new("ldd").arg(program).output().expect("ldd");
        let listed = String::from_utf8(ldd.stdout).expect("text");
        let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
        libraries.fold(self.import(program), |container, library| container.import(Path::new(library)))
    }

    pub fn without(self, path: &str) -> Container {
        fs::remove_file(self.path(path)).expect("a file to remove");
        self
    }

    pub fn folder(self, path: &str) -> Container {
        fs::create_dir_all(self.path(path)).expect("a folder");
        self
    }

    /// Owner first: a change of owner clears set-id bits.
    pub fn owned(self, path: &str, uid: u32, gid: u32, mode: u32) -> Container {
        chown(self.path(path), Some(uid), Some(gid)).expect("chown");
        self.mode(path, mode)
    }

    pub fn mode(self, path: &str, mode: u32) -> Container {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).expect("chmod");
        self
    }

    /// File capabilities in setcap's words, as in `cap_ipc_lock=p`.
    pub fn file_caps(self, path: &str, words: &str) -> Container {
        let mut setcap = Command::new("setcap");
        setcap.arg(words).arg(self.path(path));
        if path == "/capshim" && emulator().is_some() {
            // The kernel looks at the file that it executes.
            setcap.arg(words).arg(self.path("/emulator"));
        }
        let setcap = setcap.output().expect("setcap");
        assert!(setcap.status.success(), "setcap {words}: {}", String::from_utf8_lossy(&setcap.stderr));
        self
    }

    /// File capabilities, below bit 32 and permitted, that belong to the user namespace with
    /// this root: a `security.capability` attribute of revision 3.
    pub fn file_caps_of_namespace(self, path: &str, root: u32, permitted: u32, effective: bool) -> Container {
        let words = [0x0300_0000 | u32::from(effective), permitted, 0, 0, 0, root];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        let script =
            "import os, sys; os.setxattr(sys.argv[1], 'security.capability', bytes.fromhex(sys.argv[2]))";
        let python = Command::new("python3")
            .args(["-c", script])
            .arg(self.path(path))
            .arg(hex)
            .output()
            .expect("python3");
        assert!(python.status.success(), "setxattr: {}", String::from_utf8_lossy(&python.stderr));
        self
    }

    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Container {
        self.stdin = Some(stdin.into());
        self
    }

    /// Starts the command in the container and waits for its end.
    pub fn run(mut self, command: &[&str]) -> Output {
        let stdin = self.stdin.take().map_or(Stdio::null(), Stdio::from);
        Output::of(self.command(command).runc("run").stdin(stdin).output().expect("runc"))
    }

    /// The same through capshim, after a check that says the same.
    pub fn shim(mut self, command: &[&str]) -> Output {
        let check = [&["/capshim", "--check", "--"], command].concat();
        let check = Output::of(self.command(&check).runc("run").stdin(Stdio::null()).output().expect("runc"));
        let run = self.run(&[&["/capshim"], command].concat());
        // To an emulated shim what it executes is for another architecture, which it refuses
        // to foretell.
        if emulator().is_none() {
            check.foretells(&run);
        }
        run
    }

    /// Starts the command on a terminal and returns what it wrote there.
    pub fn on_terminal(mut self, command: &[&str]) -> String {
        self.terminal();
        on_terminal(self.command(command).runc("run")).1
    }

    /// The command gets a terminal of its own, which runc connects with its own.
    pub fn terminal(&mut self) {
        self.config["process"]["terminal"] = json!(true);
    }

    /// Ends what runs and removes it.
    pub fn delete(&self) {
        let root = self.folder.path().join("runc");
        let mut runtime = Command::new(&self.runtime[0]);
        runtime.args(&self.runtime[1..]).arg("--root").arg(root);
        let _ = runtime.args(["delete", "--force", &self.id]).status();
    }

    /// What an instrumented shim counted (scripts/coverage).
    fn keep_coverage(&self) {
        let Some(folder) = std::env::var_os("COVERAGE_DIR") else { return };
        let counts = fs::read_dir(self.path("tmp")).into_iter().flatten().flatten();
        for (index, counts) in
            counts.filter(|file| file.path().extension() == Some("profraw".as_ref())).enumerate()
        {
            let kept = Path::new(&folder).join(format!("{}-{index}.profraw", self.id));
            fs::copy(counts.path(), kept).expect("a copy");
        }
    }

    /// The container's command is this.
    pub fn command(&mut self, command: &[&str]) -> &Container {
        let mut arguments = command.to_vec();
        if let Some(shim) = command.iter().position(|word| *word == "/capshim" && emulator().is_some()) {
            arguments.insert(shim, "/emulator");
        }
        self.config["process"]["args"] = json!(arguments);
        fs::write(self.folder.path().join("config.json"), self.config.to_string()).expect("config.json");
        self
    }

    pub fn runc(&self, verb: &str) -> Command {
        self.runc_with(verb, &[])
    }

    /// With options of the verb's, which crun takes before the container's name alone.
    pub fn runc_with(&self, verb: &str, options: &[&str]) -> Command {
        // A container that hangs fails its test and not the whole run.
        let mut runtime = Command::new("timeout");
        runtime.args(["--kill-after=5", "120"]).args(&self.runtime);
        runtime.arg("--root").arg(self.folder.path().join("runc"));
        runtime.arg(verb).args(options).arg(&self.id).current_dir(self.folder.path());
        runtime
    }
}

/// A refusal's words.
pub fn lines(cause: &str, hint: &str) -> String {
    format!("capshim: {cause}\ncapshim: hint: {hint}\n")
}

/// What the runtime itself says where it cannot execute a program.
pub fn cannot_execute(program: &str, why: &str) -> String {
    match runtime()[0] == "crun" {
        true => format!("exec container process `{program}`: {why}"),
        false => format!("exec {program}: {}", why.to_lowercase()),
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.keep_coverage();
        // There is something left to delete only if runc was killed.
        if self.folder.path().join("runc").join(&self.id).exists() {
            self.delete();
        }
    }
}

impl Output {
    pub fn of(ended: std::process::Output) -> Output {
        let text = |bytes| String::from_utf8(bytes).expect("text from the container");
        Output {
            code: ended.status.code().unwrap_or(-1),
            stdout: text(ended.stdout),
            stderr: text(ended.stderr),
        }
    }

    /// The report of `--check`, and its exit code, say what the run did. Where even the report
    /// cannot be made, the words and the code are a run's.
    #[track_caller]
    pub fn foretells(&self, run: &Output) {
        if self.stdout.is_empty() && run.code != 0 {
            assert_eq!((self.code, &self.stderr), (run.code, &run.stderr));
            return;
        }
        let said = run.stderr.lines().filter_map(|line| line.strip_prefix("capshim: "));
        let refusal: String = said
            .filter(|line| !line.starts_with("warning: ") && !line.starts_with("info: "))
            .map(|line| match line.strip_prefix("hint: ") {
                Some(hint) => format!("  hint:  {hint}\n"),
                None => format!("  cause: {line}\n"),
            })
            .collect();
        let (code, end) = match refusal.is_empty() {
            true => (0, String::new()),
            false => (
                run.code,
                format!("\n  the application would not start\n{refusal}  exit code {}\n", run.code),
            ),
        };
        assert!(
            self.code == code
                && self.stdout.ends_with(&end)
                && self.stdout.matches("\noutcome\n").count() == 1
                && self.stderr.is_empty(),
            "{}\n{}\nthe run: {}\n{}",
            self.stdout,
            self.stderr,
            run.code,
            run.stderr
        );
    }

    /// The lines `name: value` that /state prints.
    pub fn state(&self) -> BTreeMap<&str, &str> {
        let lines = self.stdout.lines();
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
    }

    /// The payload ran as this user, and its four sets are exactly these.
    #[track_caller]
    pub fn is_exactly(&self, uid: u32, gid: u32, groups: &str, capabilities: &str) -> &Output {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.holds(uid, gid, groups, capabilities)
    }

    /// The same for one that may have something to say on stderr.
    #[track_caller]
    pub fn holds(&self, uid: u32, gid: u32, groups: &str, capabilities: &str) -> &Output {
        assert_eq!(self.code, 0, "{}", self.stderr);
        let state = self.state();
        let (uid, gid) = (uid.to_string(), gid.to_string());
        let ids = [("uid", uid.as_str()), ("gid", &gid), ("groups", groups)];
        let sets = ["inheritable", "permitted", "effective", "ambient"].map(|set| (set, capabilities));
        for (name, expected) in ids.into_iter().chain(sets).chain([("no_new_privs", "on")]) {
            assert_eq!(state.get(name), Some(&expected), "{name}, in:\n{}", self.stdout);
        }
        self
    }

    /// The payload did not run, and this is all that was said.
    #[track_caller]
    pub fn refuses(&self, code: i32, stderr: &str) {
        assert_eq!(self.stderr, stderr);
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
    }

    /// The payload did not run; stderr is one line of cause with these words in it, and at
    /// most one hint.
    #[track_caller]
    pub fn refuses_saying(&self, code: i32, words: &str) {
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(
            lines.first().is_some_and(|line| line.starts_with("capshim: ") && line.contains(words)),
            "{words:?} not in: {}",
            self.stderr
        );
        assert!(
            lines.len() == 1 || lines.len() == 2 && lines[1].starts_with("capshim: hint: "),
            "{}",
            self.stderr
        );
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
    }
}

/// Runs a command on a terminal. Returns its exit code and what was written there.
pub fn on_terminal(mut command: Command) -> (i32, String) {
    let pty = nix::pty::openpty(None, None).expect("a pseudo-terminal");
    let slave = || Stdio::from(pty.slave.try_clone().expect("dup"));
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("a command");
    // The terminal ends with the command only if nobody else holds its other side.
    drop((command, pty.slave));
    let mut written = Vec::new();
    let mut master = fs::File::from(pty.master);
    // A terminal whose other side is closed reads as EIO.
    let _ = std::io::Read::read_to_end(&mut master, &mut written);
    let code = child.wait().expect("the command's end").code().unwrap_or(-1);
    (code, String::from_utf8(written).expect("text from the terminal").replace("\r\n", "\n"))
}

/// Everything below a folder, and the folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() && !found[at].is_symlink() {
            let entries =
                fs::read_dir(&found[at]).expect("a folder").map(|entry| entry.expect("an entry").path());
            found.extend(entries.collect::<Vec<_>>());
        }
        at += 1;
    }
    found
}
