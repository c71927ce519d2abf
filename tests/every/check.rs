//! One start: the program's pure code against the promise and the model.

use capshim::command::after_exec::Executable;
use capshim::command::outcome;
use capshim::model::caps::CapSet;
use capshim::model::credentials::Securebits;
use capshim::model::expected::Expected;
use capshim::model::ids::Id;
use capshim::plan::Plan;
use capshim::plan::init::split;
use capshim::plan::notes::Note;
use capshim::plan::reasons::{FileGaveNone, Reason};

use crate::kernel::{
    File, KEEP_CAPS, KEEP_CAPS_LOCKED, NO_CAP_AMBIENT_RAISE, NOROOT, Process, SETGID, SETPCAP, SETUID, Set,
};
use crate::promise::{self, Obstacle};
use crate::shim::{self, Shim};
use crate::starts::{Groups, Kind, OwnFile, Sets, User};
use crate::steps;

const THREE: Set = SETUID | SETGID | SETPCAP;

/// What came of a start that keeps the promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// What the application holds just before exec.
    Starts(Process),
    Refused,
}

/// Says what is wrong, if anything is.
pub fn check(shim: &mut Shim, kind: &Kind, sets: &Sets) -> Result<Outcome, String> {
    let wish = promise::wish(kind, sets);
    let obstacles = promise::obstacles(kind, sets, &wish);
    match shim.plan(sets) {
        Ok(plan) => {
            if !obstacles.is_empty() {
                return Err(format!("a plan where there is {obstacles:?}: {plan:#?}"));
            }
            starts(kind, sets, &plan, wish).map(Outcome::Starts)
        }
        Err(reason) if obstacles.is_empty() => Err(format!("refused without an obstacle: {reason:?}")),
        Err(reason) if names(&reason, kind, sets, &obstacles) => Ok(Outcome::Refused),
        Err(reason) => Err(format!("{reason:?} does not name what is missing: {obstacles:?}")),
    }
}

/// Does the plan on the model: it must end in the wish, and exec of a plain file must keep that.
fn starts(kind: &Kind, sets: &Sets, plan: &Plan, wish: Process) -> Result<Process, String> {
    let (before, childs) = split(&plan.steps);
    let mut parent = kind.start(sets);
    steps::perform_all(before, &mut parent)?;
    let mut process = parent.clone();
    steps::perform_all(childs, &mut process)?;
    let (kept, wish_kept) = (process.securebits & !KEEP_CAPS, wish.securebits);
    let wish = Process { securebits: process.securebits, ..wish };
    if process != wish || kept != wish_kept {
        return Err(format!("after the steps: {process:#?}\npromised: {wish:#?}"));
    }
    expects(&plan.expected, &process, sets.permitted & SETPCAP != 0 || !kind.asks_no_new_privs)?;
    let after = process.exec(&File::default()).map_err(|error| format!("exec: {error:?}"))?;
    let caps = wish.permitted;
    if [after.permitted, after.effective, after.inheritable, after.ambient] != [caps; 4] {
        return Err(format!("after exec: {after:#?}"));
    }
    let before = outcome::before_exec(&plan.expected, Securebits(kind.securebits));
    match outcome::judge(&before, &Executable::default()) {
        Ok(judged) if [judged.permitted, judged.effective, judged.ambient].map(CapSet::bits) == [caps; 3] => {
        }
        judged => return Err(format!("a plain file is judged to leave {judged:?}")),
    }
    parent_holds_nothing(plan, parent, sets)?;
    tells(plan, sets, caps)?;
    Ok(process)
}

/// The notes name what is left out, and what can be turned into root: of these capabilities the three.
fn tells(plan: &Plan, sets: &Sets, caps: Set) -> Result<(), String> {
    let (mut left_out, mut dangerous) = (0, 0);
    for note in &plan.notes {
        match note {
            Note::OptionalLeftOut(caps) => left_out |= caps.bits(),
            Note::RootEquivalent(caps) => dangerous |= caps.bits(),
            _ => {}
        }
    }
    if (left_out, dangerous & THREE) != (sets.optional & !caps, caps & THREE) {
        return Err(format!("told to be left out: {left_out:x}, to be dangerous: {dangerous:x}"));
    }
    Ok(())
}

/// What the plan says that it ends in is what is there, and would be read back as that.
fn expects(expected: &Expected, process: &Process, reads_bounding: bool) -> Result<(), String> {
    let mut now = shim::observed(process);
    now.bounding = Some(CapSet::from_bits(process.bounding));
    let differences = expected.differences(&now);
    if !differences.is_empty() || expected.bounding.is_some() != reads_bounding {
        return Err(format!("{expected:?} is expected: {differences:?}"));
    }
    Ok(())
}

/// The parent of init mode, from the fork on.
fn parent_holds_nothing(plan: &Plan, mut parent: Process, sets: &Sets) -> Result<(), String> {
    let init = plan.init.as_ref().ok_or("no parent")?;
    steps::perform_all(&init.parent, &mut parent)?;
    let empty = [parent.permitted, parent.effective, parent.inheritable, parent.ambient] == [0; 4];
    let narrow = parent.bounding == 0 || sets.permitted & SETPCAP == 0;
    if !empty || !narrow || !parent.no_new_privs {
        return Err(format!("the parent of init mode holds {parent:#?}"));
    }
    expects(&init.holds, &parent, sets.permitted & SETPCAP != 0)
}

/// Whether the reason is true and names exactly what is missing.
fn names(reason: &Reason, kind: &Kind, sets: &Sets, obstacles: &[Obstacle]) -> bool {
    let has = |obstacle: Obstacle| obstacles.contains(&obstacle);
    let is_root = kind.user != User::Other;
    let lacking = (sets.required | kind.needs()) & !sets.permitted;
    let is_lacking = |named: CapSet| named.bits() == lacking && has(Obstacle::NotPermitted(lacking));
    let not_bounding = lacking & !sets.bounding;
    let missing = |named: CapSet| named.bits() == not_bounding && not_bounding != 0;
    // The hint's list is what the container needs, and what is optional is in it at most.
    let grants = |named: &CapSet, more: Set| {
        let least = sets.required | kind.needs() | more;
        named.bits() & !(sets.optional | least) == 0 && least & !named.bits() == 0
    };
    let on_file = lacking & !known_on_file(kind, sets) == 0;
    match reason {
        Reason::NoUser => has(Obstacle::NoUser),
        Reason::NoNewPrivsIsOn => has(Obstacle::NoNewPrivsIsOn),
        Reason::NotGranted { missing: named, for_change, uid, grants: list } => {
            is_root
                && missing(*named)
                && for_change.bits() == not_bounding & kind.needs()
                && (uid.raw() == 0) != kind.switches()
                && grants(list, 0)
        }
        Reason::GivenUp { lacking, securebit } => {
            is_root && is_lacking(*lacking) && not_bounding == 0 && *securebit == kind.has(NOROOT)
        }
        Reason::NotGrantedToUser { missing: named, on_file: is, grants: list } => {
            !is_root && missing(*named) && *is == on_file && grants(list, 0)
        }
        Reason::OnlyAmbient { lacking, grants: list } => {
            !is_root && is_lacking(*lacking) && sets.ambient != 0 && !on_file && grants(list, sets.ambient)
        }
        Reason::NotFromFile { lacking, why, grants: list } => {
            let why = match why {
                FileGaveNone::HasNone => !on_file,
                FileGaveNone::NosuidMount => on_file && kind.file == OwnFile::Nosuid,
                FileGaveNone::OfAnotherNamespace => on_file && kind.file == OwnFile::Foreign,
                FileGaveNone::NotFirstProgram => on_file && kind.file.counts() && kind.no_new_privs,
                // The model's kernel applies what counts.
                FileGaveNone::NotApplied => false,
            };
            !is_root && is_lacking(*lacking) && not_bounding == 0 && why && grants(list, 0)
        }
        Reason::GidNeedsSetgid { gid, grants: list } => {
            kind.groups == Groups::ChangeGid && gid.raw() == 0 && lacks_setgid(kind, sets) && grants(list, 0)
        }
        Reason::GroupsNeedSetgid { groups, grants: list } => {
            kind.groups == Groups::Change && groups.is_empty() && lacks_setgid(kind, sets) && grants(list, 0)
        }
        Reason::NoAmbient(set) => has(Obstacle::NoAmbient(set.bits())),
        Reason::AmbientLocked(set) => {
            kind.has(NO_CAP_AMBIENT_RAISE) && has(Obstacle::NotAvailable(set.bits()))
        }
        Reason::KeepCapsLocked(set) => kind.has(KEEP_CAPS_LOCKED) && has(Obstacle::NotAvailable(set.bits())),
        Reason::RootWouldRegain { more, request, .. } => {
            has(Obstacle::RootRegains(more.bits())) && asked(request, sets)
        }
        Reason::FileWouldRegain { more, request, .. } => {
            has(Obstacle::FileRegains(more.bits())) && asked(request, sets)
        }
        // None of these can come of such settings and files.
        Reason::Setting(_)
        | Reason::BoundingNotRead
        | Reason::TooManyGroups { .. }
        | Reason::UnknownGroups { .. }
        | Reason::UnmappedGroup { .. } => false,
    }
}

fn asked(request: &CapSet, sets: &Sets) -> bool {
    sets.required & !request.bits() == 0 && request.bits() & !(sets.required | sets.optional) == 0
}

fn lacks_setgid(kind: &Kind, sets: &Sets) -> bool {
    kind.needs() & !sets.permitted & SETGID != 0
}

/// What the shim's file carries as far as it can be read.
fn known_on_file(kind: &Kind, sets: &Sets) -> Set {
    if kind.file.is_unknown() { 0 } else { sets.on_file }
}
