//! Finding and executing the command: 126, 127, and what is said.

use crate::harness::container::{Container, find};
use crate::harness::elf::{ELSEWHERE, HERE, header, needing};
use crate::harness::starts::app;

fn with_path(path: &str) -> Container {
    app().without_env("PATH").env("PATH", path)
}

#[test]
fn a_command_that_is_not_there() {
    app().shim(&["nosuch"]).refuses(
        127,
        "capshim: nosuch: not found in PATH=/bin\ncapshim: hint: check the spelling; or write the command with its whole path\n",
    );
    for (command, errno) in
        [("/nosuch", "ENOENT: No such file or directory"), ("/state/x", "ENOTDIR: Not a directory")]
    {
        app().shim(&[command]).refuses(
            127,
            &format!(
                "capshim: cannot execute {command}: {errno}\n\
                 capshim: hint: write the path of a program that is in the image; or its name alone, which PATH finds\n"
            ),
        );
    }
}

#[test]
fn a_command_that_is_no_program() {
    app().shim(&["/etc"]).refuses(
        126,
        "capshim: cannot execute /etc: EISDIR: Is a directory\ncapshim: hint: name the program, not the folder that it is in\n",
    );
    app().mode("/state", 0o644).shim(&["/state"]).refuses(
        126,
        "capshim: cannot execute /state: EACCES: Permission denied\n\
         capshim: hint: let the application's user execute it: chmod a+rx /state\n",
    );
    app().file("/text", "echo hello\n").mode("/text", 0o755).shim(&["/text"]).refuses(
        126,
        "capshim: execve(/text): ENOEXEC: Exec format error: it is no program and has no #! line\n\
         capshim: hint: begin /text with a line #!/bin/sh; or run it as: sh /text\n",
    );
    app().file("/empty", "").mode("/empty", 0o755).shim(&["/empty"]).refuses(
        126,
        "capshim: execve(/empty): ENOEXEC: Exec format error: it is empty\n\
         capshim: hint: put the whole program into the image: a copy or download may have been cut off\n",
    );
    app().file("/bare", "#!\n").mode("/bare", 0o755).shim(&["/bare"]).refuses(
        126,
        "capshim: execve(/bare): ENOEXEC: Exec format error: it has a #! line that names no interpreter\n\
         capshim: hint: begin /bare with a line that does: #!/bin/sh\n",
    );
}

#[test]
fn a_program_for_another_architecture() {
    let name = if ELSEWHERE == 62 { "x86_64" } else { "aarch64" };
    app().file("/foreign", header(ELSEWHERE)).mode("/foreign", 0o755).shim(&["/foreign"]).refuses(
        126,
        &format!(
            "capshim: execve(/foreign): ENOEXEC: Exec format error: it is for another architecture ({name})\n\
             capshim: hint: build or pull the image for this node's architecture\n"
        ),
    );
}

#[test]
fn a_missing_interpreter_or_loader_is_named() {
    app().file("/script", "#!/usr/bin/python9 -u\n").mode("/script", 0o755).shim(&["/script"]).refuses(
        126,
        "capshim: execve(/script): ENOENT: No such file or directory: its interpreter /usr/bin/python9 is missing\n\
         capshim: hint: install the interpreter in the image; or correct the first line of /script\n",
    );
    app().file("/script", "#!/bin/sh\r\necho\r\n").mode("/script", 0o755).shim(&["/script"]).refuses(
        126,
        "capshim: execve(/script): ENOENT: No such file or directory: its interpreter /bin/sh\\r is missing\n\
         capshim: hint: the script has Windows line ends: convert it, as with: dos2unix /script\n",
    );
    // A program of this machine, linked to its libc, which the image has not.
    let dynamic = std::fs::read(find("setcap").expect("setcap")).expect("a program");
    let output = app().file("/dynamic", dynamic).mode("/dynamic", 0o755).shim(&["/dynamic"]);
    output.refuses_saying(
        126,
        "capshim: execve(/dynamic): ENOENT: No such file or directory: it needs the loader /lib",
    );
    assert!(output.stderr.ends_with(
        ", which is missing\ncapshim: hint: the program was linked for another libc: use an image that has it; or link the program statically\n"
    ));
}

#[test]
fn path_is_searched_in_order_past_what_cannot_be_executed() {
    let image = || {
        with_path("/first:/closed:/second:/nosuch")
            .copy("/state", "/first/tool")
            .copy("/state", "/second/tool")
            .copy("/state", "/closed/tool")
    };
    let image = || image().mode("/first/tool", 0o644).mode("/closed", 0o700);
    assert_eq!(image().shim(&["tool"]).code, 0);
    image().without("/second/tool").shim(&["tool"]).refuses(
        126,
        "capshim: cannot execute /first/tool: EACCES: Permission denied\n\
         capshim: hint: let the application's user execute it: chmod a+rx /first/tool\n",
    );
}

#[test]
fn path_is_searched_as_the_target_and_not_as_root() {
    let image = with_path("/roots:/bin").copy("/state", "/roots/tool").owned("/roots/tool", 0, 0, 0o700);
    image.copy("/state", "/bin/tool").shim(&["tool"]).is_exactly(1000, 1000, "29, 1000, 1001", "none");
}

#[test]
fn capabilities_count_in_the_search() {
    let granted = ["DAC_OVERRIDE", "SETGID", "SETUID"];
    let image = app().capabilities(&granted).env("CAPSHIM_CAPS", "dac_override").owned("/state", 0, 0, 0o700);
    image.shim(&["/state"]).is_exactly(1000, 1000, "29, 1000, 1001", "DAC_OVERRIDE");
}

#[test]
fn empty_entries_of_path_are_not_the_working_directory() {
    for path in ["", ":", ":/nosuch:", "/nosuch::"] {
        with_path(path).cwd("/").shim(&["state"]).refuses_saying(127, "state: not found in PATH=");
    }
    with_path("").shim(&["./state"]).is_exactly(1000, 1000, "29, 1000, 1001", "none");
}

#[test]
fn without_path_dockers_default_is_searched() {
    // runc would find no PATH for its own lookup of capshim; an absolute path needs none.
    let image = app().without_env("PATH").copy("/state", "/usr/local/bin/tool");
    image.shim(&["tool"]).is_exactly(1000, 1000, "29, 1000, 1001", "none");
}

#[test]
fn what_is_wrong_with_an_interpreter_is_said_of_the_interpreter() {
    let image = |interpreter: &[u8]| {
        let container = app().file("/interpreter", interpreter).mode("/interpreter", 0o755);
        container
            .file("/inner", "#!/interpreter\n")
            .mode("/inner", 0o755)
            .file("/outer", "#!/inner\n")
            .mode("/outer", 0o755)
    };
    image(b"text\n").shim(&["/outer"]).refuses(
        126,
        "capshim: execve(/outer): ENOEXEC: Exec format error: its interpreter /interpreter is no program and has no #! line\n\
         capshim: hint: begin /interpreter with a line #!/bin/sh\n",
    );
    let dynamic = std::fs::read(find("setcap").expect("setcap")).expect("a program");
    image(&dynamic)
        .shim(&["/outer"])
        .refuses_saying(126, "its interpreter /interpreter needs the loader /lib");
    image(b"")
        .without("/interpreter")
        .shim(&["/outer"])
        .refuses_saying(126, "its interpreter /interpreter is missing");
    image(b"#!/bin/sh\n")
        .mode("/interpreter", 0o644)
        .shim(&["/outer"])
        .refuses_saying(126, "its interpreter");
}

#[test]
fn a_32_bit_program_without_its_loader_is_explained_too() {
    // A header, and one program header that names the loader.
    let mut program = b"\x7fELF\x01\x01\x01".to_vec();
    program.resize(84, 0);
    (program[16], program[18], program[20], program[28], program[40], program[42], program[44]) =
        (2, 3, 1, 52, 52, 32, 1);
    (program[52], program[56], program[68], program[72]) = (3, 84, 12, 12);
    program.extend_from_slice(b"/lib/none.so\0");
    program[68] = 13;
    let output = app().file("/old", program).mode("/old", 0o755).shim(&["/old"]);
    // A kernel without 32-bit programs says ENOEXEC.
    let said =
        ["it needs the loader /lib/none.so, which is missing", "it is for another architecture (i386)"];
    assert!(output.code == 126 && said.iter().any(|said| output.stderr.contains(said)), "{}", output.stderr);
}

#[test]
fn a_loader_whose_path_leads_nowhere_is_foretold() {
    let program = needing("/etc/passwd/loader");
    let image = app().file("/program", program).mode("/program", 0o755);
    image.shim(&["/program"]).refuses(126, "capshim: execve(/program): ENOTDIR: Not a directory\n");
}

#[test]
fn a_noexec_mount_is_named() {
    let image = app().copy("/state", "/shared/state").bind("/shared", "/noexec", &["noexec"]);
    image.shim(&["/noexec/state"]).refuses(
        126,
        "capshim: cannot execute /noexec/state: EACCES: Permission denied\n\
         capshim: hint: it is on a noexec mount: run a copy that is in the image; or mount its folder without noexec, and put it there again: Kubernetes: an emptyDir; Docker/Podman: --tmpfs FOLDER:exec\n",
    );
}

#[test]
fn a_kernel_without_faccessat2_is_asked_the_older_way() {
    // As an older kernel answers, as older seccomp profiles do, and as any other may.
    for errno in [libc::ENOSYS, libc::EPERM, libc::EACCES, libc::ENXIO] {
        app().no_new_privs().deny("faccessat2", errno).shim(&["/state"]).is_exactly(
            1000,
            1000,
            "29, 1000, 1001",
            "none",
        );
        app()
            .no_new_privs()
            .deny("faccessat2", errno)
            .mode("/state", 0o644)
            .shim(&["/state"])
            .refuses_saying(126, "EACCES");
    }
}

#[test]
fn a_device_is_no_program() {
    app().shim(&["/dev/null"]).refuses_saying(126, "cannot execute /dev/null: EACCES");
}

#[test]
fn a_damaged_program_is_said_to_be_one() {
    app().file("/damaged", header(HERE)).mode("/damaged", 0o755).shim(&["/damaged"]).refuses(
        126,
        "capshim: execve(/damaged): ENOEXEC: Exec format error: it is a damaged program file\n\
         capshim: hint: put the whole program into the image: a copy or download may have been cut off\n",
    );
}
