//! Docker and Podman, which share a command line: what a user types is what is run, plus what
//! this machine needs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::container::Output;
use crate::container::run::on_terminal;
use crate::images::output;
use crate::machine::{Machine, ROOTS, USER, USERS};

/// Kinds of engine, each with images of its own but for Podman's two runtimes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Docker,
    /// A daemon with `--userns-remap`: its containers have a user namespace.
    DockerRemapped,
    /// A daemon of an ordinary user's, in a user namespace.
    DockerRootless,
    PodmanRunc,
    PodmanCrun,
    /// Started by an ordinary user, in a user namespace.
    PodmanRootless,
}

/// Those that a test runs in unless it is about the rest. What differs with the runtime beneath
/// is in docs/runtimes.md.
pub const ENGINES: [Kind; 3] = [Kind::Docker, Kind::PodmanCrun, Kind::PodmanRootless];

impl Kind {
    /// How the names of a Docker daemon's files in /run begin.
    fn daemon(self) -> Option<&'static str> {
        match self {
            Kind::Docker => Some("/run/docker"),
            Kind::DockerRemapped => Some("/run/remapped"),
            Kind::DockerRootless => Some("/run/user/docker"),
            Kind::PodmanRunc | Kind::PodmanCrun | Kind::PodmanRootless => None,
        }
    }
}

/// Starts a Docker daemon, without a network for its containers.
fn daemon(kind: Kind, place: &str, machine: &Machine) {
    let data = machine.path(place.trim_start_matches('/').replace('/', "-").as_str());
    let mut arguments = vec![
        format!("--host=unix://{place}.sock"),
        format!("--exec-root={place}"),
        format!("--pidfile={place}.pid"),
        format!("--data-root={}", data.display()),
    ];
    arguments.extend(["--iptables=false", "--bridge=none", "--ip-forward=false"].map(String::from));
    let program = match kind {
        Kind::DockerRootless => {
            fs::create_dir(&data).expect("a folder");
            chown(&data, Some(USER), Some(USER)).expect("chown");
            let user = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".into()];
            // As Docker's dockerd-rootless.sh does. /run has links to what is root's.
            let kit = [
                "rootlesskit",
                "--net=slirp4netns",
                "--mtu=65520",
                "--copy-up=/etc",
                "--copy-up=/run",
                "--propagation=rslave",
            ];
            let own = "rm -f /run/docker /run/containerd /run/xtables.lock; exec dockerd --rootless \"$@\"";
            let begin = user.into_iter().chain(kit.map(String::from));
            let begin = begin.chain(["sh", "-c", own, "dockerd"].map(String::from));
            arguments = begin.chain(arguments).collect();
            "setpriv"
        }
        _ => {
            arguments.push(format!("--cgroup-parent={}", machine.cgroup()));
            "dockerd"
        }
    };
    if kind == Kind::DockerRemapped {
        arguments.push("--userns-remap=rootless".into());
    }
    machine.daemon(program, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

pub struct Engine {
    pub kind: Kind,
    machine: &'static Machine,
}

impl Engine {
    /// The engine, started where it is a daemon.
    pub fn get(kind: Kind) -> Engine {
        let machine = Machine::get();
        if let Some(place) = kind.daemon() {
            static DAEMONS: [OnceLock<()>; 3] = [const { OnceLock::new() }; 3];
            DAEMONS[kind as usize].get_or_init(|| daemon(kind, place, machine));
        }
        Engine { kind, machine }
    }

    /// A command line that begins with the engine's name, or with `buildah`, which has Podman's
    /// images.
    pub fn command(&self, words: &[&str]) -> Command {
        let (program, words) = (words[0], &words[1..]);
        let mut command = match self.kind {
            Kind::PodmanRootless => self.machine.command("setpriv"),
            _ => self.machine.command(program),
        };
        let home = if self.kind == Kind::PodmanRootless { USERS } else { ROOTS };
        if self.kind == Kind::PodmanRootless {
            command.args([
                format!("--reuid={USER}"),
                format!("--regid={USER}"),
                "--clear-groups".into(),
                program.into(),
            ]);
        }
        let runtime = if self.kind == Kind::PodmanRunc { "runc" } else { "crun" };
        match program {
            "docker" => {
                command.env("DOCKER_HOST", format!("unix://{}.sock", self.kind.daemon().expect("a daemon")))
            }
            "podman" => command.args(["--runtime", runtime]),
            _ => command.env("BUILDAH_RUNTIME", runtime),
        };
        command.env("CONTAINERS_CONF", self.machine.path("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", format!("{home}/storage.conf"));
        command.env("HOME", home).env("XDG_RUNTIME_DIR", home);
        // Podman 5 warns of the first version of control groups at every start.
        command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
        command.arg(words[0]).args(self.needed(words[0])).args(&words[1..]);
        command
    }

    /// What this machine needs: there is no network, and no SYS_RESOURCE.
    fn needed(&self, verb: &str) -> Vec<String> {
        match (self.kind, verb) {
            (kind, "build") if kind.daemon().is_some() => vec!["--network=none".into()],
            (kind, _) if kind.daemon().is_some() => vec![],
            (_, "run" | "build" | "bud") => {
                let mut needed = vec!["--ulimit=nofile=1024:1024".into(), "--ulimit=nproc=4096:4096".into()];
                // A container of a build takes it for its own.
                static COUNT: AtomicU32 = AtomicU32::new(0);
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                if self.kind != Kind::PodmanRootless {
                    needed.push(format!("--cgroup-parent={}/{count}", self.machine.cgroup()));
                }
                needed
            }
            _ => vec![],
        }
    }

    pub fn program(&self) -> &'static str {
        if self.kind.daemon().is_some() { "docker" } else { "podman" }
    }

    /// Runs `docker` or `podman` with these words, to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        let words = [&[self.program()], words].concat();
        Output::of(self.command(&words).stdin(Stdio::null()).output().expect("an engine"))
    }

    /// The same, which must go well. Returns what it printed, without the last line's end.
    #[track_caller]
    pub fn succeed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.code, 0, "{words:?}: {}{}", output.stdout, output.stderr);
        output.stdout.trim_end().to_owned()
    }

    /// The same on a terminal: the exit code, and what was written there.
    pub fn on_terminal(&self, words: &[&str]) -> (i32, String) {
        on_terminal(self.command(&[&[self.program()], words].concat()))
    }

    /// Reads a container's log until this line comes.
    #[track_caller]
    pub fn wait_for_line(&self, container: &str, line: &str) {
        let mut logs = self.command(&[self.program(), "logs", "--follow", container]);
        let mut logs = logs.stdout(Stdio::piped()).spawn().expect("an engine");
        let said = BufReader::new(logs.stdout.take().expect("a pipe")).lines();
        let came = said.map_while(Result::ok).any(|said| said == line);
        let _ = logs.kill();
        logs.wait().expect("the engine's end");
        assert!(came, "{container} never printed {line}");
    }

    pub fn version(&self) -> String {
        let format = if self.kind.daemon().is_some() { "{{.Server.Version}}" } else { "{{.Client.Version}}" };
        self.succeed(&["version", "--format", format])
    }

    /// Makes an image of an archive of files.
    pub fn import(&self, name: &str, archive: &[u8]) {
        let mut import = self.command(&[self.program(), "import", "-", name]);
        import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut import = import.spawn().expect("an engine");
        import.stdin.take().expect("a pipe").write_all(archive).expect("the archive");
        output(import.wait_with_output().expect("the engine's end"));
    }
}
