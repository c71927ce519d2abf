//! The application's environment: HOME, USER and LOGNAME, and every other byte as it was.

use crate::harness::container::Container;
use crate::harness::starts::app;

#[track_caller]
fn environment(container: Container, expected: &str) {
    let output = container.shim(&["/state", "environment"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (expected, ""));
}

#[test]
fn settings_are_gone_and_all_else_keeps_its_place() {
    let container = app()
        .env("Z", "1")
        .env("CAPSHIM_CAPS", "none")
        .env("A", "with = and  spaces")
        .env("CAPSHIM_GROUPS", "auto");
    let container = container
        .env("CAPSHIM_NO_NEW_PRIVS", "true")
        .env("CAPSHIM_INIT", "0")
        .env("CAPSHIM_LOG", "warn")
        .env("EMPTY", "")
        .env("M", "2");
    environment(container, "PATH=/bin\nHOME=/home/app\nZ=1\nA=with = and  spaces\nEMPTY=\nM=2\n");
}

#[test]
fn service_links_and_version_pins_are_passed_on() {
    let links = [
        "CAPSHIM_SERVICE_HOST",
        "CAPSHIM_SERVICE_PORT",
        "CAPSHIM_PORT",
        "CAPSHIM_PORT_80_TCP",
        "CAPSHIM_PORT_80_TCP_ADDR",
        "CAPSHIM_X_SERVICE_PORT_HTTP",
        "CAPSHIM_VERSION",
        "CAPSHIM_SHA256",
    ];
    let container = links.iter().fold(app(), |container, name| container.env(name, "x"));
    let expected: String = links.iter().map(|name| format!("{name}=x\n")).collect();
    environment(container, &format!("PATH=/bin\nHOME=/home/app\n{expected}"));
}

#[test]
fn bytes_that_are_no_text_pass_unchanged() {
    // An argument and a variable of bytes, made by the shell from their octal numbers.
    let script = r#"BYTES="$(printf '\377\376')" exec /capshim /state arguments environment -- "$(printf 'a\377\200b')" '' 'two words'"#;
    let output = app().run(&["/bin/sh", "-c", script]);
    assert!(
        output.stdout.starts_with("arguments\nenvironment\n--\na\\xff\\x80b\n\ntwo words\n"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("\nBYTES=\\xff\\xfe\n"), "{}", output.stdout);
}

#[test]
fn home_follows_the_user() {
    environment(app(), "PATH=/bin\nHOME=/home/app\n");
    environment(app().without_env("HOME"), "PATH=/bin\nHOME=/home/app\n");
    environment(app().without_env("HOME").env("HOME", "/data"), "PATH=/bin\nHOME=/data\n");
    let no_entry =
        |home: &str| Container::root().without_env("HOME").env("HOME", home).env("CAPSHIM_USER", "4242:4242");
    environment(no_entry("/root"), "PATH=/bin\nHOME=/\n");
    environment(no_entry("/data"), "PATH=/bin\nHOME=/data\n");
    // Without an entry for root, either of the two places that runtimes choose was its home.
    for home in ["/root", "/"] {
        let passwd = "app:x:1000:1000::/home/app:/bin/sh\n";
        let container = app().without_env("HOME").env("HOME", home).file("/etc/passwd", passwd);
        environment(container, "PATH=/bin\nHOME=/home/app\n");
    }
}

#[test]
fn user_and_logname_change_only_if_they_were_the_starting_users() {
    environment(
        app().env("USER", "root").env("LOGNAME", "root"),
        "PATH=/bin\nHOME=/home/app\nUSER=app\nLOGNAME=app\n",
    );
    environment(
        app().env("USER", "jane").env("LOGNAME", "root"),
        "PATH=/bin\nHOME=/home/app\nUSER=jane\nLOGNAME=app\n",
    );
    let no_name =
        Container::root().env("CAPSHIM_USER", "4242:4242").env("USER", "root").env("LOGNAME", "jane");
    environment(no_name, "PATH=/bin\nHOME=/\nLOGNAME=jane\n");
}

#[test]
fn a_non_root_start_keeps_home_user_and_logname() {
    let start = |home: &str| {
        Container::user(1000, 1000)
            .without_env("HOME")
            .env("HOME", home)
            .env("USER", "app")
            .env("CAPSHIM_CAPS", "none")
    };
    environment(start("/home/app"), "PATH=/bin\nHOME=/home/app\nUSER=app\n");
    environment(start("/data"), "PATH=/bin\nHOME=/data\nUSER=app\n");
}
