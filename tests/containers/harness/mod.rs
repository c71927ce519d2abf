//! What all tests share: containers of every kind, what they leave behind, and strace on them.

pub mod attach;
pub mod capabilities;
pub mod case;
pub mod container;
pub mod elf;
pub mod inits;
pub mod install;
pub mod live;
pub mod perform;
pub mod points;
pub mod race;
pub mod report;
pub mod sources;
pub mod start;
pub mod starts;
pub mod strace;
pub mod volume;
