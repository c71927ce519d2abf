//! What to change: the cause and the cure of a refusal, chosen from what was observed and
//! not from errno alone.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use crate::accounts::entries::Accounts;
use crate::hints;
use crate::model::caps::{Cap, CapSet};
use crate::model::credentials::{Credentials, OwnFile, Securebits};
use crate::model::error::{Exit, Refusal, shown};
use crate::model::ids::{Gid, Id, OVERFLOW_ID, Uid, listed};
use crate::plan::change::Change;
use crate::settings::{Config, names};

/// Started as root without `CAPSHIM_USER`.
pub fn no_user() -> Refusal {
    Refusal::new(Exit::Setting, "started as root and CAPSHIM_USER is not set").hint(
        "set it (Kubernetes: env; Docker/Podman: -e): CAPSHIM_USER=app, a user of the image; or CAPSHIM_USER=1000:1000, uid and gid; \
         or CAPSHIM_USER=root, which stays root on purpose",
    )
}

/// `CAPSHIM_NO_NEW_PRIVS=0`, but it is on and cannot be turned off.
pub fn no_new_privs_is_on() -> Refusal {
    Refusal::new(
        Exit::NotGranted,
        format!(
            "{}='0' cannot be had: the runtime has set no_new_privs for this container",
            names::NO_NEW_PRIVS
        ),
    )
    .hint(format!("{WITHOUT_NO_NEW_PRIVS}; or leave {} out", names::NO_NEW_PRIVS))
}

/// Capabilities that are requested, or that a change to these ids needs, are not permitted.
pub fn lacking(lacking: CapSet, change: &Change, config: &Config, start: &Credentials) -> Refusal {
    let (uid, needed) = (change.uid, change.needed_caps());
    // Whoever replaces the granted list by the hint's keeps what is optional.
    let wanted = config.caps.required | (config.caps.optional & start.bounding.unwrap_or_default());
    if !change.switches && !(lacking & needed).is_empty() {
        return change_without_switch(wanted | needed, change, config, start);
    }
    let ungranted = lacking - start.bounding.unwrap_or_default();
    match start.uid.effective == Uid::ROOT {
        true if ungranted.is_empty() => given_up(lacking, start),
        true => {
            let purpose = if (ungranted & needed).is_empty() {
                String::new()
            } else {
                format!(" ({} to become uid {uid})", ungranted & needed)
            };
            not_granted(&format!("{ungranted}{purpose}")).hint(hints::grant(wanted | needed))
        }
        false => non_root_lacking(lacking, ungranted, wanted, start),
    }
}

/// A start as another user than root: its capabilities can come only from this program's file.
fn non_root_lacking(lacking: CapSet, ungranted: CapSet, wanted: CapSet, start: &Credentials) -> Refusal {
    let own = start.own_file.as_ref();
    let path = hints::this_program(start);
    let carries = lacking.is_subset_of(start.carried());
    let uid = start.uid.effective;
    if !ungranted.is_empty() {
        let grant = hints::grant(wanted);
        let hint = if carries {
            grant
        } else {
            format!(
                "{grant}; then, for a start as uid {uid}, {}",
                hints::non_root_start(wanted, &path, start)
            )
        };
        return not_granted(&ungranted.to_string()).hint(hint);
    }
    let because = |cause: String| {
        Refusal::new(Exit::NotGranted, format!("in the bounding set but not permitted: {lacking}; {cause}"))
    };
    if !carries {
        let has = match own.and_then(|file| file.caps.err()) {
            Some(why) => format!("the file capabilities of {path} {why}"),
            None => format!("{path} has no such file capabilities"),
        };
        return because(format!("the container was started as uid {uid} and {has}"))
            .hint(hints::non_root_start(wanted, &path, start));
    }
    if own.is_some_and(|file| file.nosuid) {
        return because(format!("{path} is on a nosuid mount, where they do not count")).hint(format!(
            "run a copy that is in the image, with them: {}; or mount its folder without nosuid, and put it there again: Kubernetes: an emptyDir; Docker/Podman: --tmpfs FOLDER:exec,suid",
            hints::file_caps(wanted, "COPY")
        ));
    }
    if own.and_then(OwnFile::known_caps).is_some_and(|caps| caps.foreign) {
        return because(format!("{path} has them, but they belong to another user namespace")).hint(format!(
            "write them again from inside this user namespace: {}",
            hints::file_caps(wanted, &path)
        ));
    }
    if start.no_new_privs {
        return because(format!(
            "{path} has them, but with no_new_privs on they count only in the container's first program, and another one ran \
             before (or the runtime is a Docker older than 23.0.7 or 24.0.6)"
        ))
        .hint(format!(
            "make {path} the first word of the container's command, without sh -c before it (and update such a Docker); or {}",
            WITHOUT_NO_NEW_PRIVS
        ));
    }
    // What is left (execve(2), capabilities(7)) is nothing that a manifest says.
    because(format!(
        "{path} has them, but the kernel did not apply them, as where a process without privileges traces this one or shares its \
         working directory (CLONE_FS), the mount is another user namespace's, or the kernel was booted with no_file_caps"
    ))
}

fn not_granted(what: &str) -> Refusal {
    Refusal::new(Exit::NotGranted, format!("not granted to this container, not in its bounding set: {what}"))
}

/// Groups or gid are to change, but not the user, and SETGID is missing. Root can be granted
/// it; another user's runtime has to do the change.
fn change_without_switch(grants: CapSet, change: &Change, config: &Config, start: &Credentials) -> Refusal {
    let (uid, now, gid) = (start.uid.effective, start.gid.effective, change.gid);
    let refusal = |cause: String| Refusal::new(Exit::NotGranted, format!("{cause}, which needs SETGID"));
    if gid != now {
        let user = config.user.as_ref().map_or(String::new(), |user| shown(user.to_string().as_bytes()));
        return refusal(format!("{}='{user}' changes gid {now} of a start as uid {uid} to {gid}", names::USER)).hint(format!(
            "Kubernetes: securityContext.runAsGroup: {gid}; Docker/Podman: --user {uid}:{gid}; or keep the gid: {}={uid}:{now}; or {}",
            names::USER,
            hints::grant(grants)
        ));
    }
    let policy = shown(config.groups.to_string().as_bytes());
    let refusal = refusal(format!("{}='{policy}' changes the groups of a start as uid {uid}", names::GROUPS));
    if uid == Uid::ROOT {
        return refusal.hint(format!("{}; or leave {} out", hints::grant(grants), names::GROUPS));
    }
    let groups: Vec<Gid> = change.groups.list.iter().copied().filter(|group| *group != gid).collect();
    refusal.hint(format!(
        "leave {} out and let the runtime {}",
        names::GROUPS,
        hints::runtime_groups(&groups)
    ))
}

/// Root has it in the bounding set but not permitted.
fn given_up(lacking: CapSet, start: &Credentials) -> Refusal {
    let refusal = |cause: &str| {
        Refusal::new(
            Exit::NotGranted,
            format!("in the bounding set but not permitted: {lacking}; started as root, but {cause}"),
        )
    };
    if start.securebits.has(Securebits::NOROOT) {
        refusal("securebits has SECBIT_NOROOT").hint(WITHOUT_SECUREBIT)
    } else {
        refusal("a program that ran before has given it up")
            .hint(format!("make {} the first word of the container's command", hints::this_program(start)))
    }
}

const WITHOUT_NO_NEW_PRIVS: &str = "Kubernetes: securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt no-new-privileges";
const WITHOUT_SECUREBIT: &str = "a program that ran before capshim has set it, as capsh --secbits and setpriv --securebits do: start capshim without that";

/// The ambient set cannot take what is asked for.
pub fn no_ambient(wanted: CapSet, start: &Credentials) -> Refusal {
    if !start.has_ambient {
        return Refusal::new(
            Exit::NotGranted,
            format!("prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET): EINVAL: this kernel or sandbox has no ambient capabilities, by which {wanted} would be kept"),
        )
        .hint("run it on a node with Linux 4.3 or newer; or without that sandbox: Kubernetes: runtimeClassName; Docker/Podman: --runtime");
    }
    Refusal::new(
        Exit::NotGranted,
        format!(
            "securebits {:#x} has SECBIT_NO_CAP_AMBIENT_RAISE: ambient cannot take {wanted}",
            start.securebits.0
        ),
    )
    .hint(WITHOUT_SECUREBIT)
}

/// Permitted cannot survive the change of uid.
pub fn keepcaps_locked(request: CapSet, securebits: Securebits) -> Refusal {
    Refusal::new(
        Exit::NotGranted,
        format!(
            "securebits {:#x} has SECBIT_KEEP_CAPS_LOCKED: {request} cannot be kept in a change of user",
            securebits.0
        ),
    )
    .hint(WITHOUT_SECUREBIT)
}

/// Root without no_new_privs gets the whole bounding set again at exec.
pub fn root_would_regain(more: CapSet, request: CapSet, needed: CapSet) -> Refusal {
    let refusal = Refusal::new(
        Exit::Setting,
        format!(
            "{}='0' would give root the whole bounding set at exec, which has {more} beyond CAPSHIM_CAPS",
            names::NO_NEW_PRIVS
        ),
    );
    let leave_out = format!("leave {} out", names::NO_NEW_PRIVS);
    if needed.is_empty() {
        refusal
            .hint(format!("{leave_out}; or grant no more than is asked for: {}", hints::grant_only(request)))
    } else {
        refusal.hint(format!("{leave_out}; or {}", with_setpcap(request | needed)))
    }
}

fn with_setpcap(grants: CapSet) -> String {
    let all = grants | CapSet::of(&[Cap::CAP_SETPCAP]);
    format!("grant SETPCAP, by which capshim drops the rest: {}", hints::grant(all))
}

/// This program's file carries more than the request, or nobody can tell, and could be executed
/// again.
pub fn file_would_regain(more: CapSet, request: CapSet, needed: CapSet, start: &Credentials) -> Refusal {
    let path = hints::this_program(start);
    let refusal = |will: &str, from: String| {
        let setting = names::NO_NEW_PRIVS;
        let cause = format!(
            "{setting}='0' {will} let the application run this program again and take {more} from {from}"
        );
        Refusal::new(Exit::Setting, cause)
    };
    let leave_out = format!("leave {} out", names::NO_NEW_PRIVS);
    match start.own_file.as_ref().and_then(|file| file.caps.err()) {
        None => refusal("would", "its file capabilities".to_owned()).hint(format!(
            "{leave_out}; or give the file no more than {} asks for: {}",
            names::CAPS,
            hints::file_caps(request, &path)
        )),
        Some(why) => {
            let refusal = refusal("may", format!("the file capabilities of {path}, which {why}"));
            if needed.is_empty() {
                refusal.hint(leave_out)
            } else {
                refusal.hint(format!("{leave_out}; or {}", with_setpcap(request | needed)))
            }
        }
    }
}

/// A start whose real and effective ids differ.
pub fn set_id(start: &Credentials, program: &CStr) -> Refusal {
    let (uid, gid) = (start.uid, start.gid);
    let cause = format!(
        "started set-user-ID or set-group-ID (real uid {} gid {}, effective uid {} gid {})",
        uid.real, gid.real, uid.effective, gid.effective
    );
    Refusal::new(Exit::Setting, cause).hint(format!(
        "remove the bits: chmod u-s,g-s {} (a start as root, or file capabilities, do what they were meant to do)",
        shown(program.to_bytes())
    ))
}

/// A fault of this program's own.
pub fn bounding_not_read() -> Refusal {
    Refusal::new(Exit::System, "the bounding set is needed but was not read")
}

/// The settings make more groups than the kernel takes.
pub fn too_many_groups(list: &[Gid], most: usize) -> Refusal {
    let cause =
        format!("{} makes {} groups, more than the {most} that the kernel takes", names::GROUPS, list.len());
    Refusal::new(Exit::Setting, cause)
        .hint(format!("list the groups that the application needs, as in: {}", hints::group_list(list)))
}

/// Nobody can say which of these are root's own.
pub fn whose(unknown: &[Gid], mut all: Vec<Gid>, gid: Gid, config: &Config, accounts: &Accounts) -> Refusal {
    all.retain(|group| *group != gid);
    all.sort_unstable();
    let why = accounts.doubts.by_file().next().map(|(file, doubt)| format!("{file} {doubt}"));
    let wrong = Refusal::wrong(format!(
        "cannot tell which inherited groups are root's: {}; unknown: {}",
        why.unwrap_or_default(),
        listed(unknown)
    ))
    .hint(format!(
        "list the groups that the application needs, of these: {}; or pass none on: {}=none",
        hints::group_list(&all),
        names::GROUPS
    ));
    wrong.of(names::GROUPS, config.groups.to_string().as_bytes())
}

/// `keep` would write a group back that only reads as this one.
pub fn cannot_keep(mut others: Vec<Gid>, config: &Config) -> Refusal {
    others.retain(|group| group.raw() != OVERFLOW_ID && *group != Gid::ROOT);
    let wrong = Refusal::wrong(format!(
        "cannot keep group {OVERFLOW_ID}: it may stand for a group that this user namespace does not map, and writing it back would grant another one"
    ))
    .hint(format!("list the groups that the application needs: {}", hints::group_list(&others)));
    wrong.of(names::GROUPS, config.groups.to_string().as_bytes())
}
