//! Init mode with every call that matters failing, lying, or met by a signal: the command is not
//! executed, or what was planned holds, with one message in total.

use capshim::model::caps::{Cap, CapSet};
use capshim::model::credentials::Credentials;
use capshim::plan::Plan;

use crate::harness::attach::Whose;
use crate::harness::case::{Case, DIFFERS, End, started};
use crate::harness::container::Output;
use crate::harness::points::{Kind, Point, init_points};
use crate::harness::strace::{self, Call, Fault};

const COMMAND: [&str; 2] = ["/capshim", "/state"];
const LOCK: CapSet = CapSet::of(&[Cap::CAP_IPC_LOCK]);
const SWITCH: CapSet = CapSet::of(&[Cap::CAP_SETGID, Cap::CAP_SETUID]);
const SETPCAP: CapSet = CapSet::of(&[Cap::CAP_SETPCAP]);

/// The calls of one of the two processes, as far as the command's exec or the wait for signals.
fn calls(case: &Case, whose: Whose, command: &[&str]) -> Vec<Call> {
    let (_, log) = case.container().attached_to(whose, &[], command);
    let process = log.split(' ').next().expect("a process");
    match whose {
        Whose::Child => {
            strace::up_to(&format!("execve(\"{}\"", command[1]), strace::calls(&log, process, ""))
        }
        _ => strace::up_to("rt_sigtimedwait(~[", strace::calls(&log, process, "execve(\"/capshim\"")),
    }
}

/// All points of a run without faults, and whose they are.
fn points(case: &Case, plan: &Plan) -> Vec<(Whose, Point)> {
    let [parent, child] = [Whose::First, Whose::Child].map(|whose| calls(case, whose, &COMMAND));
    let [first, childs, parents] = init_points(&parent, &child, plan);
    let of = |whose, points: Vec<Point>| points.into_iter().map(move |point| (whose, point));
    of(Whose::First, first).chain(of(Whose::Child, childs)).chain(of(Whose::First, parents)).collect()
}

/// A run in which strace must have tampered with this call and no other.
fn struck(case: &Case, whose: Whose, point: &Point, fault: Fault) -> Output {
    let (output, log) = case.container().attached_to(whose, &point.call.inject(fault), &COMMAND);
    let tampered: Vec<&str> = log.lines().filter(|line| line.contains("(INJECTED)")).collect();
    let begins = format!(" {}", point.begins);
    assert!(matches!(tampered[..], [line] if line.contains(&begins)), "{}: {tampered:?}", point.label);
    output
}

/// The message is one, and names the call.
fn after_eperm(case: &Case, plan: &Plan, whose: Whose, point: &Point) -> Result<String, String> {
    let output = struck(case, whose, point, Fault::Eperm);
    let said = format!("{}: EPERM", point.words);
    match case.end(plan, &output) {
        End::AsPlanned if matches!(point.kind, Kind::Harmless | Kind::Stdio) => Ok("as planned".into()),
        End::Refused { code, cause } if code == point.exit() && cause.starts_with(&said) => {
            Ok(code.to_string())
        }
        end => Err(format!("EPERM: {end}")),
    }
}

/// The message is one: it names this call, a later one of either process that failed in
/// consequence, or what the read-back found. True if the application ran, as planned.
fn after_lie(case: &Case, plan: &Plan, points: &[(Whose, Point)], fault: Fault) -> Result<bool, String> {
    let (whose, point) = &points[0];
    if point.is_0() {
        return Ok(false);
    }
    let end = case.end(plan, &struck(case, *whose, point, fault));
    // The other process may have been the one to notice.
    let named = |cause: &str| {
        cause.contains(DIFFERS)
            || cause.starts_with("read(pipe): end of file")
            || points.iter().any(|(_, later)| cause.starts_with(&later.words))
    };
    match &end {
        End::AsPlanned => Ok(true),
        End::Refused { code: 71, cause } if named(cause) => Ok(false),
        _ => Err(format!("lie: {end}")),
    }
}

/// Strikes every point with every fault. These are the lies after which the application runs,
/// in their order.
fn holds(case: &Case, harmless: &[&str]) {
    let mut plan = case.plan(&case.start);
    plan.init.as_mut().expect("init mode").as_pid_1();
    let points = points(case, &plan);
    let (mut passed, mut wrong) = (Vec::new(), Vec::new());
    for (at, (whose, point)) in points.iter().enumerate() {
        let eperm = after_eperm(case, &plan, *whose, point);
        let mut lies = vec![Fault::Lie];
        if ["read", "write"].contains(&point.call.name.as_str()) {
            lies.push(Fault::LieOfOne);
        }
        let lies = lies.into_iter().map(|lie| after_lie(case, &plan, &points[at..], lie));
        let ran: Result<Vec<bool>, String> = lies.collect();
        println!("{:<70} | {eperm:?} | {ran:?}", point.label);
        match ran {
            Ok(ran) if ran.contains(&true) => passed.push(point.label.as_str()),
            Ok(_) => {}
            Err(why) => wrong.push(format!("{}: {why}", point.label)),
        }
        wrong.extend(eperm.err().map(|why| format!("{}: {why}", point.label)));
    }
    assert!(wrong.is_empty(), "{}:\n{}", case.name, wrong.join("\n"));
    assert_eq!(passed, harmless, "{}: lies after which the application runs", case.name);
}

fn root_start() -> Case {
    Case {
        name: "init mode, root start, SETPCAP",
        start: started(0, LOCK | SWITCH | SETPCAP),
        settings: &[("CAPSHIM_USER", "app"), ("CAPSHIM_CAPS", "ipc_lock"), ("CAPSHIM_INIT", "1")],
        prepare: |container| container,
    }
}

#[test]
fn no_fault_in_a_root_start_as_init_goes_unnoticed() {
    holds(
        &root_start(),
        &[
            // Effective is permitted already.
            "capset(effective = permitted = SETGID, SETUID, SETPCAP, IPC_LOCK)",
            // The application cannot open its streams again; its credentials are the same.
            "fchown of the stdio",
            "fchmod of the stdio",
            // It is at its default already.
            "rt_sigaction(SIGCHLD)",
            // Ambient is empty already.
            "child: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
            // Securebits are not compared: none that matters here changes.
            "child: then prctl(PR_GET_SECUREBITS)",
            // The end of the file, a moment before the parent has closed its last descriptor.
            "child: read(pipe)",
            // Securebits, as in the child.
            "parent: then prctl(PR_GET_SECUREBITS)",
            // The parent holds nothing in any case.
            "parent: prctl(PR_SET_DUMPABLE, 1)",
            "parent: waitid",
            "parent: setpgid",
            "parent: chdir",
            "parent: close_range",
            "parent: close_range",
        ],
    );
}

#[test]
fn no_fault_in_a_start_by_file_capabilities_as_init_goes_unnoticed() {
    let case = Case {
        name: "init mode, non-root start, file capabilities",
        start: Credentials { effective: CapSet::EMPTY, ..started(1000, LOCK) },
        settings: &[("CAPSHIM_CAPS", "ipc_lock"), ("CAPSHIM_INIT", "group")],
        prepare: |container| container.file_caps("/capshim", "cap_ipc_lock=p"),
    };
    // Each for the reason that it has in a root start.
    holds(
        &case,
        &[
            "capset(effective = permitted = IPC_LOCK)",
            "rt_sigaction(SIGCHLD)",
            "child: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
            "child: read(pipe)",
            "parent: prctl(PR_SET_DUMPABLE, 1)",
            "parent: waitid",
            "parent: setpgid",
            "parent: chdir",
            "parent: close_range",
            "parent: close_range",
        ],
    );
}

/// SIGTERM before each of these calls, one run for each, ends the application or what was to
/// become it.
fn loses_no_signal(whose: Whose) {
    let case = Case { start: started(0, LOCK | SWITCH), ..root_start() };
    let calls = calls(&case, whose, &["/capshim", "/bin/busybox", "true"]);
    // libc's start-up comes before main: its calls, with nothing blocked yet, are left out.
    let blocks = calls.iter().position(|call| call.line.starts_with("rt_sigprocmask(SIG_BLOCK, ~[], [], "));
    assert_eq!(blocks, (whose == Whose::First).then_some(2));
    let calls = &calls[blocks.unwrap_or(0)..];
    assert!(calls.len() > 30, "{}", calls.len());
    for call in calls {
        let strace = call.inject(Fault::Signal);
        let (output, _) =
            case.container().attached_to(whose, &strace, &["/capshim", "/bin/busybox", "sleep", "1000"]);
        assert_eq!((output.code, output.stderr.as_str()), (143, ""), "{}", call.line);
    }
    println!("SIGTERM before each of {} calls, {whose:?}: not lost", calls.len());
}

#[test]
fn a_signal_before_any_call_of_the_parent_is_not_lost() {
    loses_no_signal(Whose::First);
}

#[test]
fn a_signal_before_any_call_of_the_child_is_not_lost() {
    loses_no_signal(Whose::Child);
}
