//! Every call that matters fails, and every one lies: in a real container, one fault at a
//! time, the application is not started, or is started with exactly what was planned.
//!
//! strace tampers from outside, with the calls of the plan that the shim itself makes.

use capshim::model::caps::{Cap, CapSet};
use capshim::model::credentials::{Credentials, Ids};
use capshim::plan::Plan;

use crate::harness::case::{Case, DIFFERS, End, gid, started};
use crate::harness::container::{Container, Output};
use crate::harness::points::{Kind, Point, points};
use crate::harness::strace::{self, Call, Fault};

const DIRECT: [&str; 2] = ["/capshim", "/state"];

/// The shim where signals count: PID 1 discards those that it has no handler for.
const CHILD: [&str; 3] = ["/bin/sh", "-c", "/capshim /state; echo ended $?"];

const LOCK: CapSet = CapSet::of(&[Cap::CAP_IPC_LOCK]);
const SWITCH: CapSet = CapSet::of(&[Cap::CAP_SETGID, Cap::CAP_SETUID]);
const SETPCAP: CapSet = CapSet::of(&[Cap::CAP_SETPCAP]);
const NET_RAW: CapSet = CapSet::of(&[Cap::CAP_NET_RAW]);

const APP_LOCK: &[(&str, &str)] = &[("CAPSHIM_USER", "app"), ("CAPSHIM_CAPS", "ipc_lock")];

impl Case {
    /// Strikes every point with every fault. These are the lies after which the application
    /// runs, in their order.
    fn holds(self, harmless: &[&str]) {
        let plan = self.plan(&self.start);
        let (points, in_child) = (self.points(&plan, &DIRECT), self.points(&plan, &CHILD));
        assert_eq!(points.len(), in_child.len());
        let mut report = row(self.name, ["EPERM", "SIGTERM", "lie"].map(str::to_owned));
        let (mut passed, mut wrong) = (Vec::new(), Vec::new());
        for (at, (point, child)) in points.iter().zip(&in_child).enumerate() {
            let eperm = self.after_eperm(&plan, point);
            let signal = self.after_signal(child);
            let lie = self.after_lie(&points[at..]);
            passed.extend(matches!(lie, Ok(End::AsPlanned)).then_some(point.label.as_str()));
            let cells = [eperm, signal, lie.map(|end| end.to_string())].map(|cell| {
                cell.unwrap_or_else(|why| {
                    wrong.push(format!("{}: {why}", point.label));
                    "WRONG".into()
                })
            });
            report += &row(&point.label, cells);
        }
        println!("{report}");
        assert!(wrong.is_empty(), "{}:\n{}", self.name, wrong.join("\n"));
        assert_eq!(passed, harmless, "{}: lies after which the application runs", self.name);
        self.survives_signals_as_pid_1(&plan, &points);
    }

    /// The points of a run without faults.
    fn points(&self, plan: &Plan, command: &[&str]) -> Vec<Point> {
        let (output, log) = self.container().attached(&[], command);
        let end = self.end(plan, &output);
        assert!(matches!(end, End::AsPlanned), "{}, without faults: {end}", self.name);
        points(&strace::calls_of_capshim(&log), plan)
    }

    /// A run in which strace must have tampered with this call and no other.
    fn struck(&self, point: &Point, fault: Fault) -> Output {
        let (output, log) = self.container().attached(&point.call.inject(fault), &DIRECT);
        let tampered: Vec<&str> = log.lines().filter(|line| line.contains("(INJECTED)")).collect();
        let begins = format!(" {}", point.begins);
        assert!(matches!(tampered[..], [line] if line.contains(&begins)), "{}: {tampered:?}", point.label);
        output
    }

    /// The message names the call; the stdio's alone is a warning.
    fn after_eperm(&self, plan: &Plan, point: &Point) -> Result<String, String> {
        let output = self.struck(point, Fault::Eperm);
        let said = format!("{}: EPERM", point.words);
        let warned = output.stderr.starts_with(&format!("capshim: warning: {said}"));
        match self.end(plan, &output) {
            End::AsPlanned if point.kind == Kind::Stdio && warned => Ok("warning".into()),
            End::Refused { code, cause } if code == point.exit() && cause.starts_with(&said) => {
                Ok(code.to_string())
            }
            end => Err(format!("EPERM: {end}")),
        }
    }

    /// At the first of these points. The message names it, a later one that failed in
    /// consequence, or what the read-back found.
    fn after_lie(&self, points: &[Point]) -> Result<End, String> {
        let point = &points[0];
        if point.is_0() {
            return Ok(End::NoLie);
        }
        let end = self.end(&self.plan_after_lie(point), &self.struck(point, Fault::Lie));
        let named =
            |cause: &str| cause.starts_with(DIFFERS) || points.iter().any(|p| cause.starts_with(&p.words));
        match &end {
            End::AsPlanned => Ok(end),
            End::Refused { code: 71, cause } if named(cause) => Ok(end),
            _ => Err(format!("lie: {end}")),
        }
    }

    /// Nothing can tell inherited groups that are not reported from none at all.
    fn plan_after_lie(&self, point: &Point) -> Plan {
        match point.label.as_str() {
            "first getgroups" => self.plan(&Credentials { groups: Vec::new(), ..self.start.clone() }),
            _ => self.plan(&self.start),
        }
    }

    /// The process ends, and the payload has not begun. A read changes nothing, so that a
    /// signal before it is one after the last step.
    fn after_signal(&self, point: &Point) -> Result<String, String> {
        if point.kind == Kind::Read {
            return Ok(String::new());
        }
        let (output, _) = self.container().attached(&point.call.inject(Fault::Signal), &CHILD);
        if output.stdout == "ended 143\n" && output.stderr == "Terminated\n" {
            Ok("killed".into())
        } else {
            Err(format!("SIGTERM: {}{}", output.stdout, output.stderr))
        }
    }

    /// PID 1 has no handler, so the kernel discards the signals.
    fn survives_signals_as_pid_1(&self, plan: &Plan, points: &[Point]) {
        let calls: Vec<&Call> = points.iter().map(|point| &point.call).collect();
        let (output, log) = self.container().attached(&strace::inject_signals(&calls), &DIRECT);
        assert!(log.matches("--- SIGTERM {").count() >= points.len(), "{log}");
        let end = self.end(plan, &output);
        assert!(matches!(end, End::AsPlanned), "{}, with signals to PID 1: {end}", self.name);
    }
}

/// One row of the report.
fn row(label: &str, [eperm, signal, lie]: [String; 3]) -> String {
    let lie: String = lie.chars().take(80).collect();
    format!("{label:<66} | {eperm:<10} | {signal:<7} | {lie}\n")
}

#[test]
fn no_fault_in_a_root_start_goes_unnoticed() {
    Case {
        name: "root start",
        start: Credentials { groups: [0, 10, 2000].map(gid).into(), ..started(0, LOCK | SWITCH) },
        settings: APP_LOCK,
        prepare: |container| container,
    }
    .holds(&[
        // Nothing tells groups that are not reported from none: the application has fewer.
        "first getgroups",
        // Effective is permitted already.
        "capset(effective = permitted = SETGID, SETUID, IPC_LOCK)",
        // The application cannot open its streams again; its credentials are the same.
        "fchown of the stdio",
        "fchmod of the stdio",
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
        // Securebits are not compared: none that matters here changes.
        "then prctl(PR_GET_SECUREBITS)",
    ]);
}

#[test]
fn no_fault_in_a_root_start_with_a_shrinking_bounding_set_goes_unnoticed() {
    Case {
        name: "root start, SETPCAP",
        start: started(0, LOCK | SWITCH | SETPCAP),
        settings: APP_LOCK,
        prepare: |container| container,
    }
    .holds(&[
        // Effective is permitted already.
        "capset(effective = permitted = SETGID, SETUID, SETPCAP, IPC_LOCK)",
        // The application cannot open its streams again; its credentials are the same.
        "fchown of the stdio",
        "fchmod of the stdio",
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
        // Securebits are not compared: none that matters here changes.
        "then prctl(PR_GET_SECUREBITS)",
    ]);
}

#[test]
fn no_fault_in_a_root_start_without_capabilities_goes_unnoticed() {
    Case {
        name: "root start, no capability",
        start: started(0, SWITCH),
        settings: &[("CAPSHIM_USER", "app")],
        prepare: |container| container,
    }
    .holds(&[
        // Effective is permitted already.
        "capset(effective = permitted = SETGID, SETUID)",
        // There is none to keep.
        "prctl(PR_SET_KEEPCAPS, 1)",
        // The application cannot open its streams again; its credentials are the same.
        "fchown of the stdio",
        "fchmod of the stdio",
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
        // Securebits are not compared: none that matters here changes.
        "then prctl(PR_GET_SECUREBITS)",
    ]);
}

#[test]
fn no_fault_in_a_root_start_without_no_new_privs_goes_unnoticed() {
    Case {
        name: "root start, CAPSHIM_NO_NEW_PRIVS=0",
        start: started(0, LOCK | SWITCH),
        settings: &[("CAPSHIM_USER", "app"), ("CAPSHIM_CAPS", "ipc_lock"), ("CAPSHIM_NO_NEW_PRIVS", "0")],
        prepare: |container| container,
    }
    .holds(&[
        // Effective is permitted already.
        "capset(effective = permitted = SETGID, SETUID, IPC_LOCK)",
        // The application cannot open its streams again; its credentials are the same.
        "fchown of the stdio",
        "fchmod of the stdio",
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
        // Securebits are not compared: none that matters here changes.
        "then prctl(PR_GET_SECUREBITS)",
    ]);
}

#[test]
fn no_fault_in_a_root_start_in_a_user_namespace_goes_unnoticed() {
    Case {
        name: "root start, user namespace",
        start: started(0, LOCK | SWITCH),
        settings: &[("CAPSHIM_USER", "app"), ("CAPSHIM_CAPS", "ipc_lock"), ("CAPSHIM_LOG", "quiet")],
        prepare: |container| container.user_namespace(100_000, 65_536),
    }
    .holds(&[
        // Effective is permitted already.
        "capset(effective = permitted = SETGID, SETUID, IPC_LOCK)",
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
        // Securebits are not compared: none that matters here changes.
        "then prctl(PR_GET_SECUREBITS)",
    ]);
}

#[test]
fn no_fault_in_staying_root_goes_unnoticed() {
    Case {
        name: "stay root",
        start: started(0, LOCK | NET_RAW),
        settings: &[("CAPSHIM_USER", "root"), ("CAPSHIM_CAPS", "ipc_lock")],
        prepare: |container| container,
    }
    .holds(&[
        // The bounding set is read for a message that is not needed.
        "first prctl(PR_CAPBSET_READ) CAP_NET_RAW",
        "first prctl(PR_CAPBSET_READ) CAP_IPC_LOCK",
        // Effective is permitted already.
        "capset(effective = permitted = NET_RAW, IPC_LOCK)",
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
    ]);
}

#[test]
fn no_fault_in_staying_root_with_other_groups_goes_unnoticed() {
    Case {
        name: "stay root, groups change",
        start: Credentials { gid: Ids::all(gid(500)), ..started(0, LOCK | SWITCH) },
        settings: &[("CAPSHIM_USER", "root"), ("CAPSHIM_CAPS", "ipc_lock"), ("CAPSHIM_GROUPS", "none")],
        prepare: |container| container,
    }
    .holds(&[
        // Effective is permitted already.
        "capset(effective = permitted = SETGID, SETUID, IPC_LOCK)",
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
    ]);
}

#[test]
fn no_fault_in_a_start_by_file_capabilities_goes_unnoticed() {
    Case {
        name: "non-root start, file capabilities",
        start: Credentials { effective: CapSet::EMPTY, ..started(1000, LOCK | SETPCAP) },
        settings: &[("CAPSHIM_CAPS", "ipc_lock")],
        prepare: |container| container.file_caps("/capshim", "cap_ipc_lock,cap_setpcap=p"),
    }
    .holds(&[
        // Ambient is empty already.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
    ]);
}

#[test]
fn no_fault_in_a_start_with_nothing_to_do_goes_unnoticed() {
    Case {
        name: "nothing to do",
        start: Credentials { groups: vec![gid(2000)], ..started(1000, CapSet::EMPTY) },
        settings: &[("CAPSHIM_CAPS", "none")],
        prepare: |container| container,
    }
    .holds(&[
        // All sets are empty already.
        "capset(effective = permitted = none)",
        "capset(permitted = effective = inheritable = none)",
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
    ]);
}

#[test]
fn no_fault_in_a_start_with_ambient_capabilities_goes_unnoticed() {
    let both = LOCK | NET_RAW;
    Case {
        name: "non-root start, ambient from the runtime",
        start: Credentials { inheritable: both, ambient: both, ..started(1000, both) },
        settings: &[("CAPSHIM_CAPS", "ipc_lock")],
        prepare: |container| container,
    }
    .holds(&[
        // What ambient holds counts only where a securebit keeps it from being set anew.
        "first prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET) CAP_NET_RAW",
        "first prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET) CAP_IPC_LOCK",
        // Effective is permitted already.
        "capset(effective = permitted = NET_RAW, IPC_LOCK)",
        // The capset before it took NET_RAW from ambient too.
        "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)",
    ]);
}

#[test]
fn a_seccomp_filter_that_fails_or_fakes_a_step_ends_the_run() {
    // The filter is loaded last where no_new_privs is on, so that runc's own calls pass.
    let start = || {
        let start = Container::root().capabilities(&["IPC_LOCK", "SETGID", "SETPCAP", "SETUID"]);
        APP_LOCK.iter().fold(start.no_new_privs(), |start, (name, value)| start.env(name, value))
    };
    let prctl = |option: i32, errno: i32| start().deny_prctl(option, errno);
    for (start, said) in [
        (start().deny("setgroups", 0), "differ from the plan: the group list is none and should be 29, 1000"),
        (start().deny("setresgid", 0), "differ from the plan: gid is 0/0/0 and should be 1000/1000/1000"),
        (start().deny("setresuid", 0), "differ from the plan: uid is 0/0/0 and should be 1000/1000/1000"),
        (start().deny("capset", 0), "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, IPC_LOCK): EPERM"),
        (prctl(libc::PR_SET_KEEPCAPS, 0), "capset(permitted = effective = inheritable = IPC_LOCK): EPERM"),
        (prctl(libc::PR_SET_KEEPCAPS, 1), "prctl(PR_SET_KEEPCAPS, 1): EPERM"),
        (
            prctl(libc::PR_CAPBSET_DROP, 0),
            "differ from the plan: bounding is SETGID, SETUID, SETPCAP, IPC_LOCK",
        ),
        (prctl(libc::PR_CAPBSET_DROP, 1), "prctl(PR_CAPBSET_DROP, SETGID): EPERM"),
        (prctl(libc::PR_CAP_AMBIENT, 0), "differ from the plan: ambient is none and should be IPC_LOCK"),
    ] {
        start.shim(&["/state"]).refuses_saying(71, said);
    }
}

#[test]
fn a_bounding_set_that_hides_a_capability_from_a_root_that_stays_is_found_out() {
    let start = || {
        let granted = ["IPC_LOCK", "NET_RAW"];
        let settings =
            [("CAPSHIM_USER", "root"), ("CAPSHIM_CAPS", "ipc_lock"), ("CAPSHIM_NO_NEW_PRIVS", "0")];
        settings
            .iter()
            .fold(Container::root().capabilities(&granted), |start, (name, value)| start.env(name, value))
    };
    let strace = |words: &str| ["-e", "trace=prctl", "-e", words].map(str::to_owned);
    let (honest, log) = start().attached(&strace("signal=none"), &["/capshim", "/state"]);
    honest.refuses_saying(78, "would give root the whole bounding set at exec");
    // strace counts each process's calls by themselves.
    let asks = log.lines().find(|line| line.contains("PR_CAPBSET_READ, CAP_NET_RAW")).expect("the question");
    let pid = asks.split(' ').next().expect("a process");
    let number =
        log.lines().filter(|line| line.starts_with(pid)).position(|line| line == asks).expect("the question")
            + 1;
    let (output, _) =
        start().attached(&strace(&format!("inject=prctl:retval=0:when={number}")), &["/capshim", "/state"]);
    output.refuses_saying(71, "differ from the plan: bounding is NET_RAW, IPC_LOCK and should be IPC_LOCK");
}
