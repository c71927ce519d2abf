//! The plan against the kernel: random starts and settings. For each, the pure code says what
//! the application will hold, or which refusal comes; then it is done for real, and the two
//! are compared field by field. The rule for exec by itself is compared as well, with the
//! command executed from the start directly: it is right about what it refuses, too. And what
//! the settings promise is checked on every application that ran without the program's code;
//! and `--check` says of every case what its run did.
//!
//!     make proof [CASES=100000] [SEED=1]
//!
//! Before the random starts comes a covering array of starts: in these the model of the kernel, on which
//! tests/every walks all starts, is compared with the kernel as well.
//!
//! A difference is shrunk and printed as a `Case` to paste into `KNOWN`. The start is made by
//! code that shares nothing with the program's own.

mod calls;
mod case;
mod cover;
#[path = "../every/kernel.rs"]
mod kernel;
mod model;
mod perform;
mod predict;
mod promise;
#[path = "../every/steps.rs"]
mod steps;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;

use case::Case;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use perform::Seen;
use predict::Prediction;
use world::World;

/// Cases that once differed, or that are too rare to wait for.
const KNOWN: &[Case] = &[];

/// Random ones, few enough for every run of the tests.
const CASES: u64 = 1000;
const SEED: u64 = 1;

/// Processes that work side by side.
const WORKERS: u64 = 2;

fn main() -> ExitCode {
    if let Err(missing) = world::available() {
        println!("NOT RUN, {missing}: scripts/test installs and builds what is needed");
        return ExitCode::from(std::env::var_os("REQUIRE_ALL_TESTS").is_some() as u8);
    }
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect(name));
    let (cases, seed) = (number("PROOF_CASES", CASES), number("PROOF_SEED", SEED));
    let (covering, triples) = cover::cases();
    println!(
        "proof: {} cases that cover {triples} triples of values, and {cases} random ones, seed {seed}",
        covering.len()
    );
    let world = World::new();
    // Each worker is a process with one thread: only such a one may change its user namespace.
    let workers: Vec<_> = (0..WORKERS)
        // SAFETY: this process has one thread.
        .map(|worker| match unsafe { fork() }.expect("fork") {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                world.enter();
                std::process::exit(i32::from(!work(&world, worker, &covering, cases, seed)));
            }
        })
        .collect();
    let ended = workers.into_iter().map(|child| waitpid(child, None).expect("waitpid"));
    let failed = ended.filter(|end| !matches!(end, WaitStatus::Exited(_, 0))).count();
    println!("proof: {}", if failed == 0 { "no difference" } else { "DIFFERENCES, see above" });
    ExitCode::from(u8::from(failed != 0))
}

/// This worker's share of the cases. False after a difference.
fn work(world: &World, worker: u64, covering: &[Case], cases: u64, seed: u64) -> bool {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    if !cover(world, worker, covering, &mut kinds) {
        return false;
    }
    let share = (0..cases).filter(|number| number % WORKERS == worker);
    let random = share.map(|number| Case::random(&mut fastrand::Rng::with_seed(seed << 32 | number)));
    let known = KNOWN.iter().copied().filter(|_| worker == 0);
    for (done, case) in known.chain(random).enumerate() {
        let (kind, difference) = compare(world, &case);
        *kinds.entry(kind).or_default() += 1;
        if difference.is_some() {
            let shrunk = case.shrunk(|smaller| compare(world, smaller).1.is_some());
            let (_, difference) = compare(world, &shrunk);
            println!("proof: a difference in\n{shrunk:#?}\n{}", difference.unwrap_or_default());
            return false;
        }
        if worker == 0 && done > 0 && done % 10_000 == 0 {
            println!("proof: {} of {cases}", done as u64 * WORKERS);
        }
    }
    let summary: Vec<String> = kinds.iter().map(|(kind, count)| format!("    {count:7} {kind}")).collect();
    println!("proof: worker {worker}\n{}", summary.join("\n"));
    true
}

/// The same of the covering array, in which the model is compared, too.
fn cover(world: &World, worker: u64, covering: &[Case], kinds: &mut BTreeMap<String, u64>) -> bool {
    let cases = covering.iter().enumerate();
    for (number, case) in cases.filter(|(number, _)| *number as u64 % WORKERS == worker) {
        let (kind, difference) = compare(world, case);
        let shim = || perform::through_shim(world, case);
        let difference = difference.or_else(|| model::differs(world, case, number as u64, &shim()));
        if let Some(difference) = difference {
            println!("proof: case {number} of the covering array differs\n{case:#?}\n{difference}");
            return false;
        }
        *kinds.entry(kind).or_default() += 1;
    }
    true
}

/// The kind of a case, and what differs.
fn compare(world: &World, case: &Case) -> (String, Option<String>) {
    let (rule, direct) = (predict::predict_directly(world, case), perform::directly(world, case));
    if !same(&rule, &direct) {
        return (
            "exec".to_owned(),
            Some(format!("directly executed, predicted: {rule:#?}\nseen: {direct:#?}")),
        );
    }
    let (predicted, seen) = (predict::predict(world, case), perform::through_shim(world, case));
    let kind = match &predicted {
        Prediction::ChangesIds(_) => "the shim's file changes ids".to_owned(),
        Prediction::NotExecuted => "the kernel does not execute the shim's file".to_owned(),
        Prediction::Refused(refusal) => {
            // Without the values, so that the like are counted together.
            let first = refusal.cause.split([':', '\'', '(']).next().unwrap_or_default();
            let words = first.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
            let words: Vec<&str> = words.collect();
            format!("exit {} {}", refusal.exit as u8, words.join(" "))
        }
        Prediction::Runs(state) if state["CapAmb"] != state["CapPrm"] => "runs, without ambient".to_owned(),
        Prediction::Runs(_) => "runs".to_owned(),
    };
    let difference =
        (!same(&predicted, &seen)).then(|| format!("predicted: {predicted:#?}\nseen: {seen:#?}"));
    // The payload alone exits with 0.
    let broken = (seen.code == 0).then(|| promise::broken(case, &seen.state())).flatten();
    // What no read tells, a check cannot know either.
    let exec_tells =
        matches!(&predicted, Prediction::Refused(refusal) if refusal.cause.starts_with("execve("));
    let verdict = (!exec_tells).then(|| verdict::differs(&seen, &perform::check(world, case))).flatten();
    (kind, difference.or(broken).or(verdict))
}

fn same(predicted: &Prediction, seen: &Seen) -> bool {
    match predicted {
        Prediction::NotExecuted => seen.code == perform::NOT_EXECUTED,
        Prediction::Refused(refusal) => {
            (seen.code, seen.stdout.as_str(), seen.stderr.as_str())
                == (refusal.exit as i32, "", &refusal.to_string())
        }
        Prediction::ChangesIds([uid, gid]) => {
            let state = seen.state();
            seen.code == perform::NOT_EXECUTED || (&state["Uid"], &state["Gid"]) == (uid, gid)
        }
        Prediction::Runs(state) => (seen.code, seen.stderr.as_str()) == (0, "") && seen.state() == *state,
    }
}
