//! `--check` reports.

mod report;
mod trial;
