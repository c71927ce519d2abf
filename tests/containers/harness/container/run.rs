//! Containers run, and are gone.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::machine::{emulator, runtime};
use super::{Container, Output};

impl Container {
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Container {
        self.stdin = Some(stdin.into());
        self
    }

    /// Starts the command in the container and waits for its end.
    pub fn run(mut self, command: &[&str]) -> Output {
        let stdin = self.stdin.take().map_or(Stdio::null(), Stdio::from);
        Output::of(self.command(command).runc("run").stdin(stdin).output().expect("runc"))
    }

    /// The same through capshim, after a check that says the same.
    pub fn shim(mut self, command: &[&str]) -> Output {
        let check = [&["/capshim", "--check", "--"], command].concat();
        let check = Output::of(self.command(&check).runc("run").stdin(Stdio::null()).output().expect("runc"));
        let run = self.run(&[&["/capshim"], command].concat());
        // To an emulated shim what it executes is for another architecture, which it refuses
        // to foretell.
        if emulator().is_none() {
            check.foretells(&run);
        }
        run
    }

    /// Starts the command on a terminal and returns what it wrote there.
    pub fn on_terminal(mut self, command: &[&str]) -> String {
        self.terminal();
        on_terminal(self.command(command).runc("run")).1
    }

    /// The command gets a terminal of its own, which runc connects with its own.
    pub fn terminal(&mut self) {
        self.config["process"]["terminal"] = json!(true);
    }

    /// Ends what runs and removes it.
    pub fn delete(&self) {
        let root = self.folder.path().join("runc");
        let mut runtime = Command::new(&self.runtime[0]);
        runtime.args(&self.runtime[1..]).arg("--root").arg(root);
        let _ = runtime.args(["delete", "--force", &self.id]).status();
    }

    /// What an instrumented shim counted (scripts/coverage).
    fn keep_coverage(&self) {
        let Some(folder) = std::env::var_os("COVERAGE_DIR") else { return };
        let counts = fs::read_dir(self.path("tmp")).into_iter().flatten().flatten();
        for (index, counts) in
            counts.filter(|file| file.path().extension() == Some("profraw".as_ref())).enumerate()
        {
            let kept = Path::new(&folder).join(format!("{}-{index}.profraw", self.id));
            fs::copy(counts.path(), kept).expect("a copy");
        }
    }

    /// The container's command is this.
    pub fn command(&mut self, command: &[&str]) -> &Container {
        let mut arguments = command.to_vec();
        if let Some(shim) = command.iter().position(|word| *word == "/capshim" && emulator().is_some()) {
            arguments.insert(shim, "/emulator");
        }
        self.config["process"]["args"] = json!(arguments);
        fs::write(self.folder.path().join("config.json"), self.config.to_string()).expect("config.json");
        self
    }

    pub fn runc(&self, verb: &str) -> Command {
        self.runc_with(verb, &[])
    }

    /// With options of the verb's, which crun takes before the container's name alone.
    pub fn runc_with(&self, verb: &str, options: &[&str]) -> Command {
        // A container that hangs fails its test and not the whole run.
        let mut runtime = Command::new("timeout");
        runtime.args(["--kill-after=5", "120"]).args(&self.runtime);
        runtime.arg("--root").arg(self.folder.path().join("runc"));
        runtime.arg(verb).args(options).arg(&self.id).current_dir(self.folder.path());
        runtime
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.keep_coverage();
        // There is something left to delete only if runc was killed.
        if self.folder.path().join("runc").join(&self.id).exists() {
            self.delete();
        }
    }
}

/// Runs a command on a terminal. Returns its exit code and what was written there, without the
/// carriage returns of each terminal on the way.
pub fn on_terminal(mut command: Command) -> (i32, String) {
    let pty = nix::pty::openpty(None, None).expect("a pseudo-terminal");
    let slave = || Stdio::from(pty.slave.try_clone().expect("dup"));
    let mut child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("a command");
    // The terminal ends with the command only if nobody else holds its other side.
    drop((command, pty.slave));
    let mut written = Vec::new();
    let mut master = fs::File::from(pty.master);
    // A terminal whose other side is closed reads as EIO.
    let _ = std::io::Read::read_to_end(&mut master, &mut written);
    let code = child.wait().expect("the command's end").code().unwrap_or(-1);
    (code, String::from_utf8(written).expect("text from the terminal").replace('\r', ""))
}

/// What the runtime itself says where it cannot execute a program.
pub fn cannot_execute(program: &str, why: &str) -> String {
    if runtime()[0] == "crun" {
        format!("exec container process `{program}`: {why}")
    } else {
        format!("exec {program}: {}", why.to_lowercase())
    }
}
