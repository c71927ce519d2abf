//! `--install` copies the program.

pub mod copy;
mod faults;
pub mod race;
pub mod refused;
