//! The figures in words: a table of the programs, and what the time grows with.

use std::fs;

use crate::cases::{Case, Part};
use crate::worker::Run;

/// What was measured of one case.
pub struct Measured {
    pub runs: Vec<Run>,
    /// System calls before the application's exec.
    pub calls: usize,
    /// KiB, of a program that stays.
    pub resident: Option<u64>,
}

impl Measured {
    /// Microseconds: so many per cent of the runs took no longer.
    pub fn time(&self, per_cent: usize) -> f64 {
        nth(self.runs.iter().map(|run| run.nanoseconds).collect(), per_cent) / 1000.0
    }

    fn faults(&self) -> f64 {
        nth(self.runs.iter().map(|run| run.faults).collect(), 50)
    }
}

fn nth(mut numbers: Vec<u64>, per_cent: usize) -> f64 {
    numbers.sort_unstable();
    numbers[(numbers.len() - 1) * per_cent / 100] as f64
}

/// Microseconds more than the command itself takes.
pub fn added(cases: &[Case], measured: &[Measured], index: usize) -> f64 {
    measured[index].time(50) - measured[cases[index].base].time(50)
}

/// The place of capshim's ordinary start.
pub fn capshim(cases: &[Case]) -> usize {
    cases.iter().position(|case| case.name == "capshim").expect("capshim")
}

pub fn machine() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("Linux {}, {}", kernel.trim(), model.map_or("unknown CPU", |(_, model)| model))
}

pub fn print(cases: &[Case], measured: &[Measured], rounds: usize) {
    println!("\n{}; medians of {rounds} interleaved runs on one CPU.\n", machine());
    programs(cases, measured);
    growth(cases, measured);
}

fn programs(cases: &[Case], measured: &[Measured]) {
    let ours = added(cases, measured, capshim(cases));
    println!(
        "| {:39} | {:>9} | {:>11} | {:>8} | {:>7} | {:>11} | {:>12} | {:>9} | {:>9} |",
        "",
        "median µs",
        "10% to 90%",
        "added µs",
        "ratio",
        "page faults",
        "system calls",
        "file kB",
        "stays kB"
    );
    println!("|---|{}", "---:|".repeat(8));
    for (index, case) in cases.iter().enumerate().filter(|(_, case)| case.part == Part::Programs) {
        let Measured { calls, resident, .. } = &measured[index];
        let run = &measured[index];
        let size = fs::metadata(case.program()).expect("a file").len() as f64 / 1000.0;
        let spread = format!("{:.0} to {:.0}", run.time(10), run.time(90));
        let added = added(cases, measured, index);
        let faults = run.faults() - measured[case.base].faults();
        let stays = resident.map_or("-".to_owned(), |kibibytes| format!("{:.0}", kibibytes as f64 * 1.024));
        println!(
            "| {:39} | {:>9.0} | {spread:>11} | {added:>8.0} | {:>7.2} | {faults:>11} | {calls:>12} | {size:>9.0} | {stays:>9} |",
            case.name,
            run.time(50),
            added / ours,
        );
    }
}

/// If the time is linear in something, a unit of it costs the same however many there are.
fn growth(cases: &[Case], measured: &[Measured]) {
    println!("\n| {:>8} {:30} | {:15} | {:>8} | {:>24} |", "", "", "", "added µs", "µs for each of them");
    println!("|---|---|---:|---:|");
    for (index, case) in cases.iter().enumerate().filter(|(index, case)| *index != case.base) {
        let Part::Growth(what, amount) = case.part else { continue };
        // The same program where there are few.
        let plain = cases.iter().position(|other| other.name.starts_with(&case.name)).expect("a case");
        let added = added(cases, measured, index);
        let each = (added - self::added(cases, measured, plain)) / amount as f64;
        println!("| {amount:>8} {what:30} | {:15} | {added:>8.0} | {each:>12.2} |", case.name);
    }
}
