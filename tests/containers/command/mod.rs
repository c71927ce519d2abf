//! The command is found and executed, or cannot be.

mod execute;
mod privileged;
