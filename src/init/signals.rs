//! Decides how init mode reacts to signals and to its child's changes.
//!
//! Pure; `supervise` acts.
#![forbid(unsafe_code)]

use std::ffi::c_int;

use crate::system::Ended;

/// The exit code that a shell would report: for a signal, 128 plus its number.
pub fn exit_code(ended: Ended) -> c_int {
    match ended {
        Ended::Exited(status) => status,
        Ended::Signaled(signal) => 128 + signal,
    }
}

/// Whose process group is in the terminal's foreground (tcgetpgrp(3)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreground {
    /// There is no controlling terminal.
    NoTerminal,
    Child,
    Own,
    Another,
}

/// How the parent reacts when the child has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnStop {
    /// Do nothing: the sender of the signal will continue the child.
    Leave,
    /// Continue the child: nobody else will, or it wants the terminal and the terminal is free.
    Continue,
    /// Stop this process and its job by the same signal, so that the shell notices. Then continue the child.
    Stop(c_int),
}

/// SIGTSTP, SIGTTIN and SIGTTOU belong to job control: a shell that sees them stops the whole job. SIGSTOP is
/// left to its sender, unless the child had the terminal: nobody could use the terminal then. Editors stop
/// themselves by SIGSTOP after Ctrl-Z. Without a terminal there is no job control.
///
/// Without `job_control` no shell manages this process as a job. The kernel does not stop it by these
/// signals, and nobody else would continue its child.
pub fn on_stop(signal: c_int, foreground: Foreground, job_control: bool) -> OnStop {
    let stop = match (signal, foreground) {
        (libc::SIGTTIN | libc::SIGTTOU, Foreground::Own) => return OnStop::Continue,
        (libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU, _) => signal,
        (libc::SIGSTOP, Foreground::Child) => libc::SIGTSTP,
        _ => return OnStop::Leave,
    };
    match (job_control, foreground) {
        (false, _) => OnStop::Continue,
        (true, Foreground::NoTerminal) => OnStop::Leave,
        (true, _) => OnStop::Stop(stop),
    }
}

/// Whether the child gets the terminal's foreground when it continues. `managed` means that a shell has
/// continued this process: then only a foreground that the shell gave is passed on. Without a shell, a child
/// that stopped for lack of the terminal would stop again at once, forever.
pub fn takes_foreground(signal: c_int, foreground: Foreground, managed: bool) -> bool {
    match foreground {
        Foreground::Own => true,
        Foreground::Another => !managed && matches!(signal, libc::SIGTTIN | libc::SIGTTOU),
        Foreground::Child | Foreground::NoTerminal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};

    const ALL: [Foreground; 4] =
        [Foreground::NoTerminal, Foreground::Child, Foreground::Own, Foreground::Another];

    #[test]
    fn an_exit_status_is_passed_on_and_a_signal_has_128_added() {
        assert_eq!(exit_code(Ended::Exited(0)), 0);
        assert_eq!(exit_code(Ended::Exited(255)), 255);
        assert_eq!(exit_code(Ended::Signaled(SIGKILL)), 137);
        assert_eq!(exit_code(Ended::Signaled(64)), 192);
    }

    #[test]
    fn a_stop_of_job_control_stops_this_process_too() {
        for foreground in [Foreground::Child, Foreground::Own, Foreground::Another] {
            assert_eq!(on_stop(SIGTSTP, foreground, true), OnStop::Stop(SIGTSTP));
        }
        for foreground in [Foreground::Child, Foreground::Another] {
            assert_eq!(on_stop(SIGTTIN, foreground, true), OnStop::Stop(SIGTTIN));
            assert_eq!(on_stop(SIGTTOU, foreground, true), OnStop::Stop(SIGTTOU));
        }
    }

    #[test]
    fn without_a_terminal_a_stop_is_left_to_its_sender() {
        for signal in [SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP] {
            assert_eq!(on_stop(signal, Foreground::NoTerminal, true), OnStop::Leave);
        }
    }

    #[test]
    fn where_nobody_has_it_for_a_job_it_continues_what_job_control_stopped() {
        for foreground in ALL {
            for signal in [SIGTSTP, SIGTTIN, SIGTTOU] {
                assert_eq!(on_stop(signal, foreground, false), OnStop::Continue);
            }
        }
        assert_eq!(on_stop(SIGSTOP, Foreground::Child, false), OnStop::Continue);
        assert_eq!(on_stop(SIGSTOP, Foreground::NoTerminal, false), OnStop::Leave);
    }

    #[test]
    fn a_child_that_wants_a_terminal_of_ours_gets_it_at_once() {
        assert_eq!(on_stop(SIGTTIN, Foreground::Own, true), OnStop::Continue);
        assert_eq!(on_stop(SIGTTOU, Foreground::Own, true), OnStop::Continue);
        assert!(takes_foreground(SIGTTIN, Foreground::Own, false));
    }

    #[test]
    fn sigstop_is_left_to_its_sender_unless_the_child_had_the_terminal() {
        for foreground in [Foreground::NoTerminal, Foreground::Own, Foreground::Another] {
            assert_eq!(on_stop(SIGSTOP, foreground, true), OnStop::Leave);
        }
        assert_eq!(on_stop(SIGSTOP, Foreground::Child, true), OnStop::Stop(SIGTSTP));
    }

    #[test]
    fn a_shell_keeps_the_terminal_that_it_did_not_give() {
        for signal in [SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP, SIGCONT] {
            assert!(takes_foreground(signal, Foreground::Own, true));
            assert!(!takes_foreground(signal, Foreground::Another, true));
            assert!(!takes_foreground(signal, Foreground::NoTerminal, false));
            assert!(!takes_foreground(signal, Foreground::Child, false));
        }
        assert!(takes_foreground(SIGTTIN, Foreground::Another, false));
        assert!(takes_foreground(SIGTTOU, Foreground::Another, false));
        assert!(!takes_foreground(SIGTSTP, Foreground::Another, false));
    }
}
