//! What init mode makes of signals and of its child's changes.
//!
//! Pure; `init` does it.
#![forbid(unsafe_code)]

use std::ffi::c_int;

use crate::sys::Ended;

/// The exit code that a shell would give: 128 and the number for a signal.
pub fn exit_code(ended: Ended) -> c_int {
    match ended {
        Ended::Exited(status) => status,
        Ended::Signaled(signal) => 128 + signal,
    }
}

/// Whose process group has the terminal's foreground (tcgetpgrp(3)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreground {
    /// There is no controlling terminal.
    NoTerminal,
    Child,
    Own,
    Another,
}

/// What follows when the child has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnStop {
    /// Whoever stopped it so will continue it.
    Leave,
    /// It wants the terminal, which is there to be had.
    Continue,
    /// Stop by this signal too, so that a shell sees its job stopped, and then continue it.
    Stop(c_int),
}

/// TSTP, TTIN and TTOU are job control's: a shell that sees them stops all of the job. SIGSTOP
/// is another's business, unless the child had the terminal, which nobody could use then;
/// editors stop themselves so after Ctrl-Z.
pub fn on_stop(signal: c_int, foreground: Foreground) -> OnStop {
    match (signal, foreground) {
        (libc::SIGTTIN | libc::SIGTTOU, Foreground::Own) => OnStop::Continue,
        (libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU, _) => OnStop::Stop(signal),
        (libc::SIGSTOP, Foreground::Child) => OnStop::Stop(libc::SIGTSTP),
        _ => OnStop::Leave,
    }
}

/// Whether the child gets the terminal's foreground when it continues. `managed` says that
/// somebody has continued this process, a shell: then only what the shell gave to this
/// process's group is passed on. Else a child that was stopped for want of the terminal would
/// be stopped again at once, and for ever.
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
        for foreground in ALL {
            assert_eq!(on_stop(SIGTSTP, foreground), OnStop::Stop(SIGTSTP));
        }
        for foreground in [Foreground::NoTerminal, Foreground::Child, Foreground::Another] {
            assert_eq!(on_stop(SIGTTIN, foreground), OnStop::Stop(SIGTTIN));
            assert_eq!(on_stop(SIGTTOU, foreground), OnStop::Stop(SIGTTOU));
        }
    }

    #[test]
    fn a_child_that_wants_a_terminal_of_ours_gets_it_at_once() {
        assert_eq!(on_stop(SIGTTIN, Foreground::Own), OnStop::Continue);
        assert_eq!(on_stop(SIGTTOU, Foreground::Own), OnStop::Continue);
        assert!(takes_foreground(SIGTTIN, Foreground::Own, false));
    }

    #[test]
    fn sigstop_is_left_to_its_sender_unless_the_child_had_the_terminal() {
        for foreground in [Foreground::NoTerminal, Foreground::Own, Foreground::Another] {
            assert_eq!(on_stop(SIGSTOP, foreground), OnStop::Leave);
        }
        assert_eq!(on_stop(SIGSTOP, Foreground::Child), OnStop::Stop(SIGTSTP));
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
