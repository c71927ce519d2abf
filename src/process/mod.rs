//! This process: what it is, and the plan performed on it.
#![forbid(unsafe_code)]

pub mod apply;
pub mod chain;
pub mod failures;
pub mod observe;
pub mod own_file;
pub mod reach;
