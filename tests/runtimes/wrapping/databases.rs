//! postgres, whose script prepares a volume as root and then becomes its user.

use super::{Image, row};
use crate::container::{Container, find};
use crate::needs;

/// Makes the data folder, gives it to the user, and starts itself again as that.
const POSTGRES: &str = r#"#!/bin/sh
set -e
[ "${1#-}" = "$1" ] || set -- postgres "$@"
if [ "$1" = postgres ]; then
    mkdir -p "$PGDATA"
    chmod 00700 "$PGDATA" || :
    mkdir -p /var/run/postgresql || :
    chmod 03775 /var/run/postgresql || :
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
        find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
        exec gosu postgres "$0" "$@"
    fi
    # What initdb does, and says.
    [ -s "$PGDATA/PG_VERSION" ] || { echo 17 >"$PGDATA/PG_VERSION"; } 2>/dev/null || {
        echo "initdb: error: could not change permissions of directory \"$PGDATA\": Operation not permitted" >&2
        exit 1
    }
fi
exec "$@"
"#;

const DATA: &str = "/var/lib/postgresql/data";
const COMMAND: [&str; 2] = ["docker-entrypoint.sh", "postgres"];

fn postgres(granted: &[&str], script: &str) -> Container {
    let container = Container::root().capabilities(granted).account("postgres", 999, 999);
    let container = container.script("/usr/local/bin/docker-entrypoint.sh", script);
    let container = container.program("server", "/usr/local/bin/postgres");
    let gosu = find("gosu").expect("gosu");
    let container = container.import_program(&gosu).env("PGDATA", DATA);
    let path = format!("/usr/local/bin:{}:/bin", gosu.parent().expect("a folder").display());
    let container =
        container.without_env("PATH").env("PATH", &path).folder(DATA).folder("/var/run/postgresql");
    container.owned("/var/run/postgresql", 999, 999, 0o3777)
}

fn locks(container: Container) -> Container {
    container.env("CAPSHIM_USER", "postgres").env("CAPSHIM_CAPS", "ipc_lock")
}

#[test]
fn postgress_script_works_behind_capshim_as_with_another_user_and_before_it_in_gosus_place() {
    needs!("runc", "busybox", "gosu");
    let as_it_is = ["CHOWN", "DAC_READ_SEARCH", "IPC_LOCK", "SETGID", "SETUID"];
    row(
        "postgres",
        "as it is, CHOWN, DAC_READ_SEARCH, IPC_LOCK",
        &postgres(&as_it_is, POSTGRES).run(&COMMAND),
    );

    let granted = ["IPC_LOCK", "SETGID", "SETUID"];
    let in_front = || locks(postgres(&granted, POSTGRES));
    let shim = [&["/capshim"], &COMMAND[..]].concat();
    row("postgres", "capshim in front, an empty volume of root's", &in_front().run(&shim));
    let owned = in_front().owned(DATA, 999, 999, 0o700);
    row("postgres", "capshim in front, a volume of the user's", &owned.run(&shim));

    // In gosu's place: the user is the settings', and no word of the command line.
    let inside = POSTGRES.replace("exec gosu postgres ", "exec /capshim ");
    assert_ne!(inside, POSTGRES);
    let output = locks(postgres(&["CHOWN", "IPC_LOCK", "SETGID", "SETUID"], &inside)).run(&COMMAND);
    row("postgres", "capshim in gosu's place, an empty volume of root's", &output);
    // The second start: root may not look into what is no longer its own.
    let again =
        |granted: &[&str]| locks(postgres(granted, &inside)).owned(DATA, 999, 999, 0o700).run(&COMMAND);
    let output = again(&["CHOWN", "IPC_LOCK", "SETGID", "SETUID"]);
    row("postgres", "the same, a volume that was used", &output);
    let output = again(&["CHOWN", "DAC_READ_SEARCH", "IPC_LOCK", "SETGID", "SETUID"]);
    row("postgres", "the same, DAC_READ_SEARCH granted to the script", &output);
}
