//! Every start, not a sample: for each combination of what can be granted, set and asked for, the
//! program's pure code runs, its steps are done on a model of the kernel, and the promise is held that
//! the application has exactly what was asked for, or that a refusal names what is missing. A refusal
//! comes only where the model says that it cannot be had.
//!
//!     make every
//!
//! walks all of them; `cargo test` walks a slice, evenly spread. tests/proof runs the model against the
//! real kernel. `starts` says which starts there are, and why the ones that are left out are no others.

mod alike;
mod check;
mod commands;
mod groups;
mod kernel;
mod promise;
mod reach;
mod shim;
mod starts;
mod steps;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use check::{Outcome, check};
use shim::Shim;
use starts::Kind;

/// Whether to walk all, or each start whose number is a multiple of this.
fn stride(slice: usize) -> usize {
    if std::env::var_os("EVERY_START").is_some() { 1 } else { slice }
}

/// Does the work for each item in two threads, and stops all of it with the first fault.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let thread = || {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(fault) = work(item) {
                    next.store(items.len(), Ordering::Relaxed);
                    panic!("{fault}");
                }
            }
        };
        scope.spawn(thread);
        thread();
    });
}

#[test]
fn every_start_gives_exactly_the_request_or_names_what_is_missing() {
    let begun = Instant::now();
    let [all, checked, started] = [const { AtomicUsize::new(0) }; 3];
    // The large ones first, so that both threads end together.
    let mut kinds: Vec<(usize, Kind)> =
        Kind::all().into_iter().map(|kind| (kind.starts().count(), kind)).collect();
    kinds.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    each(&kinds, |(count, kind)| {
        let (starts, mut shim) = (kind.starts(), Shim::new(kind));
        let (mut here, mut starting) = (0, 0);
        for number in (0..*count).step_by(stride(5_003)) {
            let sets = starts.get(number);
            let outcome = check(&mut shim, kind, &sets);
            let outcome = outcome.map_err(|fault| format!("{kind:?}\n{sets:x?}\n{fault}"))?;
            here += 1;
            starting += usize::from(matches!(outcome, Outcome::Starts(_)));
        }
        all.fetch_add(*count, Ordering::Relaxed);
        checked.fetch_add(here, Ordering::Relaxed);
        started.fetch_add(starting, Ordering::Relaxed);
        Ok(())
    });
    println!(
        "{} of {} starts checked, of {} kinds: {} start the application; {:.0?}",
        checked.into_inner(),
        all.into_inner(),
        kinds.len(),
        started.into_inner(),
        begun.elapsed()
    );
}

#[test]
fn every_command_is_judged_as_the_kernel_executes_it() {
    let (begun, files) = (Instant::now(), commands::files());
    let ends: Vec<usize> = (0..commands::ENDS).step_by(stride(499)).collect();
    each(&ends, |end| commands::check(&commands::end(*end), &files));
    println!(
        "{} of {} ends of a plan with {} files each; {:.0?}",
        ends.len(),
        commands::ENDS,
        files.len(),
        begun.elapsed()
    );
}

#[test]
fn every_user_and_group_becomes_what_the_settings_say() {
    let begun = Instant::now();
    let cases: Vec<usize> = (0..groups::COUNT).step_by(stride(97)).collect();
    each(&cases, |number| groups::check(&groups::case(*number)));
    println!("{} of {} combinations of ids and groups; {:.0?}", cases.len(), groups::COUNT, begun.elapsed());
}

#[test]
fn an_obstacle_is_one_for_every_sequence_of_calls() {
    let (begun, compared) = (Instant::now(), AtomicUsize::new(0));
    let kinds = reach::kinds().into_iter().enumerate();
    // Of a slice: one without securebits, one where ambient cannot be raised, and one where permitted
    // cannot be kept.
    let kinds = kinds.filter(|(number, _)| stride(2) == 1 || [0, 1, 4].contains(number));
    let kinds: Vec<Kind> = kinds.map(|(_, kind)| kind).collect();
    each(&kinds, |kind| {
        compared.fetch_add(reach::check(kind)?, Ordering::Relaxed);
        Ok(())
    });
    println!("{} starts, each with every sequence of calls; {:.0?}", compared.into_inner(), begun.elapsed());
}
