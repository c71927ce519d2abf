//! A start: a container to be, and its command.

use crate::harness::container::{Container, Output};

/// A container and its command.
pub struct Start {
    pub container: Container,
    pub command: Vec<String>,
}

impl Start {
    pub fn new(container: Container, command: &[&str]) -> Start {
        Start { container, command: Vec::new() }.command(command)
    }

    pub fn command(self, command: &[&str]) -> Start {
        Start { command: command.iter().map(|word| word.to_string()).collect(), ..self }
    }

    pub fn with(self, change: impl FnOnce(Container) -> Container) -> Start {
        Start { container: change(self.container), ..self }
    }

    /// A variable with this value and no other.
    pub fn env(self, name: &str, value: &str) -> Start {
        self.with(|container| container.without_env(name).env(name, value))
    }

    /// Where the command begins with the shim, after a check that says the same.
    pub fn run(self) -> Output {
        let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        match command[..] {
            ["/capshim", command, ..] if command.starts_with("--") => {}
            ["/capshim", _, ..] => return self.container.shim(&command[1..]),
            _ => {}
        }
        self.container.run(&command)
    }
}
