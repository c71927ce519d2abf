//! `--install` copies the program.

mod copy;
mod faults;
mod race;
mod refused;
