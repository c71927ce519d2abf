//! An image with s6-overlay, and fluent-bit.

use super::{Image, row};
use crate::container::Container;
use crate::needs;

const GRANT: [&str; 3] = ["IPC_LOCK", "SETGID", "SETUID"];

/// Checks that it can prepare /run, keeps the environment in files, and starts the services'
/// scripts with none of it.
///
/// Of the set-user-ID program by which it becomes root for that nothing is left under
/// no_new_privs, so there is none here.
const INIT: &str = r#"#!/bin/sh -e
[ $$ = 1 ] || { echo "s6-overlay-suexec: fatal: can only run as pid 1" >&2; exit 100; }
if [ "$(id -u)" != "$(stat -c %u /run)" ]; then
    echo "preinit: fatal: /run belongs to uid 0 instead of $(id -u), and we're lacking the privileges to fix it." >&2
    exit 100
fi
mkdir -p /run/s6/container_environment
env | while IFS== read -r name value; do
    printf %s "$value" >"/run/s6/container_environment/$name"
done
status=0
for service in /etc/services.d/*; do
    env -i PATH=/command:/bin "$service/run" || status=$?
done
exit $status
"#;

/// The environment that was kept, for a script that wants it.
const WITH_CONTENV: &str = r#"#!/bin/sh
for file in /run/s6/container_environment/*; do
    export "${file##*/}=$(cat "$file")"
done
exec "$@"
"#;

fn s6(first_line: &str) -> Container {
    let container = Container::root().capabilities(&GRANT).program("server", "/bin/server");
    let container = container.script("/init", INIT).script("/command/with-contenv", WITH_CONTENV);
    let container =
        container.script("/etc/services.d/server/run", format!("{first_line}\nexec /capshim server\n"));
    container.env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", "ipc_lock")
}

#[test]
fn an_image_with_s6_overlay_has_capshim_in_its_run_script() {
    needs!("runc", "busybox");
    row("s6-overlay", "capshim in front of /init", &s6("#!/bin/sh").run(&["/capshim", "/init"]));
    let behind = s6("#!/bin/sh").run(&["/bin/sh", "-c", "/init; exit $?"]);
    row("s6-overlay", "/init behind another program", &behind);
    row("s6-overlay", "capshim in a run script of `#!/bin/sh`", &s6("#!/bin/sh").run(&["/init"]));
    let output = s6("#!/command/with-contenv sh").run(&["/init"]);
    row("s6-overlay", "capshim in a run script of `#!/command/with-contenv sh`", &output);
}

/// Reads the logs of other containers, which are root's.
const FLUENT_BIT: &str = r#"#!/bin/sh
cat /var/log/containers/app.log >/dev/null 2>&1 || {
    echo "[error] [input:tail] read error, check permissions: /var/log/containers/*.log" >&2
    exit 1
}
exec /fluent-bit/bin/server
"#;

fn fluent_bit(container: Container) -> Container {
    let container = container.program("server", "/fluent-bit/bin/server");
    let container = container.script("/fluent-bit/bin/fluent-bit", FLUENT_BIT).folder("/var/log/containers");
    container.file("/var/log/containers/app.log", "a line\n").mode("/var/log/containers/app.log", 0o640)
}

#[test]
fn fluent_bit_reads_roots_logs_with_dac_read_search() {
    needs!("runc", "busybox");
    // Its ENTRYPOINT, and its CMD, which says the program once more.
    let program = "/fluent-bit/bin/fluent-bit";
    let command = [program, program, "-c", "/fluent-bit/etc/fluent-bit.conf"];
    row("fluent-bit", "as it is, nothing granted", &fluent_bit(Container::user(0, 0)).run(&command));
    let user = fluent_bit(Container::user(1000, 1000).capabilities(&["DAC_READ_SEARCH"]));
    row("fluent-bit", "as it is, uid 1000, DAC_READ_SEARCH", &user.run(&command));
    let root = fluent_bit(Container::root().capabilities(&["DAC_READ_SEARCH", "SETGID", "SETUID"]));
    let root = root.env("CAPSHIM_USER", "1000:1000").env("CAPSHIM_CAPS", "dac_read_search");
    let shim = [&["/capshim"], &command[..]].concat();
    row("fluent-bit", "capshim in front, root start", &root.run(&shim));
    let user = fluent_bit(Container::user(1000, 1000).capabilities(&["DAC_READ_SEARCH"]));
    let user = user.file_caps("/capshim", "cap_dac_read_search=p").env("CAPSHIM_CAPS", "dac_read_search");
    row("fluent-bit", "capshim in front, non-root start", &user.no_new_privs().run(&shim));
}
