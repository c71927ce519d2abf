//! The words of a refusal for each reason why there is no plan: exit code, cause and hints.
//!
//! Pure.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use crate::accounts::entries::Accounts;
use crate::accounts::resolve;
use crate::hints;
use crate::model::caps::{Cap, CapSet};
use crate::model::credentials::Credentials;
use crate::model::error::{Exit, Refusal, shown};
use crate::model::ids::{OVERFLOW_ID, Uid, listed};
use crate::plan::reasons::{FileGaveNone, Reason};
use crate::settings::user::UserSpec;
use crate::settings::{Config, names};

impl Reason {
    fn exit(&self) -> Exit {
        match self {
            Reason::Setting(refusal) => refusal.exit,
            Reason::BoundingNotRead => Exit::System,
            Reason::NoUser
            | Reason::RootWouldRegain { .. }
            | Reason::FileWouldRegain { .. }
            | Reason::TooManyGroups { .. }
            | Reason::UnknownGroups { .. }
            | Reason::UnmappedGroup { .. } => Exit::Setting,
            Reason::NoNewPrivsIsOn
            | Reason::NotGranted { .. }
            | Reason::GivenUp { .. }
            | Reason::NotGrantedToUser { .. }
            | Reason::OnlyAmbient { .. }
            | Reason::NotFromFile { .. }
            | Reason::GidNeedsSetgid { .. }
            | Reason::GroupsNeedSetgid { .. }
            | Reason::NoAmbient(_)
            | Reason::AmbientLocked(_)
            | Reason::KeepCapsLocked(_) => Exit::NotGranted,
        }
    }

    /// The refusal that the user reads. The arguments are what the plan was made from.
    pub fn refusal(self, config: &Config, start: &Credentials, accounts: &Accounts) -> Refusal {
        let exit = self.exit();
        let refused = |cause: String| Refusal::new(exit, cause);
        let not_granted =
            |what: String| refused(format!("not granted to this container, not in its bounding set: {what}"));
        let uid = start.uid.effective;
        match self {
            Reason::Setting(refusal) => refusal,
            Reason::NoUser => refused("started as root and CAPSHIM_USER is not set".into())
                .hint("set it (Kubernetes: env; Docker/Podman: -e): CAPSHIM_USER=app, a user of the image")
                .or("CAPSHIM_USER=1000:1000, uid and gid")
                .or("CAPSHIM_USER=root, which stays root on purpose"),
            Reason::NoNewPrivsIsOn => refused(format!(
                "{}='0' is not possible: the runtime has set no_new_privs for this container",
                names::NO_NEW_PRIVS
            ))
            .hint(WITHOUT_NO_NEW_PRIVS)
            .or(hints::leave_out(names::NO_NEW_PRIVS)),
            Reason::NotGranted { missing, for_change, uid, grants } => {
                let purpose = if for_change.is_empty() {
                    String::new()
                } else {
                    format!(" ({for_change} to become uid {uid})")
                };
                not_granted(format!("{missing}{purpose}")).hint(hints::grant(grants))
            }
            Reason::GivenUp { lacking, securebit } => {
                let because = |cause: &str| {
                    refused(format!(
                        "in the bounding set but not in the permitted set: {lacking}; started as root, but {cause}"
                    ))
                };
                if securebit {
                    because("securebits has SECBIT_NOROOT").hint(WITHOUT_SECUREBIT)
                } else {
                    because("a program that ran before capshim dropped it").hint(first_word(start))
                }
            }
            Reason::NotGrantedToUser { missing, on_file: true, grants } => {
                not_granted(missing.to_string()).hint(hints::grant(grants))
            }
            Reason::NotGrantedToUser { missing, on_file: false, grants } => {
                let [on_file, as_root] = hints::non_root_start(grants, start, &same_user(config, start, accounts));
                not_granted(missing.to_string())
                    .hint(format!("{}; then, for a start as uid {uid}, {on_file}", hints::grant(grants)))
                    .or(as_root)
            }
            Reason::OnlyAmbient { lacking, grants } => refused(format!(
                "the program or runtime that started capshim passed on only {}, and not {lacking}",
                start.ambient
            ))
            .hint(hints::grant(grants))
            .or(format!(
                "where another capshim runs first, ask for them there, too: {}={}",
                names::CAPS,
                hints::list(grants)
            )),
            Reason::NotFromFile { lacking, why, grants } => {
                not_from_file(lacking, why, grants, start, &same_user(config, start, accounts))
            }
            Reason::GidNeedsSetgid { gid, grants } => {
                let now = start.gid.effective;
                let user = config.user.as_ref().map_or(String::new(), |user| shown(user.to_string().as_bytes()));
                refused(format!(
                    "{}='{user}' changes gid {now} of a start as uid {uid} to {gid}, which needs SETGID",
                    names::USER
                ))
                .hint(format!(
                    "Kubernetes: securityContext.runAsGroup: {gid}; Docker/Podman: --user {uid}:{gid}"
                ))
                .or(format!("keep the gid: {}={uid}:{now}", names::USER))
                .or(hints::grant(grants))
            }
            Reason::GroupsNeedSetgid { groups, grants } => {
                let refusal = refused(format!(
                    "{}='{}' changes the groups of a start as uid {uid}, which needs SETGID",
                    names::GROUPS,
                    shown(config.groups.to_string().as_bytes())
                ));
                let leave_out = hints::leave_out(names::GROUPS);
                if uid == Uid::ROOT {
                    refusal.hint(hints::grant(grants)).or(leave_out)
                } else {
                    // A non-root user cannot be granted SETGID, so the runtime has to set the groups.
                    let by_runtime = hints::runtime_groups(&groups);
                    refusal.hint(format!("{leave_out} and let the runtime {by_runtime}"))
                }
            }
            Reason::NoAmbient(wanted) => refused(format!(
                "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET): EINVAL: this kernel or sandbox has no ambient capabilities, which would keep {wanted}"
            ))
            .hint("run it on a node with Linux 4.3 or newer")
            .or(hints::WITHOUT_SANDBOX),
            Reason::AmbientLocked(wanted) => refused(format!(
                "securebits {:#x} has SECBIT_NO_CAP_AMBIENT_RAISE: ambient cannot take {wanted}",
                start.securebits.0
            ))
            .hint(WITHOUT_SECUREBIT),
            Reason::KeepCapsLocked(request) => refused(format!(
                "securebits {:#x} has SECBIT_KEEP_CAPS_LOCKED: {request} cannot be kept in a change of user",
                start.securebits.0
            ))
            .hint(WITHOUT_SECUREBIT),
            Reason::RootWouldRegain { more, request, needed } => {
                let refusal = refused(format!(
                    "{}='0' would give root the whole bounding set at exec, which has {more} beyond CAPSHIM_CAPS",
                    names::NO_NEW_PRIVS
                ))
                .hint(hints::leave_out(names::NO_NEW_PRIVS));
                if needed.is_empty() {
                    let only = hints::grant_only(request);
                    refusal.or(format!("grant no more than is asked for: {only}"))
                } else {
                    refusal.or(with_setpcap(request | needed))
                }
            }
            Reason::FileWouldRegain { more, request, needed } => {
                file_would_regain(more, request, needed, start)
            }
            Reason::BoundingNotRead => refused("the bounding set is needed but was not read".into()),
            Reason::TooManyGroups { list, most } => refused(format!(
                "{} makes {} groups, more than the {most} that the kernel takes",
                names::GROUPS,
                list.len()
            ))
            .hint(format!(
                "list the groups that the application needs, as in: {}",
                hints::group_list(&list)
            )),
            Reason::UnknownGroups { unknown, others } => {
                let why = accounts.doubts.by_file().next().map(|(file, doubt)| format!("{file} {doubt}"));
                refused(format!(
                    "cannot tell which inherited groups are root's: {}; unknown: {}",
                    why.unwrap_or_default(),
                    listed(&unknown)
                ))
                .of(names::GROUPS, config.groups.to_string().as_bytes())
                .hint(format!(
                    "list the groups that the application needs, of these: {}",
                    hints::group_list(&others)
                ))
                .or(format!("pass none on: {}=none", names::GROUPS))
            }
            Reason::UnmappedGroup { others } => refused(format!(
                "cannot keep group {OVERFLOW_ID}: it may stand for a group that this user namespace does not map, and writing it back would grant another one"
            ))
            .of(names::GROUPS, config.groups.to_string().as_bytes())
            .hint(format!(
                "list the groups that the application needs: {}",
                hints::group_list(&others)
            )),
        }
    }
}

/// What `CAPSHIM_USER` is to be for a start as root that becomes the user of this start: its value if it names
/// this user. The runtime may have started it with another gid, as `--user 1000` does with 0.
fn same_user(config: &Config, start: &Credentials, accounts: &Accounts) -> String {
    let uid = start.uid.effective;
    let is_same = |spec: &&UserSpec| {
        resolve::resolve(spec, accounts).is_ok_and(|found| found.uid == uid && found.gid.is_some())
    };
    match config.user.as_ref().filter(is_same) {
        Some(spec) => shown(spec.to_string().as_bytes()),
        None => format!("{uid}:{}", start.gid.effective),
    }
}

/// A non-root start that its own file did not give enough. `user` is what makes a start as root this user.
fn not_from_file(
    lacking: CapSet,
    why: FileGaveNone,
    grants: CapSet,
    start: &Credentials,
    user: &str,
) -> Refusal {
    let path = hints::this_program(start);
    let uid = start.uid.effective;
    let because = |cause: String| {
        let cause = format!("in the bounding set but not in the permitted set: {lacking}; {cause}");
        Refusal::new(Exit::NotGranted, cause)
    };
    match why {
        FileGaveNone::HasNone => {
            let has = match start.own_file.as_ref().map(|file| file.caps) {
                Some(Err(why)) => format!("the file capabilities of {path} {why}"),
                Some(Ok(Some(caps))) => format!("{path} has no such file capabilities, only {caps}"),
                _ => format!("{path} has no such file capabilities"),
            };
            let [on_file, as_root] = hints::non_root_start(grants, start, user);
            let refusal =
                because(format!("the container was started as uid {uid} and {has}")).hint(on_file).or(as_root);
            match start.bounding {
                Some(all) if all.is_privileged() => {
                    refusal.or(format!("under Podman, in place of --privileged: {}", hints::flags(grants)))
                }
                _ => refusal,
            }
        }
        FileGaveNone::NosuidMount => {
            let refusal = because(format!("{path} is on a nosuid mount, where they do not count")).hint(format!(
                "run a copy that is in the image, with them: {}",
                hints::file_caps(grants, "COPY")
            ));
            match path.rsplit_once('/') {
                Some((folder, _)) if folder.len() > 1 => refusal.or(hints::without_nosuid(folder)),
                // No volume lies at the root.
                _ => refusal,
            }
        }
        FileGaveNone::OfAnotherNamespace => {
            because(format!("{path} has them, but they belong to another user namespace")).hint(format!(
                "write them again from inside this user namespace: {}",
                hints::file_caps(grants, &path)
            ))
        }
        FileGaveNone::NotFirstProgram => because(format!(
            "{path} has them, but with no_new_privs on they count only in the container's first program, and only if the runtime passes \
             them on to it: another program ran before, or the runtime is LXC or a Docker older than 23.0.7 or 24.0.6"
        ))
        .hint(format!(
            "{}, without sh -c before it (and update such a Docker)",
            first_word(start)
        ))
        .or(format!("{WITHOUT_NO_NEW_PRIVS}; LXC: no lxc.no_new_privs")),
        // No manifest has a setting for the causes that are left (execve(2), capabilities(7)).
        FileGaveNone::NotApplied => because(format!(
            "{path} has them, but the kernel did not apply them, as where a process without privileges traces this one or shares its \
             working directory (CLONE_FS), the mount is another user namespace's, or the kernel was booted with no_file_caps"
        )),
    }
}

fn file_would_regain(more: CapSet, request: CapSet, needed: CapSet, start: &Credentials) -> Refusal {
    let path = hints::this_program(start);
    let refusal = |will: &str, from: &str| {
        let setting = names::NO_NEW_PRIVS;
        let cause = format!(
            "{setting}='0' {will} let the application run this program again and take {more} from {from}"
        );
        Refusal::new(Exit::Setting, cause).hint(hints::leave_out(setting))
    };
    match start.own_file.as_ref().and_then(|file| file.caps.err()) {
        None => refusal("would", "its file capabilities").or(format!(
            "give the file no more than {} asks for: {}",
            names::CAPS,
            hints::file_caps(request, &path)
        )),
        Some(why) => {
            let refusal = refusal("may", &format!("the file capabilities of {path}, which {why}"));
            if needed.is_empty() { refusal } else { refusal.or(with_setpcap(request | needed)) }
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

const WITHOUT_NO_NEW_PRIVS: &str = "Kubernetes: securityContext.allowPrivilegeEscalation: true; Docker/Podman: leave out --security-opt no-new-privileges";
const WITHOUT_SECUREBIT: &str = "a program that ran before capshim set it, as capsh --secbits and setpriv --securebits do: start capshim without that";

fn first_word(start: &Credentials) -> String {
    format!("make {} the first word of the container's command", hints::this_program(start))
}

fn with_setpcap(grants: CapSet) -> String {
    let all = grants | CapSet::of(&[Cap::CAP_SETPCAP]);
    format!("grant SETPCAP, so that capshim can drop the rest: {}", hints::grant(all))
}
