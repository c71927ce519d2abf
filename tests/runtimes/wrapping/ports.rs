//! caddy, coredns, haproxy and nginx, which bind ports below 1024.

use super::{DEFAULTS, Image, row};
use crate::container::Container;
use crate::needs;

const GRANT: [&str; 3] = ["NET_BIND_SERVICE", "SETGID", "SETUID"];
const BIND: &str = "net_bind_service";

fn shim(command: &[&'static str]) -> Vec<&'static str> {
    [&["/capshim"], command].concat()
}

fn caddy(container: Container) -> Container {
    let container =
        container.program("server", "/usr/bin/caddy").without_env("PATH").env("PATH", "/usr/bin:/bin");
    container.file_caps("/usr/bin/caddy", "cap_net_bind_service=ep")
}

#[test]
fn caddys_file_has_the_capability_and_needs_it_granted() {
    needs!("runc", "busybox", "setcap");
    let command = ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"];
    let root = |granted: &[&str]| caddy(Container::root().capabilities(granted));
    row("caddy", "as it is, Docker's defaults", &root(&DEFAULTS).run(&command));
    row("caddy", "as it is, nothing granted", &root(&[]).run(&command));
    let user = || caddy(Container::user(1000, 1000).capabilities(&["NET_BIND_SERVICE"]));
    row("caddy", "as it is, uid 1000", &user().run(&command));
    row("caddy", "the same, no_new_privs", &user().no_new_privs().run(&command));
    let in_front = |caps: &str| root(&GRANT).env("CAPSHIM_USER", "app").env("CAPSHIM_CAPS", caps);
    row("caddy", "capshim in front, root start", &in_front(BIND).run(&shim(&command)));
    row("caddy", "the same, `CAPSHIM_CAPS=none`", &in_front("none").run(&shim(&command)));
    let bare = in_front(BIND).file_caps("/usr/bin/caddy", "-r");
    row("caddy", "the same after `setcap -r /usr/bin/caddy`", &bare.run(&shim(&command)));
}

/// Nothing but the server, whose user is 65532.
fn coredns(granted: &[&str]) -> Container {
    let container = Container::user(65532, 65532).capabilities(granted).account("nonroot", 65532, 65532);
    let container = container.program("server", "/coredns").without("/bin/sh").without("/bin/busybox");
    container.file_caps("/coredns", "cap_net_bind_service=ep")
}

#[test]
fn corednss_file_has_the_capability_and_capshim_says_what_is_missing() {
    needs!("runc", "busybox", "setcap");
    let command = ["/coredns", "-conf", "/etc/coredns/Corefile"];
    row(
        "coredns",
        "as it is, NET_BIND_SERVICE",
        &coredns(&["NET_BIND_SERVICE"]).no_new_privs().run(&command),
    );
    row("coredns", "as it is, nothing granted", &coredns(&[]).no_new_privs().run(&command));
    let in_front = |granted: &[&str]| {
        let container = coredns(granted).file_caps("/capshim", "cap_net_bind_service=p").no_new_privs();
        container.env("CAPSHIM_CAPS", BIND).run(&shim(&command))
    };
    row("coredns", "capshim in front, non-root start", &in_front(&["NET_BIND_SERVICE"]));
    let output = in_front(&[]);
    output.refuses_saying(77, "not granted to this container, not in its bounding set: NET_BIND_SERVICE");
    row("coredns", "the same, nothing granted", &output);
}

/// Puts the server's options first.
const HAPROXY: &str = r#"#!/bin/sh
set -e
[ "${1#-}" = "$1" ] || set -- haproxy "$@"
if [ "$1" = haproxy ]; then
    shift
    set -- haproxy -W -db "$@"
fi
exec "$@"
"#;

fn haproxy(container: Container) -> Container {
    let container = container.account("haproxy", 99, 99).program("server", "/usr/local/sbin/haproxy");
    let container = container.script("/usr/local/bin/docker-entrypoint.sh", HAPROXY);
    container.without_env("PATH").env("PATH", "/usr/local/sbin:/usr/local/bin:/bin")
}

#[test]
fn haproxys_user_holds_nothing_without_capshim() {
    needs!("runc", "busybox", "setcap");
    let command = ["docker-entrypoint.sh", "haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"];
    let user = || haproxy(Container::user(99, 99).capabilities(&["NET_BIND_SERVICE"]));
    row("haproxy", "as it is, NET_BIND_SERVICE", &user().run(&command));
    let capable = user().file_caps("/capshim", "cap_net_bind_service=p").env("CAPSHIM_CAPS", BIND);
    row("haproxy", "capshim in front, non-root start", &capable.no_new_privs().run(&shim(&command)));
    let root = haproxy(Container::root().capabilities(&GRANT)).env("CAPSHIM_CAPS", BIND);
    let output = root.env("CAPSHIM_USER", "haproxy").run(&shim(&command));
    row("haproxy", "capshim in front, root start (`--user 0`)", &output);
}

/// Runs the scripts of a folder, and then the server.
const NGINX_SCRIPT: &str = r#"#!/bin/sh
set -e
if [ "$1" = nginx ]; then
    find /docker-entrypoint.d/ -follow -type f | sort | while read -r file; do
        [ ! -x "$file" ] || "$file"
    done
fi
exec "$@"
"#;

/// What the server does before it serves: folders for what it buffers, which it gives to its user, and
/// its number in a file.
const NGINX: &str = r#"#!/bin/sh
fail() { echo "nginx: [emerg] $1 failed (13: Permission denied)" >&2; exit 1; }
for name in client_temp proxy_temp; do
    mkdir -p /var/cache/nginx/$name 2>/dev/null || fail "mkdir() \"/var/cache/nginx/$name\""
    [ "$(id -u)" != 0 ] || chown nginx /var/cache/nginx/$name
done
{ echo $$ >/run/nginx.pid; } 2>/dev/null || fail "open() \"/run/nginx.pid\""
exec /usr/sbin/nginx-server
"#;

fn nginx(container: Container) -> Container {
    let container = container.account("nginx", 101, 101).program("server", "/usr/sbin/nginx-server");
    let container = container.script("/docker-entrypoint.sh", NGINX_SCRIPT).script("/usr/sbin/nginx", NGINX);
    let container = container.folder("/var/cache/nginx").folder("/docker-entrypoint.d").folder("/run");
    container.without_env("PATH").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
}

#[test]
fn nginx_fails_on_the_owner_of_its_files_and_not_on_capabilities() {
    needs!("runc", "busybox");
    let command = ["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"];
    let root = |granted: &[&str]| nginx(Container::root().capabilities(granted));
    row("nginx", "as it is, Docker's defaults", &root(&DEFAULTS).run(&command));
    let in_front = || root(&GRANT).env("CAPSHIM_USER", "nginx").env("CAPSHIM_CAPS", BIND);
    row("nginx", "capshim in front, root start", &in_front().run(&shim(&command)));
    let owned = in_front().owned("/var/cache/nginx", 101, 101, 0o755).mode("/run", 0o1777);
    let output = owned.run(&shim(&command));
    row("nginx", "the same, /var/cache/nginx the user's and /run everyone's", &output);
}
