//! Images of any kind: with nothing in them, with glibc, with musl.

use std::path::Path;
use std::process::Command;

use crate::harness::container::{Container, find};
use crate::harness::starts::lock;

#[test]
fn an_image_from_scratch_will_do() {
    // Not even /proc; and runc itself needs that, so it goes once the container runs.
    let files = ["/etc/passwd", "/etc/group", "/bin/sh", "/bin/busybox"];
    for (init, command) in [("0", "/state"), ("1", "/state"), ("0", "/nosuch"), ("1", "/nosuch")] {
        let start = || {
            let start = lock().capabilities(&["IPC_LOCK", "SETGID", "SETUID", "SYS_ADMIN"]);
            let start = start.without_env("CAPSHIM_USER").env("CAPSHIM_USER", "1000:1000");
            files.into_iter().fold(start.env("CAPSHIM_INIT", init), Container::without)
        };
        let launch = ["/launch", "--unmount", "/proc", "--", "/capshim"];
        let run = start().run(&[&launch[..], &[command]].concat());
        let check = start().run(&[&launch[..], &["--check", command]].concat());
        check.foretells(&run);
        assert!(
            check.stdout.contains("\n  user namespace        unknown, /proc/self/uid_map cannot be read\n")
        );
        match command {
            "/state" => _ = run.is_exactly(1000, 1000, "1000", "IPC_LOCK"),
            _ => run.refuses_saying(127, "cannot execute /nosuch: ENOENT"),
        }
    }
}

#[test]
fn a_read_only_root_filesystem_will_do() {
    let output = lock().read_only().shim(&["/bin/sh", "-c", "/state && ! (echo >/file) 2>/dev/null"]);
    output.is_exactly(1000, 1000, "29, 1000, 1001", "IPC_LOCK");
}

#[test]
fn a_glibc_program_holds_the_capability() {
    let capsh = find("capsh").expect("capsh, beside setcap");
    let output = lock().import_program(&capsh).shim(&[
        capsh.to_str().expect("a path"),
        "--has-a=cap_ipc_lock",
        "--print",
    ]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{}", output.stdout);
    assert!(output.stdout.starts_with("Current: cap_ipc_lock=eip\n"), "{}", output.stdout);
    assert!(output.stdout.contains("\nAmbient set =cap_ipc_lock\n"), "{}", output.stdout);
}

#[test]
fn a_musl_program_holds_the_capability() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, program) = (folder.path().join("lock.c"), folder.path().join("lock"));
    let text = "#include <stdlib.h>\n#include <sys/mman.h>\nint main(void) { return mlock(malloc(64 << 20), 64 << 20) != 0; }\n";
    std::fs::write(&source, text).expect("a file");
    let compiled = Command::new("musl-gcc").arg(&source).arg("-o").arg(&program).status().expect("musl-gcc");
    assert!(compiled.success());
    let loader = format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH);
    let image = |container: Container| {
        let program = std::fs::read(&program).expect("the program");
        container.import(Path::new(&loader)).file("/lock", program).mode("/lock", 0o755)
    };
    assert_eq!(image(lock()).shim(&["/lock"]).code, 0);
    assert_eq!(image(Container::user(1000, 1000)).run(&["/lock"]).code, 1);
}
