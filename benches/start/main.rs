//! What a start by capshim costs, beside other programs that end by executing a command.
//!
//!     scripts/bench [ROUNDS] [--plot] [--beside FILE]...
//!
//! Each round runs every case once, in a new order, on one CPU; so what else the machine does
//! meets all of them alike. The time is from before the spawn to the end of the application,
//! which ends at once. It asserts nothing about time. It asserts that own_calls.c makes capshim's calls.

mod calls;
mod cases;
mod folder;
mod plot;
mod report;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use calls::Trace;
use cases::Case;
use folder::Folder;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use report::Measured;
use worker::Worker;

const ROUNDS: usize = 1000;
/// Of these nothing is kept: they fill the page cache.
const WARM_UP: usize = 10;

struct Arguments {
    rounds: usize,
    plot: bool,
    /// Other builds of capshim, for a comparison in the same run.
    beside: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: scripts/bench [ROUNDS] [--plot] [--beside FILE]...");
        return ExitCode::from(64);
    };
    stay_on_one_cpu();
    let folder = Folder::new();
    let cases = cases::all(&folder, &arguments.beside);
    // Before anything large is allocated.
    let mut workers: Vec<Worker> = cases.iter().map(Worker::new).collect();
    let traces: Vec<Trace> =
        cases.iter().zip(&mut workers).map(|(case, worker)| Trace::of(case, worker)).collect();
    if let Some(difference) = cases::other_calls(&cases, &traces) {
        eprintln!("bench: benches/start/own_calls.c does not make capshim's calls: {difference}");
        return ExitCode::FAILURE;
    }
    let measured = measure(&cases, &mut workers, &traces, arguments.rounds);
    report::print(&cases, &measured, arguments.rounds);
    if arguments.plot {
        plot::write(&cases, &measured);
    }
    ExitCode::SUCCESS
}

fn arguments() -> Option<Arguments> {
    let mut arguments = Arguments { rounds: ROUNDS, plot: false, beside: Vec::new() };
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        match word.to_str()? {
            // What cargo adds.
            "--bench" => {}
            "--plot" => arguments.plot = true,
            "--beside" => arguments.beside.push(words.next()?.into()),
            rounds => arguments.rounds = rounds.parse().ok().filter(|rounds| *rounds > 0)?,
        }
    }
    Some(arguments)
}

/// The last one that this process may use; children inherit it.
fn stay_on_one_cpu() {
    let own = Pid::from_raw(0);
    let all = sched_getaffinity(own).expect("sched_getaffinity");
    let last = (0..CpuSet::count()).rev().find(|cpu| all.is_set(*cpu).unwrap_or(false)).expect("a CPU");
    let mut one = CpuSet::new();
    one.set(last).expect("a CPU's number");
    sched_setaffinity(own, &one).expect("sched_setaffinity");
}

fn measure(cases: &[Case], workers: &mut [Worker], traces: &[Trace], rounds: usize) -> Vec<Measured> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut order: Vec<usize> = (0..cases.len()).collect();
    let mut runs: BTreeMap<usize, Vec<worker::Run>> = BTreeMap::new();
    for round in 0..WARM_UP + rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let run = workers[index].run();
            if round >= WARM_UP {
                runs.entry(index).or_default().push(run);
            }
        }
    }
    let cases = cases.iter().zip(workers).enumerate();
    cases
        .map(|(index, (case, worker))| Measured {
            runs: runs.remove(&index).unwrap_or_default(),
            calls: traces[index].count(),
            resident: case.stays.then(|| worker.resident()),
        })
        .collect()
}
