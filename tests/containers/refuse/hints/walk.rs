//! Whatever is wrong with a start, and however much: its hints, performed one after the
//! other, end in a start that succeeds.

use fastrand::Rng;

use crate::harness::container::Container;
use crate::harness::perform::{perform, spellings};
use crate::harness::start::Start;
use crate::refuse::hints::hint;

/// No start here has more mistakes than this.
const MOST: usize = 8;

/// One mistake, and that it is there in one of so many starts.
type Mistake = (u32, fn(Start, &mut Rng) -> Start);

const MISTAKES: [Mistake; 7] = [
    (3, |start, _| start.with(Container::no_new_privs)),
    (4, |start, _| start.with(|container| container.groups(&[2000]))),
    (2, |start, rng| {
        let caps = any(rng, &["cap_ipc_lock=p", "cap_ipc_lock,cap_net_raw=p", "cap_setpcap,cap_kill=p"]);
        start.with(|image| image.file_caps("/capshim", caps))
    }),
    (8, |start, _| start.with(|image| image.owned("/state", 0, 29, 0o6755))),
    (8, |start, _| start.with(|image| image.mode("/state", 0o600))),
    (3, |start, rng| {
        let caps = ["cap_net_raw=ep", "cap_net_raw=p", "cap_ipc_lock=ep", "cap_kill,cap_ipc_lock=ep"];
        start.with(|image| image.file_caps("/state", any(rng, &caps)))
    }),
    (8, |start, _| start.with(|image| image.mode("/etc", 0o700))),
];

const SETTINGS: [(u32, &str, &[&str]); 4] = [
    (2, "CAPSHIM_USER", &["app", "1000", "root", "4242", "0:500", "app:audio"]),
    (2, "CAPSHIM_CAPS", &["ipc_lock", "ipc_lock,net_raw?", "none", "net_raw", "kill,ipc_lock?", "setgid"]),
    (2, "CAPSHIM_GROUPS", &["none", "keep", "2000,3000"]),
    (3, "CAPSHIM_NO_NEW_PRIVS", &["0"]),
];

fn any<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.usize(0..words.len())]
}

/// A start of which every hint can be typed.
fn random(seed: u64) -> Start {
    let mut rng = Rng::with_seed(seed);
    let all = ["IPC_LOCK", "KILL", "NET_RAW", "SETGID", "SETPCAP", "SETUID"];
    let granted: Vec<&str> = all.into_iter().filter(|_| rng.bool()).collect();
    let ids = [(0, 0), (0, 0), (0, 500), (1000, 0), (1000, 1000), (1000, 1000)];
    let (uid, gid) = ids[rng.usize(0..ids.len())];
    // With one setting there, a check is more than a report.
    let container = Container::user(uid, gid).capabilities(&granted).env("CAPSHIM_LOG", "warn");
    let mut start = Start::new(container, &["/capshim", "/state"]);
    for (count, mistake) in MISTAKES {
        start = if rng.u32(0..count) == 0 { mistake(start, &mut rng) } else { start };
    }
    for (count, setting, values) in SETTINGS {
        start = if rng.u32(0..count) == 0 { start.env(setting, any(&mut rng, values)) } else { start };
    }
    start
}

#[test]
fn whatever_is_wrong_its_hints_end_in_a_start() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let first = number("HINTS_SEED", 0);
    for seed in first..first + number("HINTS_STARTS", 25) {
        let mut rng = Rng::with_seed(!seed);
        let mut performed: Vec<String> = Vec::new();
        let output = loop {
            let start = performed.iter().fold(random(seed), |start, words| perform(start, words));
            let output = start.run();
            if output.code == 0 {
                break output;
            }
            println!("seed {seed}: {}", output.stderr);
            let ways: Vec<String> = hint(&output).split("; or ").flat_map(spellings).collect();
            let way = ways[rng.usize(0..ways.len())].clone();
            assert!(!performed.contains(&way) && performed.len() < MOST, "{seed}: {performed:#?}");
            performed.push(way);
        };
        let state = output.state();
        assert!(state["permitted"] == state["effective"] && state["permitted"] == state["inheritable"]);
    }
}
