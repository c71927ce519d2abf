//! `--check` reports.

pub mod report;
pub mod trial;
