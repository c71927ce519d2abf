//! Where a fault can strike in a run of the shim: the calls of the plan's own steps, the
//! reads before and after them, and exec.

use std::iter::Peekable;

use capshim::model::caps::name;
use capshim::plan::Plan;
use capshim::plan::init;
use capshim::plan::step::Step;

use crate::harness::strace::Call;

/// The reads, as strace writes them and as the shim names them.
const READS: [(&str, &str); 8] = [
    ("capget(", "capget"),
    ("getresuid(", "getresuid"),
    ("getresgid(", "getresgid"),
    ("getgroups(", "getgroups"),
    ("prctl(PR_GET_NO_NEW_PRIVS", "prctl(PR_GET_NO_NEW_PRIVS)"),
    ("prctl(PR_GET_SECUREBITS", "prctl(PR_GET_SECUREBITS)"),
    ("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET", "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET)"),
    ("prctl(PR_CAPBSET_READ", "prctl(PR_CAPBSET_READ)"),
];
const STDIO: [&str; 6] = ["fstat(", "fstatfs(", "ioctl(", "fcntl(", "fchown(", "fchmod("];
const EXEC: &str = "execve(\"/state\"";

/// How strace's line of a step's call begins; of the first one, for the stdio, which takes
/// several. Without an arm for the rest: a new step must be entered here.
fn line_of(step: &Step) -> String {
    match step {
        Step::RaiseEffective(_) | Step::SetCaps(_) => "capset(".into(),
        Step::KeepCaps => "prctl(PR_SET_KEEPCAPS, 1".into(),
        Step::SetGroups(groups) => format!("setgroups({}, ", groups.len()),
        Step::SetGid(gid) => format!("setresgid({gid}, {gid}, {gid})"),
        Step::ShareStdio(_) => STDIO[0].into(),
        Step::DropBounding(cap) => format!("prctl(PR_CAPBSET_DROP, CAP_{}", name(*cap)),
        Step::SetUid(uid) => format!("setresuid({uid}, {uid}, {uid})"),
        Step::ClearAmbient => "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL".into(),
        Step::RaiseAmbient(cap) => format!("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_{}", name(*cap)),
        Step::NoNewPrivs => "prctl(PR_SET_NO_NEW_PRIVS, 1".into(),
        Step::Subreaper => "prctl(PR_SET_CHILD_SUBREAPER, 1".into(),
        Step::Dumpable => "prctl(PR_SET_DUMPABLE, SUID_DUMP_USER".into(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Step,
    /// The one step that may fail.
    Stdio,
    Exec,
    /// What init mode does besides: signals, fork, the pipes, the process group.
    Init,
    /// Of these, what may fail.
    Harmless,
}

/// One call.
pub struct Point {
    pub kind: Kind,
    /// The table's words for it.
    pub label: String,
    /// What the shim calls it.
    pub words: String,
    pub call: Call,
    /// How strace's line of it begins, whatever its result.
    pub begins: String,
}

impl Point {
    /// A read. `None` for another call, and for the many capabilities that the bounding set
    /// does not have.
    fn read(when: &str, call: &Call) -> Option<Point> {
        let (begins, words) = READS.iter().find(|(begins, _)| call.line.starts_with(begins))?;
        if words.contains("CAPBSET") && !call.line.ends_with("= 1") {
            return None;
        }
        let value = call.line.split("_IS_SET, ").nth(1).or(call.line.split("_READ, ").nth(1));
        let cap = value.and_then(|value| value.split([',', ')']).next()).map(|cap| format!(" {cap}"));
        Some(Point {
            kind: Kind::Read,
            label: format!("{when} {words}{}", cap.unwrap_or_default()),
            words: words.to_string(),
            call: call.clone(),
            begins: begins.to_string(),
        })
    }

    fn step(step: &Step, call: &Call) -> Point {
        let begins = line_of(step);
        Point {
            kind: Kind::Step,
            label: step.to_string(),
            words: step.to_string(),
            call: call.clone(),
            begins,
        }
    }

    fn stdio(step: &Step, call: &Call) -> Point {
        let (label, begins) = (format!("{} of the stdio", call.name), format!("{}(", call.name));
        Point { kind: Kind::Stdio, label, words: step.to_string(), call: call.clone(), begins }
    }

    /// What init mode does besides the steps; `None` for another call.
    fn init(call: &Call) -> Option<Point> {
        let (kind, _, words) = INIT.iter().find(|(_, begins, _)| call.line.starts_with(begins))?;
        let label = if words.is_empty() { call.name.clone() } else { words.to_string() };
        Some(Point {
            kind: *kind,
            label,
            words: words.to_string(),
            call: call.clone(),
            begins: format!("{}(", call.name),
        })
    }

    fn exec(call: &Call) -> Point {
        Point {
            kind: Kind::Exec,
            label: "execve".into(),
            words: "execve(/state)".into(),
            call: call.clone(),
            begins: EXEC.into(),
        }
    }

    /// The exit code if the call fails with EPERM.
    pub fn exit(&self) -> i32 {
        match self.kind {
            Kind::Exec => 126,
            Kind::Step | Kind::Read | Kind::Init => 71,
            Kind::Stdio | Kind::Harmless => 0,
        }
    }

    /// Whether a result of 0 is no lie.
    pub fn is_0(&self) -> bool {
        let by_value = self.call.name == "prctl" || self.call.name == "getgroups";
        self.kind == Kind::Read && by_value && self.call.line.ends_with(" = 0")
    }
}

/// What init mode does besides the steps, as strace writes it and as the shim names it.
const INIT: [(Kind, &str, &str); 14] = [
    (Kind::Init, "rt_sigprocmask(SIG_BLOCK, ~[], [], 8)", "rt_sigprocmask(SIG_BLOCK)"),
    (Kind::Init, "rt_sigprocmask(SIG_SETMASK, [], ", "rt_sigprocmask(SIG_SETMASK)"),
    (Kind::Init, "pipe2(", "pipe2"),
    (Kind::Init, "rt_sigaction(SIGCHLD", "rt_sigaction(SIGCHLD)"),
    (Kind::Init, "fork(", "fork"),
    // As other libraries and architectures do it.
    (Kind::Init, "clone(", "fork"),
    (Kind::Init, "read(", "read(pipe)"),
    (Kind::Init, "close(", "close(pipe)"),
    // Whether they will work is tried before the application is let go.
    (Kind::Init, "rt_sigtimedwait([]", "rt_sigtimedwait"),
    (Kind::Init, "waitid(", "waitid"),
    (Kind::Init, "setpgid(", "setpgid"),
    (Kind::Init, "write(", "write(pipe)"),
    (Kind::Harmless, "chdir(\"/\")", ""),
    (Kind::Harmless, "close_range(", ""),
];

/// The points of a run in init mode without faults, as the parent's calls and the child's show
/// them: the parent's before the fork, the child's, and the parent's after it. The calls must be
/// the plan's and no others.
pub fn init_points(parent: &[Call], child: &[Call], plan: &Plan) -> [Vec<Point>; 3] {
    let init = plan.init.as_ref().expect("init mode");
    let (before, childs) = init::split(&plan.steps);
    let fork = parent.iter().position(|call| call.name == "fork" || call.name == "clone").expect("a fork");
    let (first, rest) = parent.split_at(fork + 1);
    let first = without_a_look(first);
    let pipes: Vec<&str> = first.iter().filter_map(|call| call.line.strip_prefix("pipe2([")).collect();
    let pipes: Vec<&str> =
        pipes.iter().filter_map(|line| line.split(']').next()).flat_map(|ends| ends.split(", ")).collect();
    let mut childs = some_points("then", &on_pipes(child, &pipes), childs);
    childs.iter_mut().for_each(|point| point.label = format!("child: {}", point.label));
    let mut parents = some_points("then", &on_pipes(rest, &pipes), &[&init.parent[..], &init.then].concat());
    for point in &mut parents {
        point.words = format!("in the parent process: {}", point.words);
        point.label = format!("parent: {}", point.label);
    }
    [some_points("first", &on_pipes(&first, &[]), before), childs, parents]
}

/// Without the pipe that tells whether the user namespace maps every id: only a note rests on it
/// (start/user_namespaces.rs).
fn without_a_look(calls: &[Call]) -> Vec<Call> {
    let look = calls
        .iter()
        .position(|call| call.line.starts_with("fchown(") && call.line.contains(", 4294967294, "));
    let is_look = |place: usize| look.is_some_and(|look| place == look || place + 1 == look);
    assert!(look.is_none_or(|look| calls[look - 1].name == "pipe2"));
    calls.iter().enumerate().filter(|(place, _)| !is_look(*place)).map(|(_, call)| call.clone()).collect()
}

/// Without what is read, written and closed besides these pipes; a number counts until it is
/// closed.
fn on_pipes(calls: &[Call], pipes: &[&str]) -> Vec<Call> {
    let mut open = pipes.to_vec();
    let mut counts = |call: &&Call| {
        let descriptor = call.line.split(['(', ',', ')']).nth(1).unwrap_or_default();
        let at = open.iter().position(|end| *end == descriptor);
        match call.name.as_str() {
            "read" | "write" => at.is_some(),
            "close" => at.map(|at| open.remove(at)).is_some(),
            _ => true,
        }
    };
    calls.iter().filter(|call| counts(call)).cloned().collect()
}

/// The points among these calls, in which these steps come in this order.
fn some_points(when: &str, calls: &[Call], steps: &[Step]) -> Vec<Point> {
    let mut calls = calls.iter().peekable();
    let mut points = Vec::new();
    for step in steps {
        while let Some(call) = calls.next_if(|call| !call.line.starts_with(&line_of(step))) {
            points.extend(Point::read(when, call).or_else(|| Point::init(call)));
        }
        match step {
            Step::ShareStdio(_) => points.extend(stdio(step, &mut calls)),
            _ => points.push(Point::step(step, calls.next().unwrap_or_else(|| panic!("{step} is missing")))),
        }
    }
    for call in calls {
        points.extend(Point::read(when, call).or_else(|| Point::init(call)));
        points.extend(call.line.starts_with(EXEC).then(|| Point::exec(call)));
    }
    points
}

/// The points of a run without faults. From the first step to the last, the calls must be
/// the plan's and no others.
pub fn points(calls: &[Call], plan: &Plan) -> Vec<Point> {
    let of_memory = ["brk", "mmap", "mremap", "munmap", "madvise"];
    let mut calls = calls.iter().filter(|call| !of_memory.contains(&call.name.as_str())).peekable();
    let first = line_of(&plan.steps[0]);
    let mut points = Vec::new();
    while let Some(call) = calls.next_if(|call| !call.line.starts_with(&first)) {
        points.extend(Point::read("first", call));
    }
    for step in &plan.steps {
        match step {
            Step::ShareStdio(_) => points.extend(stdio(step, &mut calls)),
            _ => {
                let call = calls.next().expect("a call");
                assert!(call.line.starts_with(&line_of(step)), "{step} is due, not {}", call.line);
                points.push(Point::step(step, call));
            }
        }
    }
    for call in calls {
        points.extend(Point::read("then", call));
        points.extend(call.line.starts_with(EXEC).then(|| Point::exec(call)));
    }
    points
}

/// The first of each kind of change that the stdio takes.
fn stdio<'a>(step: &Step, calls: &mut Peekable<impl Iterator<Item = &'a Call>>) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    while let Some(call) = calls.next_if(|call| STDIO.iter().any(|name| call.line.starts_with(name))) {
        let changes = call.name == "fchown" || call.name == "fchmod";
        if changes && points.iter().all(|point| point.call.name != call.name) {
            points.push(Point::stdio(step, call));
        }
    }
    points
}
