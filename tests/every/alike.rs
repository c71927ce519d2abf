//! What `starts` rests on: all capabilities but three are alike, and what is cut makes no difference.

use std::collections::BTreeSet;

use capshim::plan::Plan;
use capshim::plan::init::split;
use capshim::plan::notes::Note;
use capshim::plan::step::Step;

use crate::check::{Outcome, check};
use crate::kernel::{Process, SETGID, SETPCAP, SETUID, Set};
use crate::shim::Shim;
use crate::starts::{Kind, OPTIONAL, OTHER, OwnFile, REQUIRED, Role, Sets, UNIVERSE, User};
use crate::{steps, stride};

/// Some starts of each kind, evenly spread; more of them where all are walked.
fn some() -> impl Iterator<Item = (Kind, Vec<Sets>)> {
    Kind::all().into_iter().map(|kind| {
        let starts = kind.starts();
        let step = starts.count() * stride(20) / 101 + 1;
        let sets = (0..starts.count()).step_by(step).map(|number| starts.get(number)).collect();
        (kind, sets)
    })
}

fn renamed(set: Set, names: &[(Set, Set)]) -> Set {
    names.iter().filter(|(from, _)| set & from != 0).map(|(_, to)| to).sum()
}

fn renamed_sets(sets: &Sets, names: &[(Set, Set)]) -> Sets {
    let new = |set: Set| renamed(set, names);
    Sets {
        permitted: new(sets.permitted),
        effective: new(sets.effective),
        inheritable: new(sets.inheritable),
        ambient: new(sets.ambient),
        bounding: new(sets.bounding),
        on_file: new(sets.on_file),
        inheritable_on_file: new(sets.inheritable_on_file),
        required: new(sets.required),
        optional: new(sets.optional),
    }
}

fn renamed_outcome(outcome: Outcome, names: &[(Set, Set)]) -> Outcome {
    let new = |set: Set| renamed(set, names);
    match outcome {
        Outcome::Starts(process) => Outcome::Starts(Process {
            permitted: new(process.permitted),
            effective: new(process.effective),
            inheritable: new(process.inheritable),
            ambient: new(process.ambient),
            bounding: new(process.bounding),
            ..process
        }),
        refused => refused,
    }
}

/// The three, and SETUID where nothing changes the user.
fn assert_alike(names: &[(Set, Set)], counts: impl Fn(&Kind) -> bool) {
    for (kind, all) in some().filter(|(kind, _)| counts(kind)) {
        let mut shim = Shim::new(&kind);
        for sets in all {
            let other = renamed_sets(&sets, names);
            let [one, two] = [sets, other].map(|sets| check(&mut shim, &kind, &sets));
            let one = one.map(|outcome| renamed_outcome(outcome, names));
            assert_eq!(one, two, "{kind:?} {sets:x?}, renamed by {names:x?}");
        }
    }
}

const SPECIAL: [(Set, Set); 3] = [(SETUID, SETUID), (SETGID, SETGID), (SETPCAP, SETPCAP)];

#[test]
fn a_start_with_other_capabilities_has_the_same_outcome_with_these() {
    let ordinary: Vec<Set> =
        (0..41).map(|cap| 1 << cap).filter(|cap| cap & (SETUID | SETGID | SETPCAP) == 0).collect();
    for at in 0..ordinary.len() {
        let to = |more: usize| ordinary[(at + more) % ordinary.len()];
        let names = [(REQUIRED, to(0)), (OPTIONAL, to(1)), (OTHER, to(19))];
        assert_alike(&[&SPECIAL[..], &names].concat(), |_| true);
    }
    // One with a name that this program does not know.
    assert_alike(&[&SPECIAL[..], &[(REQUIRED, 1 << 41), (OPTIONAL, 1 << 63), (OTHER, 1)]].concat(), |_| true);
}

#[test]
fn setuid_is_like_any_other_where_the_user_stays() {
    let others = [(SETGID, SETGID), (SETPCAP, SETPCAP), (OPTIONAL, OPTIONAL)];
    let swapped = [&others[..], &[(SETUID, OTHER), (OTHER, SETUID), (REQUIRED, REQUIRED)]].concat();
    assert_alike(&swapped, |kind| !kind.switches());
    let swapped = [&others[..], &[(SETUID, REQUIRED), (REQUIRED, SETUID), (OTHER, OTHER)]].concat();
    assert_alike(&swapped, |kind| !kind.switches());
}

#[test]
fn setuid_and_setgid_are_alike_in_a_change_of_user() {
    let others = [(SETPCAP, SETPCAP), (REQUIRED, REQUIRED), (OPTIONAL, OPTIONAL), (OTHER, OTHER)];
    assert_alike(&[&others[..], &[(SETUID, SETGID), (SETGID, SETUID)]].concat(), Kind::switches);
}

/// States that differ in inheritable alone are one: each start keeps its outcome with any other of them.
#[test]
fn inheritable_makes_no_difference_by_itself() {
    for (kind, all) in some().filter(|(kind, _)| kind.file != OwnFile::Plain) {
        let (mut shim, states) = (Shim::new(&kind), kind.states());
        for sets in all {
            let outcome = check(&mut shim, &kind, &sets);
            for cap in UNIVERSE {
                let is = |set: Set| set & cap != 0;
                let role = match (is(sets.required), is(sets.optional)) {
                    (true, _) => Role::Required,
                    (_, true) => Role::Optional,
                    _ => Role::Unasked,
                };
                for state in &states {
                    let same = (state.permitted, state.bounding, state.ambient, state.on_file)
                        == (is(sets.permitted), is(sets.bounding), is(sets.ambient), is(sets.on_file));
                    if !same {
                        continue;
                    }
                    let others: Vec<(Set, Set)> = UNIVERSE
                        .into_iter()
                        .filter(|other| *other != cap)
                        .map(|other| (other, other))
                        .collect();
                    let mut other = renamed_sets(&sets, &others);
                    other.add(cap, *state, role);
                    assert_eq!(check(&mut shim, &kind, &other), outcome, "{kind:?} {sets:x?} {other:x?}");
                }
            }
        }
    }
}

/// Leaving out a step fails or breaks the promise, of which there is a start for each: so the model forbids
/// what the kernel forbids. Clearing ambient is for a kernel that has another rule: capset(2) has narrowed
/// it to the request.
#[test]
fn each_step_is_needed_by_some_start() {
    let mut needed = BTreeSet::new();
    for (kind, all) in some() {
        let mut shim = Shim::new(&kind);
        for sets in all {
            let Ok(plan) = shim.plan(&sets) else { continue };
            let end = |steps: &[Step], mut process: Process| {
                let done = steps::perform_all(steps, &mut process);
                done.map(|()| Process { securebits: 0, ..process })
            };
            let start = kind.start(&sets);
            let mut forked = start.clone();
            steps::perform_all(split(&plan.steps).0, &mut forked).unwrap();
            for (who, steps, from) in
                [("application", &plan.steps, start), ("parent", &plan.init.unwrap().parent, forked)]
            {
                let promised = end(steps, from.clone());
                for at in 0..steps.len() {
                    let others = [&steps[..at], &steps[at + 1..]].concat();
                    if end(&others, from.clone()) != promised {
                        let call = format!("{:?}", steps[at]);
                        needed.insert(format!("{who}: {}", call.split('(').next().unwrap()));
                    }
                }
            }
        }
    }
    let all = [
        "application: DropBounding",
        "application: KeepCaps",
        "application: NoNewPrivs",
        "application: RaiseAmbient",
        "application: RaiseEffective",
        "application: SetCaps",
        "application: SetGid",
        "application: SetGroups",
        "application: SetUid",
        "parent: DropBounding",
        "parent: NoNewPrivs",
        "parent: RaiseEffective",
        "parent: SetCaps",
    ];
    assert_eq!(needed, all.map(str::to_owned).into());
}

/// Whoever is not root keeps the ids: the setting is only told of.
#[test]
fn no_setting_of_the_user_changes_what_another_user_than_root_gets() {
    for (kind, all) in some().filter(|(kind, _)| kind.user == User::Other) {
        // Whether it names other ids than those that stand.
        let mut shims = [
            ("CAPSHIM_LOG=info", false),
            ("CAPSHIM_USER=1000", false),
            ("CAPSHIM_USER=root", true),
            ("CAPSHIM_USER=1001:1000", true),
            ("CAPSHIM_USER=1000:1", true),
        ]
        .map(|(setting, differs)| (Shim::with_user(&kind, setting), differs));
        let mut shim = Shim::new(&kind);
        for sets in all {
            let outcome = check(&mut shim, &kind, &sets);
            for (other, differs) in &mut shims {
                assert_eq!(check(other, &kind, &sets), outcome, "{kind:?} {sets:x?}");
                let is_told =
                    |plan: Plan| plan.notes.iter().any(|note| matches!(note, Note::UserStands { .. }));
                assert_eq!(other.plan(&sets).map(is_told).unwrap_or(*differs), *differs, "{kind:?}");
            }
        }
    }
}
