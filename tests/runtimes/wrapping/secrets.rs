//! vault and elasticsearch, which lock their memory.

use super::{DEFAULTS, Image, row};
use crate::container::{Container, find};
use crate::needs;

const GRANT: [&str; 3] = ["IPC_LOCK", "SETGID", "SETUID"];

/// Chowns what is mounted, puts the capability on the server's file, and becomes the user.
const VAULT: &str = r#"#!/usr/bin/dumb-init /bin/sh
set -e
case "$1" in
    -*) set -- vault "$@" ;;
    server) shift; set -- vault server -config=/vault/config "$@" ;;
esac
if [ "$1" = vault ]; then
    if [ -z "$SKIP_CHOWN" ]; then
        for folder in config logs file; do
            [ "$(stat -c %u /vault/$folder)" = "$(id -u vault)" ] || chown -R vault:vault /vault/$folder
        done
    fi
    if [ -z "$SKIP_SETCAP" ]; then
        setcap cap_ipc_lock=+ep /bin/vault
        if ! vault -version >/dev/null 2>&1; then
            echo "Couldn't start vault with IPC_LOCK. Disabling IPC_LOCK" >&2
            setcap cap_ipc_lock=-ep /bin/vault
        fi
    fi
    [ "$(id -u)" != 0 ] || set -- su-exec vault "$@"
fi
exec "$@"
"#;

fn vault(container: Container) -> Container {
    let container = container.account("vault", 100, 1000).program("server", "/bin/vault");
    let container = container.script("/usr/local/bin/docker-entrypoint.sh", VAULT);
    let folders = ["/vault/config", "/vault/logs", "/vault/file"];
    let container =
        folders.iter().fold(container, |this, folder| this.folder(folder).owned(folder, 100, 1000, 0o755));
    // gosu does what su-exec does.
    let programs = ["dumb-init", "setcap", "gosu"].map(|name| find(name).expect(name));
    let container = programs.iter().fold(container, |this, program| this.import_program(program));
    let gosu = programs[2].to_str().expect("a path").to_owned();
    let path = format!("{}:/usr/local/bin:/bin", programs[1].parent().expect("a folder").display());
    container.copy(&gosu, "/bin/su-exec").mode("/bin/su-exec", 0o755).without_env("PATH").env("PATH", &path)
}

const SERVER: [&str; 3] = ["docker-entrypoint.sh", "server", "-dev"];

fn shim(command: &[&'static str]) -> Vec<&'static str> {
    [&["/capshim"], command].concat()
}

#[test]
fn vault_holds_ipc_lock_once_its_script_leaves_the_file_alone() {
    needs!("runc", "busybox", "dumb-init", "setcap", "gosu");
    let root = |granted: &[&str]| vault(Container::root().capabilities(granted));
    let defaults = [&DEFAULTS[..], &["IPC_LOCK"]].concat();
    row("vault", "as it is, IPC_LOCK beside Docker's defaults", &root(&defaults).run(&SERVER));
    row("vault", "the same, no_new_privs", &root(&defaults).no_new_privs().run(&SERVER));
    row("vault", "as it is, IPC_LOCK, SETUID and SETGID alone", &root(&GRANT).run(&SERVER));

    let in_front =
        |container: Container| container.env("CAPSHIM_USER", "vault").env("CAPSHIM_CAPS", "ipc_lock");
    row("vault", "capshim in front, root start", &in_front(root(&GRANT)).run(&shim(&SERVER)));
    let skips = |container: Container| in_front(container).env("SKIP_SETCAP", "1");
    row("vault", "capshim in front, root start, `SKIP_SETCAP=1`", &skips(root(&GRANT)).run(&shim(&SERVER)));
    let capable = skips(root(&GRANT)).file_caps("/bin/vault", "cap_ipc_lock=ep");
    row("vault", "the same, the server's file already `=ep`", &capable.run(&shim(&SERVER)));
    let user =
        vault(Container::user(100, 1000).capabilities(&["IPC_LOCK"])).file_caps("/capshim", "cap_ipc_lock=p");
    let output = skips(user.no_new_privs()).run(&shim(&SERVER));
    row("vault", "capshim in front, non-root start, `SKIP_SETCAP=1`", &output);
}

/// Takes its settings from the environment, and becomes uid 1000 where it is root.
const ELASTICSEARCH: &str = r#"#!/bin/sh
set -e
umask 0002
[ "$1" = eswrapper ] || exec "$@"
set -- /usr/share/elasticsearch/bin/elasticsearch
[ "$(id -u)" != 0 ] || exec chroot --userspec=1000 / "$@"
exec "$@"
"#;

fn elasticsearch(container: Container) -> Container {
    let container = container.account("elasticsearch", 1000, 1000);
    let container = container.program("server", "/usr/share/elasticsearch/bin/elasticsearch");
    let container = container.script("/usr/local/bin/docker-entrypoint.sh", ELASTICSEARCH);
    let tini = find("tini").expect("tini");
    container
        .import_program(&tini)
        .copy(tini.to_str().expect("a path"), "/sbin/tini")
        .mode("/sbin/tini", 0o755)
}

#[test]
fn elasticsearch_holds_ipc_lock_with_capshim_before_tini() {
    needs!("runc", "busybox", "tini");
    let command = ["/sbin/tini", "--", "/usr/local/bin/docker-entrypoint.sh", "eswrapper"];
    let user = || elasticsearch(Container::user(1000, 0).capabilities(&["IPC_LOCK"]));
    row("elasticsearch", "as it is, uid 1000, gid 0", &user().run(&command));
    let capable =
        || user().file_caps("/capshim", "cap_ipc_lock=p").env("CAPSHIM_CAPS", "ipc_lock").no_new_privs();
    let output = capable().run(&shim(&command));
    assert_eq!(output.state()["gid"], "0");
    row("elasticsearch", "capshim before tini, non-root start", &output);
    let behind = ["/sbin/tini", "--", "/capshim", "/usr/local/bin/docker-entrypoint.sh", "eswrapper"];
    row("elasticsearch", "capshim behind tini, non-root start", &capable().run(&behind));
    let root = elasticsearch(Container::root().capabilities(&GRANT)).env("CAPSHIM_CAPS", "ipc_lock");
    let output = root.env("CAPSHIM_USER", "1000:0").run(&shim(&command));
    assert_eq!(output.state()["gid"], "0");
    row("elasticsearch", "capshim before tini, root start, `CAPSHIM_USER=1000:0`", &output);
}
