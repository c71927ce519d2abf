//! A machine of the tests' own, as far as namespaces make one: daemons run in it and images lie
//! in it. It ends with this process, however that ends, and with it all that was started,
//! mounted or stored there. The users and settings of the real machine are neither used nor
//! changed.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// Makes the namespaces, and when they are gone removes what is left of them.
const OUTSIDE: &str = r#"
trap '' HUP INT TERM
unshare --mount --net --pid --fork sh -c "$2" init "$1" "$3"
find /sys/fs/cgroup -depth -type d -path "*/${1##*/}*" -exec rmdir {} + 2>/dev/null
rm -rf "$1"
"#;

/// The first process: the end of its standard input is the end of the machine.
///
/// crun refuses control groups of both versions at once; without those of version 2 it runs.
const INIT: &str = r#"
read -r pid _ </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs -o mode=0755 run /run
! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
busybox ip link set lo up
# The network of a daemon without root opens it.
mknod -m 0666 /run/tun c 10 200
[ ! -e /dev/net/tun ] || mount --bind /run/tun /dev/net/tun
# runc gives what is a container's standard input to the container's user, /dev/null too.
mknod -m 0666 /run/null c 1 3
mount --bind /run/null /dev/null
# Docker warns of what it is not.
echo 1 >/proc/sys/net/ipv4/ip_forward
cp -a "$1/root" "$1/user" /run
mkdir /run/checkout
mount --bind "$2" /run/checkout
for file in passwd group subuid subgid; do
    [ ! -e /etc/$file ] || mount --bind "$1/$file" /etc/$file
done
echo "$pid"
cat >/dev/null
"#;

/// An ordinary user, with 65536 subordinate ids, for daemons and runtimes without root.
pub const USER: u32 = 2000;

/// Where Podman's images and settings are, by the user.
pub const ROOTS: &str = "/run/root";
pub const USERS: &str = "/run/user";

/// The repository, where the ordinary user reaches it also if it lies in root's home.
const CHECKOUT: &str = "/run/checkout";

/// Podman's settings: no network, and limits that need no SYS_RESOURCE to set.
const CONTAINERS_CONF: &str = r#"
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096", "memlock=8388608:8388608"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
"#;

pub struct Machine {
    folder: PathBuf,
    /// The first process, by its number out here.
    init: String,
    _lifeline: ChildStdin,
}

impl Machine {
    /// The one machine of these tests.
    pub fn get() -> &'static Machine {
        static MACHINE: OnceLock<Machine> = OnceLock::new();
        MACHINE.get_or_init(Machine::start)
    }

    #[expect(clippy::zombie_processes, reason = "it ends after this process")]
    fn start() -> Machine {
        // On a disk: what lies on a tmpfs loses its file capabilities in BuildKit's COPY --from.
        let folder =
            TempDir::with_prefix_in("capshim-machine-", "/var/tmp").expect("a temporary folder").keep();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("chmod");
        write(&folder);
        let mut outside = Command::new("sh");
        outside.args(["-c", OUTSIDE, "machine"]).arg(&folder).arg(INIT).arg(repository());
        let mut first = outside.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
        let mut init = String::new();
        let mut said = BufReader::new(first.stdout.take().expect("a pipe"));
        said.read_line(&mut init).expect("a number");
        let _lifeline = first.stdin.take().expect("a pipe");
        Machine { folder, init: init.trim().to_owned(), _lifeline }
    }

    /// A place on this machine's disk, the same in there and out here.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The control group of everything here.
    pub fn cgroup(&self) -> String {
        format!("/{}", self.folder.file_name().expect("a name").to_string_lossy())
    }

    /// The words that run a program in there, as root and in this folder.
    pub fn words(&self, folder: &Path) -> Vec<String> {
        let folder = format!("--wdns={}", folder.display());
        let words = ["nsenter", "--target", &self.init, "--mount", "--net", "--pid", &folder];
        words.map(str::to_owned).to_vec()
    }

    /// A program in there, in the repository's folder, that ends after a time.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        // In the foreground, since on a terminal it would otherwise be stopped.
        command
            .args(["--foreground", "--kill-after=5", "120"])
            .args(self.words(Path::new(CHECKOUT)))
            .arg(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Starts a daemon and waits until it says that it is ready (sd_notify(3)).
    #[expect(clippy::zombie_processes, reason = "it ends with the machine")]
    pub fn daemon(&self, program: &str, arguments: &[&str]) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let socket = self.path(&format!("ready-{count}"));
        let ready = UnixDatagram::bind(&socket).expect("a socket");
        // The ordinary user's, too.
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("chmod");
        ready.set_read_timeout(Some(Duration::from_secs(120))).expect("a timeout");
        let log = self.path(&format!("{program}-{count}.log"));
        let words = self.words(Path::new(CHECKOUT));
        let mut daemon = Command::new(&words[0]);
        daemon.args(&words[1..]).arg(program).args(arguments);
        daemon
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("NOTIFY_SOCKET", &socket)
            .env("HOME", USERS)
            .env("XDG_RUNTIME_DIR", USERS);
        let output = fs::File::create(&log).expect("a file");
        daemon.stdin(Stdio::null()).stdout(output.try_clone().expect("dup")).stderr(output);
        daemon.spawn().expect("a daemon");
        if let Err(error) = told(&ready) {
            panic!("{program}: {error}: {}", fs::read_to_string(log).unwrap_or_default());
        }
    }
}

/// Waits for a word on a socket. A stop of this process and its continuation interrupt that
/// where there is a timeout (signal(7)).
pub fn told(socket: &UnixDatagram) -> io::Result<usize> {
    loop {
        match socket.recv(&mut [0; 64]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Settings, and the users of this machine's /etc with one more.
fn write(folder: &Path) {
    let file = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    let etc = |name: &str| fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
    file("passwd", format!("{}rootless:x:{USER}:{USER}::{USERS}:/bin/sh\n", etc("passwd")));
    file("group", format!("{}rootless:x:{USER}:\n", etc("group")));
    for name in ["subuid", "subgid"] {
        file(name, "rootless:200000:65536\n".into());
    }
    file("containers.conf", CONTAINERS_CONF.into());
    for (name, home) in [("root", ROOTS), ("user", USERS)] {
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{home}/storage\"\nrunroot = \"{home}/run\"\n"
        );
        fs::create_dir(folder.join(name)).expect("a folder");
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o700)).expect("chmod");
        fs::write(folder.join(name).join("storage.conf"), storage).expect("a file");
    }
    chown(folder.join("user"), Some(USER), Some(USER)).expect("chown");
}

/// The repository's folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("a folder")
}
