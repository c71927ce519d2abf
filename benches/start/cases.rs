//! What is measured: the programs, their command lines, and how each is started.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use capshim::model::caps::{self, Cap};

use crate::calls::Trace;
use crate::folder::{Folder, LARGE_MEGABYTES, LINES, MANY_LINES, ROOT, USER};

/// One program in one situation.
pub struct Case {
    pub name: String,
    /// Its place among the cases: the same start without a program before the application.
    pub base: usize,
    pub argv: Vec<CString>,
    pub environment: Vec<CString>,
    pub start: Start,
    /// The uid that the application has.
    pub becomes: u32,
    /// It stays beside the application.
    pub stays: bool,
    pub part: Part,
    /// The place of the start by capshim whose calls this program makes.
    pub calls_of: Option<usize>,
}

/// Where a case is reported.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The programs beside each other.
    Programs,
    /// What the time may depend on: so much of this.
    Growth(&'static str, usize),
}

/// What a runtime gives to a container's first process.
#[derive(Clone)]
pub struct Start {
    pub passwd: PathBuf,
    pub group: PathBuf,
    /// Permitted and effective for root, and the bounding set.
    pub granted: Vec<Cap>,
    pub uid: u32,
}

const KIBIBYTES: [usize; 3] = [256, 512, 1024];
/// Docker's default.
const DEFAULT: [Cap; 14] = [
    Cap::CAP_CHOWN,
    Cap::CAP_DAC_OVERRIDE,
    Cap::CAP_FOWNER,
    Cap::CAP_FSETID,
    Cap::CAP_KILL,
    Cap::CAP_SETGID,
    Cap::CAP_SETUID,
    Cap::CAP_SETPCAP,
    Cap::CAP_NET_BIND_SERVICE,
    Cap::CAP_NET_RAW,
    Cap::CAP_SYS_CHROOT,
    Cap::CAP_MKNOD,
    Cap::CAP_AUDIT_WRITE,
    Cap::CAP_SETFCAP,
];
/// What an application may ask for; SYS_RESOURCE is left out, which not every root holds.
const ASKED: [Cap; 20] = [
    Cap::CAP_IPC_LOCK,
    Cap::CAP_NET_BIND_SERVICE,
    Cap::CAP_NET_ADMIN,
    Cap::CAP_NET_RAW,
    Cap::CAP_SYS_NICE,
    Cap::CAP_CHOWN,
    Cap::CAP_DAC_OVERRIDE,
    Cap::CAP_FOWNER,
    Cap::CAP_FSETID,
    Cap::CAP_KILL,
    Cap::CAP_LINUX_IMMUTABLE,
    Cap::CAP_NET_BROADCAST,
    Cap::CAP_IPC_OWNER,
    Cap::CAP_SYS_CHROOT,
    Cap::CAP_SYS_PTRACE,
    Cap::CAP_SYS_ADMIN,
    Cap::CAP_SYS_TIME,
    Cap::CAP_MKNOD,
    Cap::CAP_LEASE,
    Cap::CAP_AUDIT_WRITE,
];

pub fn all(folder: &Folder, beside: &[PathBuf]) -> Vec<Case> {
    let list = List { folder, cases: Vec::new() };
    list.programs(beside).growth().cases
}

struct List<'a> {
    folder: &'a Folder,
    cases: Vec<Case>,
}

impl List<'_> {
    fn programs(mut self, beside: &[PathBuf]) -> Self {
        let lock = "--inh-caps=-all,+ipc_lock --ambient-caps=-all,+ipc_lock";
        self.add(ROOT, "the command itself", "");
        self.add(ROOT, "exec alone in C", "@exec_only");
        self.add(USER, "su-exec's calls in C", "@su_exec app");
        self.add(USER, "capshim", "@capshim");
        self.own_calls("@own_calls root");
        self.add(USER, "su-exec's calls in C, uid:gid", "@su_exec 1000:1000");
        self.add(USER, "capshim, uid:gid", "@capshim").set("CAPSHIM_USER", "1000:1000");
        for (index, file) in beside.iter().enumerate() {
            self.folder.import(&format!("beside-{index}"), file);
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            self.add(USER, &format!("capshim, {name}"), &format!("@beside-{index}"));
        }
        for count in [5, 20] {
            self.add(USER, &format!("capshim, {count} capabilities"), "@capshim").ask(&ASKED[..count]);
        }
        let case = self.add(USER, "capshim, Docker's default grants", "@capshim");
        case.ask(&[Cap::CAP_NET_BIND_SERVICE]).start.granted = DEFAULT.to_vec();
        let folder = self.folder;
        let case = self.add(USER, "capshim, non-root start", "@capshim");
        case.start.uid = USER;
        case.start.granted = vec![Cap::CAP_IPC_LOCK];
        folder.make_capable(case.program());
        folder.make_capable(self.own_calls("@own_calls user").program());
        let case = self.add(USER, "capshim, init mode", "@capshim");
        case.set("CAPSHIM_INIT", "1");
        case.stays = true;
        self.own_calls("@own_calls init");
        let setpriv = format!("setpriv --reuid=app --regid=app --init-groups {lock} --no-new-privs");
        self.add(USER, "setpriv", &setpriv);
        let capsh = "capsh --keep=1 --user=app --inh=cap_ipc_lock --addamb=cap_ipc_lock --no-new-privs";
        // Its shell is what it executes.
        self.add(USER, "capsh", &format!("{capsh} --shell=@nothing --")).argv.pop();
        self.add(USER, "gosu", "gosu app");
        for (name, line) in
            [("tini", "tini -s --"), ("dumb-init", "dumb-init --"), ("catatonit", "catatonit --")]
        {
            self.add(ROOT, name, line).stays = true;
        }
        self
    }

    fn growth(mut self) -> Self {
        for lines in MANY_LINES {
            let passwd = self.folder.path(&format!("passwd-{lines}"));
            for (name, line) in [("capshim", "@capshim"), ("su-exec's calls", "@su_exec app")] {
                let case = self.add(USER, name, line);
                case.part = Part::Growth("lines of /etc/passwd", lines);
                case.start.passwd = passwd.clone();
            }
        }
        for kibibytes in KIBIBYTES {
            // Entries of 64 bytes, the NUL byte included.
            let entry = |n: usize| c_string(format!("VARIABLE_{n:06}={}", "v".repeat(47)));
            let base = self.cases.len();
            for (uid, name, line) in
                [(ROOT, "", ""), (USER, "capshim", "@capshim"), (ROOT, "exec alone", "@exec_only")]
            {
                let case = self.add(uid, name, line);
                case.environment.extend((0..kibibytes * 16).map(entry));
                (case.base, case.part) = (base, Part::Growth("KiB of environment", kibibytes));
            }
        }
        let (base, large) = (self.cases.len(), self.folder.path("large").display().to_string());
        for (uid, name, line) in [(ROOT, "", ""), (USER, "capshim", "@capshim")] {
            let case = self.add(uid, name, line);
            case.argv.pop();
            case.argv.push(c_string(large.clone()));
            (case.base, case.part) = (base, Part::Growth("MB of the application's file", LARGE_MEGABYTES));
        }
        self
    }

    /// The calls of the last case, made by this command line, which starts alike.
    fn own_calls(&mut self, line: &str) -> &Case {
        let place = self.cases.len() - 1;
        let Case { name, start, environment, .. } = &self.cases[place];
        let (name, start, environment) =
            (format!("{name}: its calls in C"), start.clone(), environment.clone());
        let case = self.add(USER, &name, line);
        (case.start, case.environment, case.calls_of) = (start, environment, Some(place));
        case
    }

    /// This command line before the application, where @ stands for the folder. The case gets its own copy of
    /// the program: a shared file would still be in the processor's caches from the case before.
    fn add(&mut self, becomes: u32, name: &str, line: &str) -> &mut Case {
        let folder = self.folder;
        let words = line.split_whitespace().chain(["@nothing"]).enumerate().map(|(place, word)| {
            match word.split_once('@') {
                Some((_, file)) if place == 0 && file != "nothing" => folder.copy(file, self.cases.len()),
                Some((before, file)) => format!("{before}{}", folder.path(file).display()),
                None => word.to_owned(),
            }
        });
        let mut argv: Vec<String> = words.collect();
        if !argv[0].starts_with('/') {
            argv[0] = find(&argv[0]);
        }
        let case = Case {
            name: name.to_owned(),
            base: 0,
            argv: argv.into_iter().map(c_string).collect(),
            environment: [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOSTNAME=bench",
                "HOME=/root",
            ]
            .map(|entry| c_string(entry.to_owned()))
            .to_vec(),
            start: Start {
                passwd: self.folder.path(&format!("passwd-{LINES}")),
                group: self.folder.path("group"),
                granted: Vec::new(),
                uid: 0,
            },
            becomes,
            stays: false,
            part: Part::Programs,
            calls_of: None,
        };
        self.cases.push(case);
        let case = self.cases.last_mut().expect("the case");
        case.set("CAPSHIM_USER", "app");
        case.ask(&[Cap::CAP_IPC_LOCK])
    }
}

impl Case {
    /// Grants these and asks capshim for them.
    fn ask(&mut self, caps: &[Cap]) -> &mut Case {
        self.start.granted = [caps, &[Cap::CAP_SETGID, Cap::CAP_SETUID]].concat();
        let names: Vec<String> = caps.iter().map(|cap| caps::name(*cap as u8)).collect();
        self.set("CAPSHIM_CAPS", &names.join(","));
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        let entry = format!("{name}=");
        self.environment.retain(|other| !other.to_bytes().starts_with(entry.as_bytes()));
        self.environment.push(c_string(entry + value));
    }

    pub fn program(&self) -> &str {
        self.argv[0].to_str().expect("text")
    }

    /// The application's path, as it is executed.
    pub fn application(&self) -> &str {
        let word = self.argv.iter().rev().find_map(|word| word.to_str().ok()?.strip_prefix("--shell="));
        word.unwrap_or_else(|| self.argv[self.argv.len() - 1].to_str().expect("text"))
    }
}

/// Where a program makes other calls than the start by capshim that it stands for.
pub fn other_calls(cases: &[Case], traces: &[Trace]) -> Option<String> {
    cases.iter().zip(traces).find_map(|(case, trace)| {
        let difference = traces[case.calls_of?].difference(trace)?;
        Some(format!("{}: {difference}", cases[case.calls_of?].name))
    })
}

fn find(name: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let found =
        path.split(':').map(|folder| format!("{folder}/{name}")).find(|file| Path::new(file).exists());
    found.unwrap_or_else(|| panic!("no {name}: scripts/bench installs it"))
}

fn c_string(text: String) -> CString {
    CString::new(text).expect("no NUL byte")
}
