//! A covering array: cases in which every triple of factors has every triple of values.
//!
//! A rule of the kernel's joins few facts; three of them meet in all ways here. The array is made
//! greedily: each row begins with a triple that no row has, and takes for every other factor the value
//! that adds the most. It is the same in every run.

use fastrand::Rng;

use crate::case::{By, Case, Files, Way};

/// How many values each factor has: one factor for each capability of `CAPS`, and then as `case` takes
/// them.
const FACTORS: [usize; 21] = [10, 10, 10, 10, 10, 10, 3, 3, 3, 4, 2, 3, 3, 4, 8, 2, 3, 6, 5, 4, 12];

const CAPS: [u8; 6] = [7, 6, 8, 14, 40, 10];

/// Permitted, inheritable, ambient, of one capability.
const STATES: [[bool; 3]; 5] = [
    [false, false, false],
    [true, true, true],
    [true, false, false],
    [true, true, false],
    [false, true, false],
];

type Row = [usize; FACTORS.len()];

/// The case that a row stands for.
fn case(row: &Row) -> Case {
    let [
        ..,
        setuid,
        setgid,
        setpcap,
        others,
        namespace,
        uid,
        gid,
        groups,
        bits,
        on,
        setting,
        shim,
        user,
        policy,
        target,
    ] = *row;
    let of = |is: &dyn Fn(usize) -> bool| -> u64 {
        CAPS.iter().zip(row).filter(|(_, state)| is(**state)).map(|(cap, _)| 1 << cap).sum()
    };
    // Whether the one that is required is, and the one that is optional.
    let roles = [setuid, setgid, setpcap, others & 1, others & 2];
    let asked = |role: usize| -> u64 {
        CAPS.iter().zip(roles).filter(|(_, is)| *is == role).map(|(cap, _)| 1 << cap).sum()
    };
    let [permitted, inheritable, ambient] = [0, 1, 2].map(|set| of(&|state| STATES[state / 2][set]));
    let bounding = of(&|state| state % 2 == 0);
    // What is required without being there is refused: that, tests/every walks. Here it is left out, so that
    // more applications start.
    let held = match (uid, shim) {
        (0, _) => bounding | inheritable,
        (_, 1) => bounding,
        _ => ambient,
    };
    let init = [None, Some("1"), Some("group")];
    Case {
        user_namespace: namespace == 1,
        uid: [0, 1000, 4242][uid],
        gid: [0, 1000, 65534][gid],
        groups: [0, 0b01_0001, 0b00_1010, 0b10_0100][groups],
        files: Files::TheRuntimes,
        permitted,
        inheritable,
        ambient,
        bounding,
        // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE; those of KEEP_CAPS are not independent here.
        securebits: [0, 1, 4, 64, 5, 48, 32, 68][bits],
        no_new_privs: on == 1,
        shim,
        by: By::Itself,
        user: [Some("1000:1000"), Some("app"), Some("root"), Some("4242"), None][user],
        caps: Some((asked(1) & held, asked(2))),
        group_setting: [None, Some("none"), Some("keep"), Some("2000,audio")][policy],
        no_new_privs_setting: [None, Some(true), Some(false)][setting],
        init: init[(setuid + setgid + uid) % init.len()],
        target,
        way: if gid == 2 && groups == 0 { Way::Nosuid } else { Way::Plain },
    }
}

/// Which triples of values no row has yet.
struct Open {
    /// Where the bits of a pair of factors and a third one begin.
    first: Vec<usize>,
    bits: Vec<bool>,
    left: usize,
}

const COUNT: usize = FACTORS.len();

impl Open {
    fn new() -> Open {
        let mut first = vec![0; COUNT * COUNT * COUNT];
        let mut length = 0;
        for a in 0..COUNT {
            for b in a + 1..COUNT {
                for c in b + 1..COUNT {
                    first[(a * COUNT + b) * COUNT + c] = length;
                    length += FACTORS[a] * FACTORS[b] * FACTORS[c];
                }
            }
        }
        Open { first, bits: vec![true; length], left: length }
    }

    fn at(&self, mut factors: [usize; 3], value: impl Fn(usize) -> usize) -> usize {
        factors.sort_unstable();
        let [a, b, c] = factors;
        self.first[(a * COUNT + b) * COUNT + c] + (value(a) * FACTORS[b] + value(b)) * FACTORS[c] + value(c)
    }
}

/// The cases, and how many triples they cover.
pub fn cases() -> (Vec<Case>, usize) {
    let mut open = Open::new();
    let triples = open.left;
    let mut random = Rng::with_seed(3);
    let mut cases = Vec::new();
    let mut from = 0;
    while open.left > 0 {
        from += open.bits[from..].iter().position(|is_open| *is_open).unwrap_or_default();
        let row = row(&open, from, &mut random);
        for_triples(|factors| {
            let at = open.at(factors, |factor| row[factor]);
            open.left -= usize::from(std::mem::replace(&mut open.bits[at], false));
        });
        cases.push(case(&row));
    }
    (cases, triples)
}

fn for_triples(mut each: impl FnMut([usize; 3])) {
    for a in 0..COUNT {
        for b in a + 1..COUNT {
            for c in b + 1..COUNT {
                each([a, b, c]);
            }
        }
    }
}

/// A row with the triple at this place.
fn row(open: &Open, place: usize, random: &mut Rng) -> Row {
    let mut row: [Option<usize>; COUNT] = [None; COUNT];
    for_triples(|[a, b, c]| {
        let first = open.first[(a * COUNT + b) * COUNT + c];
        if (first..first + FACTORS[a] * FACTORS[b] * FACTORS[c]).contains(&place) {
            let rest = place - first;
            row[a] = Some(rest / FACTORS[c] / FACTORS[b]);
            row[b] = Some(rest / FACTORS[c] % FACTORS[b]);
            row[c] = Some(rest % FACTORS[c]);
        }
    });
    let mut order: Vec<usize> = (0..COUNT).filter(|factor| row[*factor].is_none()).collect();
    random.shuffle(&mut order);
    for factor in order {
        let set: Vec<(usize, usize)> =
            row.iter().enumerate().filter_map(|(other, value)| Some((other, (*value)?))).collect();
        let added = |value: usize| {
            let mut added = 0;
            for (at, (a, va)) in set.iter().enumerate() {
                for (b, vb) in &set[at + 1..] {
                    let values = |of: usize| {
                        if of == *a {
                            *va
                        } else if of == *b {
                            *vb
                        } else {
                            value
                        }
                    };
                    added += usize::from(open.bits[open.at([*a, *b, factor], values)]);
                }
            }
            added
        };
        let start = random.usize(0..FACTORS[factor]);
        let values = (0..FACTORS[factor]).map(|value| (value + start) % FACTORS[factor]);
        row[factor] = values.max_by_key(|value| added(*value));
    }
    row.map(|value| value.expect("every factor has a value"))
}
