//! Hints that name an engine's own options, typed.

use super::engine::{Engine, Kind};
use super::from::APP;
use super::needs_engines;

const PODMAN: [Kind; 3] = [Kind::PodmanRunc, Kind::PodmanCrun, Kind::PodmanRootless];
const USER: [&str; 3] = ["run", "--rm", "--user=1000:1000"];

#[test]
fn podman_gives_a_user_less_by_privileged_than_by_one_capability() {
    needs_engines!();
    for kind in PODMAN {
        let engine = Engine::with_apps(kind);
        let run = |options: &[&str]| engine.run(&[&USER[..], options, &[APP]].concat());
        let refused = run(&["--privileged"]);
        refused.refuses_saying(77, "in the bounding set but not in the permitted set: IPC_LOCK");
        let way = refused.stderr.split("under Podman, in place of --privileged: ").nth(1).expect("a way");
        let typed: Vec<&str> = way.split_whitespace().collect();
        assert_eq!(typed, ["--cap-add", "IPC_LOCK"]);
        run(&typed).holds(1000, 1000, "1000", "IPC_LOCK");
    }
}

#[test]
fn the_shim_works_from_a_named_volume_that_podman_mounts_suid() {
    needs_engines!();
    for kind in [Kind::Docker, Kind::PodmanRunc, Kind::PodmanCrun] {
        let engine = Engine::with_apps(kind);
        let volume = format!("shim-{kind:?}").to_lowercase();
        engine.succeed(&["volume", "create", &volume]);
        let mount = format!("{volume}:/shim");
        let root = ["run", "--rm", "--user=0", "--cap-drop=ALL", "--cap-add=SETFCAP", "-v", &mount];
        let install = ["/capshim", "--install", "/shim", "--file-caps", "ipc_lock"];
        engine.succeed(&[&root[..], &["capshim:0.1.0"], &install].concat());
        let run = |options: &[&str], mount: &str| {
            let shim = ["-v", mount, "--entrypoint=/shim/capshim", APP, "my-server"];
            engine.run(&[&USER[..], options, &shim].concat())
        };
        if kind == Kind::Docker {
            run(&["--cap-drop=ALL", "--cap-add=IPC_LOCK"], &mount).is_exactly(1000, 1000, "1000", "IPC_LOCK");
        } else {
            // So that only the file can give it.
            let refused = run(&["--privileged"], &mount);
            refused.refuses_saying(77, "/shim/capshim is on a nosuid mount, where they do not count");
            assert!(refused.stderr.contains("under Podman -v NAME:/shim:suid"), "{}", refused.stderr);
            let typed = format!("{mount}:suid");
            run(&["--privileged"], &typed).holds(1000, 1000, "1000", "IPC_LOCK");
        }
        engine.succeed(&["volume", "rm", &volume]);
    }
}
