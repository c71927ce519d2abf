//! One start with its settings, as plain data: made at random, printed, made smaller.

use fastrand::Rng;

use crate::world::{self, SHIMS, TARGETS};

/// The capabilities that matter for the steps, and some that do not, on both sides of bit 32.
pub const POOL: [u8; 7] = [6, 7, 8, 10, 13, 14, 40];

/// Supplementary groups that a start may have, by bit.
pub const GROUPS: [u32; 6] = [0, 6, 29, 1000, 2000, 65534];

/// Those that can work are there more than once.
const USERS: [Option<&str>; 24] = [
    None,
    None,
    Some("app"),
    Some("app"),
    Some("app"),
    Some("1000"),
    Some("1000"),
    Some("app:web"),
    Some("app:web"),
    Some("1000:0"),
    Some("4242"),
    Some("4242:4242"),
    Some("4242:4242"),
    Some("other"),
    Some("root"),
    Some("root"),
    Some("0"),
    Some("0:1000"),
    Some("70000:70000"),
    Some("1000:70000"),
    Some("nosuch"),
    Some("toor"),
    Some("4294967296"),
    Some("app:1000"),
];
const GROUP_SETTINGS: [Option<&str>; 12] = [
    None,
    None,
    None,
    Some("auto"),
    Some("keep"),
    Some("none"),
    Some("2000,audio"),
    Some("0"),
    Some("70000,nosuch"),
    Some("auto,2000"),
    Some("keep,29"),
    Some("auto,65534"),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    pub user_namespace: bool,
    /// Real, effective and saved ids.
    pub uid: u32,
    pub gid: u32,
    pub groups: u8,
    pub files: Files,
    /// The sets before the shim is executed.
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
    pub bounding: u64,
    pub securebits: u32,
    pub no_new_privs: bool,
    /// Which of the shim's copies, by its file capabilities, and how it is started.
    pub shim: usize,
    pub by: By,
    pub user: Option<&'static str>,
    pub caps: Option<(u64, u64)>,
    pub group_setting: Option<&'static str>,
    pub no_new_privs_setting: Option<bool>,
    /// With a parent or without, the application is the same.
    pub init: Option<&'static str>,
    /// Which of the payload's copies, and how it is reached.
    pub target: usize,
    pub way: Way,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Plain,
    Nosuid,
    Script,
    ScriptOfScript,
    /// Mode 0711: the program, a script, and a script that is the interpreter of one.
    Closed,
    ClosedScript,
    ClosedInterpreter,
}

impl Way {
    const ALL: [Way; 8] = [
        Way::Plain,
        Way::Plain,
        Way::Nosuid,
        Way::Script,
        Way::ScriptOfScript,
        Way::Closed,
        Way::ClosedScript,
        Way::ClosedInterpreter,
    ];
}

/// What is executed for the shim to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Itself,
    /// A script that names it as its interpreter, or the script of a script.
    Script,
    ScriptOfScript,
}

/// Which of the runtime's /etc/passwd and /etc/group another file hides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Files {
    TheRuntimes,
    PasswdMounted,
    GroupMounted,
    FolderMounted,
    /// By a link that leads to another mount.
    GroupLinked,
}

impl Files {
    pub fn hides_passwd(self) -> bool {
        matches!(self, Files::PasswdMounted | Files::FolderMounted)
    }

    pub fn hides_group(self) -> bool {
        matches!(self, Files::GroupMounted | Files::FolderMounted | Files::GroupLinked)
    }
}

impl Case {
    pub fn random(random: &mut Rng) -> Case {
        let mut set = |often: u8| -> u64 {
            match random.u8(0..8) {
                0 => 0,
                n if n <= often => POOL.iter().map(|cap| 1 << cap).sum(),
                _ => POOL.iter().filter(|_| random.bool()).map(|cap| 1 << cap).sum(),
            }
        };
        let (permitted, bounding, inheritable, ambient) = (set(4), set(4), set(1), set(1));
        let (required, optional) = (set(0), set(0));
        let few =
            |random: &mut Rng, set: u64| if random.u8(0..3) == 0 { set } else { set & (1 << 14 | 1 << 40) };
        let required = few(random, required);
        let optional = if random.u8(0..4) == 0 { few(random, optional) & !required } else { 0 };
        let uid = *random.choice(&[0, 0, 0, 1000, 1000, 4242, 65534]).unwrap_or(&0);
        // A non-root start that works needs its capabilities from the file or from ambient.
        let ambient = if uid != 0 && random.bool() { POOL.iter().map(|cap| 1 << cap).sum() } else { ambient };
        let inheritable = if uid != 0 && random.bool() { inheritable | ambient } else { inheritable };
        Case {
            user_namespace: random.u8(0..4) == 0,
            uid,
            gid: *random.choice(&[0, 0, 0, 500, 1000, 65534]).unwrap_or(&0),
            groups: random.u8(0..1 << GROUPS.len()) & random.u8(0..1 << GROUPS.len()),
            files: match random.u8(0..12) {
                0 => Files::PasswdMounted,
                1 => Files::GroupMounted,
                2 => Files::FolderMounted,
                3 => Files::GroupLinked,
                _ => Files::TheRuntimes,
            },
            permitted,
            inheritable,
            ambient: ambient & permitted & inheritable,
            bounding,
            // One in four starts has some; each bit has a lock beside it.
            securebits: if random.u8(0..4) == 0 { random.u32(0..256) & random.u32(0..256) } else { 0 },
            no_new_privs: random.u8(0..4) == 0,
            shim: if random.bool() { 0 } else { random.usize(0..SHIMS) },
            user: *random.choice(&USERS).unwrap_or(&None),
            caps: (random.u8(0..16) != 0).then_some((required, optional)),
            group_setting: *random.choice(&GROUP_SETTINGS).unwrap_or(&None),
            no_new_privs_setting: *random.choice(&[None, None, Some(true), Some(false)]).unwrap_or(&None),
            init: *random.choice(&[None, Some("1"), Some("group")]).unwrap_or(&None),
            target: if random.bool() { 0 } else { random.usize(0..TARGETS) },
            way: *random.choice(&Way::ALL).unwrap_or(&Way::Plain),
            by: *random
                .choice(&[By::Itself, By::Itself, By::Script, By::ScriptOfScript])
                .unwrap_or(&By::Itself),
        }
    }

    /// The settings, as the environment has them.
    pub fn environment(&self) -> Vec<String> {
        let names = |set: u64, mark: &str| -> Vec<String> {
            (0..41)
                .filter(|cap| set & (1 << cap) != 0)
                .map(|cap| world::NAMES[cap].to_owned() + mark)
                .collect()
        };
        let caps = self.caps.map(|(required, optional)| {
            let list = [names(required, ""), names(optional, "?")].concat().join(",");
            if list.is_empty() { "none".to_owned() } else { list }
        });
        let settings = [
            ("CAPSHIM_USER", self.user.map(str::to_owned)),
            ("CAPSHIM_CAPS", caps),
            ("CAPSHIM_GROUPS", self.group_setting.map(str::to_owned)),
            ("CAPSHIM_NO_NEW_PRIVS", self.no_new_privs_setting.map(|on| u8::from(on).to_string())),
            ("CAPSHIM_INIT", self.init.map(str::to_owned)),
            ("CAPSHIM_LOG", Some("quiet".to_owned())),
        ];
        settings.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect()
    }

    /// The inherited groups, sorted.
    pub fn group_list(&self) -> Vec<u32> {
        let chosen = GROUPS.iter().enumerate().filter(|(bit, _)| self.groups & (1 << bit) != 0);
        chosen.map(|(_, gid)| *gid).collect()
    }

    /// The simplest case found that still differs.
    pub fn shrunk(self, differs: impl Fn(&Case) -> bool) -> Case {
        let mut case = self;
        loop {
            let simpler = case.simpler().into_iter().find(|simpler| *simpler != case && differs(simpler));
            match simpler {
                Some(simpler) => case = simpler,
                None => return case,
            }
        }
    }

    /// The case with one thing less, in each way that there is.
    fn simpler(&self) -> Vec<Case> {
        let case = *self;
        let mut all = vec![
            Case { user_namespace: false, ..case },
            Case { uid: 0, ..case },
            Case { gid: 0, ..case },
            Case { files: Files::TheRuntimes, ..case },
            Case { no_new_privs: false, ..case },
            Case { shim: 0, ..case },
            Case { user: Some("1000:1000"), ..case },
            Case { group_setting: None, ..case },
            Case { no_new_privs_setting: None, ..case },
            Case { init: None, ..case },
            Case { target: 0, ..case },
            Case { way: Way::Plain, ..case },
            Case { by: By::Itself, ..case },
            Case { caps: Some((0, 0)), ..case },
        ];
        all.extend((0..8).map(|bit| Case { groups: case.groups & !(1 << bit), ..case }));
        all.extend((0..8).map(|bit| Case { securebits: case.securebits & !(1 << bit), ..case }));
        for cap in POOL.map(|cap| 1u64 << cap) {
            let caps = case.caps.map(|(required, optional)| (required & !cap, optional & !cap));
            all.extend([
                Case { ambient: case.ambient & !cap, ..case },
                Case { ambient: case.ambient & !cap, inheritable: case.inheritable & !cap, ..case },
                Case { ambient: case.ambient & !cap, permitted: case.permitted & !cap, ..case },
                Case { bounding: case.bounding & !cap, ..case },
                Case { caps, ..case },
            ]);
        }
        all
    }
}
