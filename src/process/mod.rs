//! This process: observes it, and performs the plan on it.
#![forbid(unsafe_code)]

pub mod apply;
pub mod chain;
pub mod failures;
pub mod observe;
pub mod own_file;
pub mod reach;
