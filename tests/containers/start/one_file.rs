//! The shim of the image capshim-caps, whose file carries what many ask for (scripts/caps.txt): one
//! such file serves different requests, each exactly, and never gives more than the runtime granted.

use crate::harness::container::{Container, Output};
use crate::harness::install::init;
use crate::harness::volume::Volume;

/// The capabilities, in their setting's words.
fn carried() -> Vec<&'static str> {
    include_str!("../../../scripts/caps.txt").lines().collect()
}

/// A volume with that file, as `--install` makes it: that all of this may be installed, and that nothing
/// of it is root in another form, is the absence of an error and of an info line.
fn volume() -> Volume {
    let volume = Volume::on_disk();
    let output = init(&volume).run(&["/capshim", "--install", "/shim", "--file-caps", &carried().join(",")]);
    let names = named(&carried());
    output.installed(&format!("capshim: installed /shim/capshim with {names}=p\n"));
    volume
}

/// In the words of messages, which have the order of the numbers, as the list has.
fn named(caps: &[&str]) -> String {
    if caps.is_empty() { "none".into() } else { caps.join(", ").to_uppercase() }
}

/// What comes of this request, where this is granted, by Pod Security's *restricted* but for the grant.
fn start(volume: &Volume, uid: u32, granted: &[&str], asked: &str) -> Container {
    let granted: Vec<String> = granted.iter().map(|cap| cap.to_uppercase()).collect();
    let granted: Vec<&str> = granted.iter().map(String::as_str).collect();
    let image = Container::user(uid, uid).without("/capshim").read_only().no_new_privs().runtime_default();
    let image = image.volume(volume.folder(), "/shim", &["ro"]);
    image.capabilities(&granted).env("CAPSHIM_CAPS", asked)
}

fn run(container: Container) -> Output {
    container.run(&["/shim/capshim", "/state"])
}

#[test]
fn one_file_serves_each_request_exactly() {
    let volume = volume();
    let carried = carried();
    let one_each = carried.iter().map(|cap| vec![*cap]);
    for caps in one_each.chain([vec!["net_admin", "net_raw"], vec!["ipc_lock", "sys_nice"], carried.clone()])
    {
        let output = run(start(&volume, 1000, &caps, &caps.join(",")));
        output.is_exactly(1000, 1000, "none", &named(&caps));
        assert_eq!(output.state()["bounding"], named(&caps));
    }
}

#[test]
fn one_file_never_gives_more_than_the_bounding_set_or_than_was_asked_for() {
    let volume = volume();
    // Whoever executes it.
    for uid in [1000, 2000] {
        let missing = run(start(&volume, uid, &["ipc_lock"], "ipc_lock,net_raw"));
        missing.refuses_saying(77, "not granted to this container, not in its bounding set: NET_RAW");
        let optional = start(&volume, uid, &["ipc_lock"], "ipc_lock,net_raw?").env("CAPSHIM_LOG", "quiet");
        run(optional).is_exactly(uid, uid, "none", "IPC_LOCK");
        run(start(&volume, uid, &[], "none")).is_exactly(uid, uid, "none", "none");
        // More was granted, and is in no set of the application's but the bounding one.
        let output = run(start(&volume, uid, &["net_raw", "ipc_lock"], "ipc_lock"));
        output.is_exactly(uid, uid, "none", "IPC_LOCK");
        assert_eq!(output.state()["bounding"], "NET_RAW, IPC_LOCK");
    }
    // Nor by running it again, which no_new_privs ends.
    let again = ["/bin/sh", "-c", "CAPSHIM_CAPS=net_raw /shim/capshim /state"];
    let output = start(&volume, 1000, &["net_raw", "ipc_lock"], "ipc_lock")
        .run(&[&["/shim/capshim"], &again[..]].concat());
    output.refuses_saying(77, "in the bounding set but not in permitted: NET_RAW");
    // What only the bounding set has, and the file does not, is nobody's.
    let output = run(start(&volume, 1000, &["chown", "ipc_lock"], "chown"));
    output.refuses_saying(77, "in the bounding set but not in permitted: CHOWN");
}
