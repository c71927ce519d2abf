//! The few facts that a run needs from /etc/passwd and /etc/group (passwd(5), group(5)).
//!
//! Pure: it reads each text once, line by line, and keeps nothing else. It is strict with a line that grants
//! something, and lenient with a line that takes something away.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Read};

use crate::accounts::lines::{
    User, each_line, has_nul, lenient_group, members_of, parse_group, parse_user, root_to_a_runtime,
};
use crate::model::ids::{Gid, Uid};
use crate::settings::Config;
use crate::settings::groups::Inherited;
use crate::settings::user::{Ref, UserSpec};

/// What the two files say about this run. Missing entries are `None` or empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Accounts {
    /// The user that started the container.
    pub start: Option<User>,
    /// The user of `CAPSHIM_USER`; without that setting, the starting user.
    pub target: Option<User>,
    /// The groups that settings name, with their gid if they exist.
    named: Vec<(String, Option<Gid>)>,
    /// The groups in /etc/group that have the target user as a member.
    pub of_target: Vec<Gid>,
    /// The names of users that a runtime may have taken for root. This list and the next ones are sorted.
    roots: Vec<Vec<u8>>,
    /// The groups of either file that a runtime may have given to root.
    of_root: Vec<Gid>,
    /// The groups that have any member.
    with_members: Vec<Gid>,
    /// Why a file does not tell which groups the runtime gave to root.
    pub doubts: Doubts,
}

/// A doubt about each of the two files, if any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Doubts {
    pub passwd: Option<Doubt>,
    pub group: Option<Doubt>,
}

impl Doubts {
    pub fn by_file(self) -> impl Iterator<Item = (&'static str, Doubt)> {
        let doubts = [("/etc/group", self.group), ("/etc/passwd", self.passwd)];
        doubts.into_iter().filter_map(|(file, doubt)| Some((file, doubt?)))
    }
}

/// Why a file may differ from the one that the runtime read before it started this container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// The file, or a folder on the way to it, is a mount of its own.
    Mounted,
    NotRead,
    /// The kernel has no openat2(2), and /proc is not mounted.
    CannotTell,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Doubt::Mounted => "is a mount, and the runtime may have read the file beneath it",
            Doubt::NotRead => "could not be read",
            Doubt::CannotTell => "may be a mount, which neither openat2 nor /proc tells here",
        })
    }
}

/// Whether an inherited group is root's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A runtime may have given it to root, and so to this process.
    Roots,
    /// The runtime added it for this container.
    Added,
    Unknown,
}

impl Accounts {
    /// Reads /etc/passwd: the entries of the starting user and of the target. As in libc, the first matching
    /// line counts.
    pub fn users(uid: Uid, spec: Option<&UserSpec>, mut passwd: impl Read) -> io::Result<Accounts> {
        let mut accounts = Accounts { roots: vec![b"root".to_vec()], ..Accounts::default() };
        let own = Ref::Id(uid);
        let wanted = spec.map_or(&own, |spec| &spec.user);
        each_line(&mut passwd, &mut |line| {
            let user = parse_user(line);
            // What is plainly another user's is no runtime's root.
            let may_be_root = user.as_ref().is_none_or(|user| user.uid == Uid::ROOT);
            if let Some((name, gid)) = may_be_root.then(|| root_to_a_runtime(line)).flatten() {
                accounts.roots.push(name.to_vec());
                accounts.of_root.extend(gid);
            }
            let Some(user) = user else { return };
            let is_target = match wanted {
                Ref::Id(id) => user.uid == *id,
                Ref::Name(name) => user.name == name.as_bytes(),
            };
            let is_start = user.uid == uid;
            if !(is_target || is_start) || has_nul(line) {
                return;
            }
            if is_target && accounts.target.is_none() {
                accounts.target = Some(user.to_owned());
            }
            if is_start && accounts.start.is_none() {
                accounts.start = Some(user.to_owned());
            }
        })?;
        sort(&mut accounts.roots);
        sort(&mut accounts.of_root);
        Ok(accounts)
    }

    /// The same if there is no file to read.
    pub fn without_passwd() -> Accounts {
        let doubts = Doubts { passwd: Some(Doubt::NotRead), group: None };
        Accounts { roots: vec![b"root".to_vec()], doubts, ..Accounts::default() }
    }

    /// Reads /etc/group: the groups that settings name, and their members.
    pub fn read_groups(&mut self, config: &Config, mut group: impl Read) -> io::Result<()> {
        let Accounts { named, of_target, roots, of_root, with_members, .. } = self;
        let target = self.target.as_ref().map(|user| user.name.as_slice());
        named.extend(names(config).map(|name| (name.to_owned(), None)));
        sort(named);
        let is_root = |name: &[u8]| roots.binary_search_by(|root| root.as_slice().cmp(name)).is_ok();
        let read = each_line(&mut group, &mut |line| {
            let group = parse_group(line);
            // A runtime reads a plain entry the same way.
            let plain = group.map(|(_, gid, members)| (gid, members));
            if let Some((gid, members)) = plain.or_else(|| lenient_group(line)) {
                if members_of(members).any(is_root) {
                    of_root.push(gid);
                }
                if self.doubts.passwd.is_some() && members_of(members).any(|name| !name.is_empty()) {
                    with_members.push(gid);
                }
            }
            let Some((name, gid, members)) = group else { return };
            if let Ok(place) = named.binary_search_by(|(named, _)| named.as_bytes().cmp(name)) {
                named[place].1.get_or_insert(gid);
            }
            if target.is_some_and(|target| members.split(|&byte| byte == b',').any(|member| member == target))
            {
                of_target.push(gid);
            }
        });
        sort(of_root);
        sort(with_members);
        read
    }

    /// Whether /etc/group matters: capshim chooses groups, or a setting names one.
    pub fn reads_groups(config: &Config, start: Uid) -> bool {
        start == Uid::ROOT || names(config).next().is_some()
    }

    /// Whether a start needs /etc/passwd. A name needs it, and so does a uid without a gid. A non-root start
    /// keeps its ids and does not need it.
    pub fn needs_passwd(config: &Config, start: Uid) -> bool {
        let named = |spec: &UserSpec| matches!(spec.user, Ref::Name(_)) || spec.group.is_none();
        start == Uid::ROOT && config.user.as_ref().is_some_and(|spec| !spec.is_root() && named(spec))
    }

    /// Whether a start needs /etc/group. Without it, it is unknown which groups are root's.
    pub fn needs_group(&self, config: &Config, start: Uid) -> bool {
        let is_name = |group: &Ref<Gid>| matches!(group, Ref::Name(_));
        let user = config.user.as_ref().filter(|_| start == Uid::ROOT);
        let names_one = user.is_some_and(|spec| spec.group.as_ref().is_some_and(is_name));
        let is_member = user.is_some_and(|spec| spec.group.is_none() && !spec.is_root())
            && config.groups.inherited == Inherited::Auto
            && self.target.is_some();
        config.groups.listed.iter().any(is_name) || names_one || is_member
    }

    /// Whether an inherited group is root's own, as far as the two files tell.
    pub fn standing(&self, gid: Gid) -> Standing {
        if gid == Gid::ROOT {
            Standing::Roots
        } else if self.doubts.group.is_some() {
            Standing::Unknown
        } else if self.of_root.binary_search(&gid).is_ok() {
            Standing::Roots
        } else if self.with_members.binary_search(&gid).is_ok() {
            // Any of its members may be a name that the runtime took for root.
            Standing::Unknown
        } else {
            Standing::Added
        }
    }

    /// The gid of a group that a setting names.
    pub fn group(&self, name: &str) -> Option<Gid> {
        let place = self.named.binary_search_by(|(named, _)| named.as_str().cmp(name)).ok()?;
        self.named[place].1
    }
}

fn sort<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

/// The group names in the settings.
fn names(config: &Config) -> impl Iterator<Item = &str> {
    let written = config.user.iter().filter_map(|spec| spec.group.as_ref());
    written.chain(&config.groups.listed).filter_map(|group| match group {
        Ref::Name(name) => Some(name.as_str()),
        Ref::Id(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::ffi::CString;

    use crate::model::ids::Id;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nbad:x:abc:5::/evil:\n\n#app:x:1:1::/:\nneg:x:-1:1::/:\n\
        octal:x:010:1::/:\nmax:x:4294967295:1::/:\nbig:x:4294967296:1::/:\nshort:x:7\napp:x:1000:1001:,,,:/home/app:/bin/sh\n\
        app:x:2000:2000::/second:\n:x:3000:3000::/:\ntoor:x:0:0::/:\nfour:x:44:45\nnul\0:x:46:46::/:\nlast:x:47:48::/last:";

    fn id<T: Id>(raw: u32) -> T {
        T::new(raw).unwrap()
    }

    fn lookup(spec: &str) -> Option<User> {
        Accounts::users(Uid::ROOT, Some(&spec.parse().unwrap()), PASSWD).unwrap().target
    }

    #[test]
    fn the_first_line_of_a_name_or_uid_counts() {
        let app = User { name: b"app".to_vec(), uid: id(1000), gid: id(1001), home: b"/home/app".to_vec() };
        assert_eq!(lookup("app"), Some(app.clone()));
        assert_eq!(lookup("1000"), Some(app));
        assert_eq!(lookup("0").unwrap().name, b"root");
        assert_eq!(lookup("toor").unwrap().uid, Uid::ROOT);
        let start = Accounts::users(Uid::ROOT, None, PASSWD).unwrap().start;
        assert_eq!(start, lookup("root"));
    }

    #[test]
    fn a_line_without_plain_ids_is_no_entry() {
        for name in ["bad", "neg", "octal", "max", "big", "short", "#app", "nul", "3000", "46"] {
            assert_eq!(lookup(name), None, "{name}");
        }
    }

    #[test]
    fn a_short_line_and_a_last_line_without_newline_are_entries() {
        assert_eq!(lookup("four").unwrap().home, b"/");
        assert_eq!(lookup("last").unwrap().home, b"/last");
    }

    #[test]
    fn groups_are_named_and_members_counted() {
        let config = Config {
            user: Some("app:web".parse().unwrap()),
            groups: "audio,10,nosuch".parse().unwrap(),
            ..Config::parse(&[c"CAPSHIM_USER=app"]).unwrap()
        };
        let group: &[u8] = b"root:x:0:root\nwheel:x:10:root,app\nbad:x:abc:app\nweb:x:80:\nweb:x:81:\naudio:x:29:apple,app\ndisk:x:6:root,adm\n";
        let mut accounts = Accounts::users(Uid::ROOT, config.user.as_ref(), PASSWD).unwrap();
        accounts.read_groups(&config, group).unwrap();
        assert_eq!(accounts.group("web"), Some(id(80)));
        assert_eq!(accounts.group("audio"), Some(id(29)));
        assert_eq!(accounts.group("nosuch"), None);
        assert_eq!(accounts.of_target, [id(10), id(29)]);
        // 1 and 5 are the gids of lines that a runtime may read as root's.
        assert_eq!(accounts.of_root, [id(0), id(1), id(5), id(6), id(10)]);
    }

    #[test]
    fn a_file_is_read_and_needed_only_where_something_depends_on_it() {
        let app = Uid::new(1000).unwrap();
        // user and groups as set; for a start as root: passwd is needed, group is needed without and with an
        // entry of the target; for another start: group is read, which then is needed for its name.
        for (user, groups, passwd, group, with_entry, by_name) in [
            ("app", "auto", true, false, true, false),
            ("1000", "auto", true, false, true, false),
            ("1000:1000", "auto", false, false, false, false),
            ("app:1000", "auto", true, false, false, false),
            ("1000:web", "auto", false, true, true, true),
            ("1000:1000", "auto,web", false, true, true, true),
            ("app", "keep", true, false, false, false),
            ("app", "10", true, false, false, false),
            ("root", "auto", false, false, false, false),
            ("root:root", "auto", false, true, true, true),
        ] {
            let settings = [format!("CAPSHIM_USER={user}"), format!("CAPSHIM_GROUPS={groups}")];
            let settings = settings.map(|entry| CString::new(entry).unwrap());
            let config = Config::parse(&[&settings[0], &settings[1]]).unwrap();
            let none = Accounts::default();
            let entry = Accounts { target: lookup("app"), ..Accounts::default() };
            let root = (
                Accounts::needs_passwd(&config, Uid::ROOT),
                none.needs_group(&config, Uid::ROOT),
                entry.needs_group(&config, Uid::ROOT),
            );
            assert_eq!(root, (passwd, group, with_entry), "{user} {groups}");
            assert!(Accounts::reads_groups(&config, Uid::ROOT) && !Accounts::needs_passwd(&config, app));
            assert_eq!(Accounts::reads_groups(&config, app), by_name, "{user} {groups}");
            assert_eq!(entry.needs_group(&config, app), groups == "auto,web", "{user} {groups}");
        }
        let config = Config::parse(&[c"CAPSHIM_CAPS=none"]).unwrap();
        assert!(!Accounts::needs_passwd(&config, Uid::ROOT) && !Accounts::reads_groups(&config, app));
    }

    #[test]
    fn without_passwd_root_is_known_by_its_name_and_any_member_may_be_another_root() {
        let config = Config::parse(&[c"CAPSHIM_USER=1000:1000"]).unwrap();
        let mut accounts = Accounts::without_passwd();
        accounts.read_groups(&config, &b"disk:x:6:root\nwheel:x:10:admin\naudio:x:29:\n"[..]).unwrap();
        let standing = [6, 10, 29].map(|gid| accounts.standing(id(gid)));
        assert_eq!(standing, [Standing::Roots, Standing::Unknown, Standing::Added]);
        accounts.doubts.group = Some(Doubt::Mounted);
        assert_eq!(accounts.standing(id(29)), Standing::Unknown);
        let doubts: Vec<_> = accounts.doubts.by_file().collect();
        assert_eq!(doubts, [("/etc/group", Doubt::Mounted), ("/etc/passwd", Doubt::NotRead)]);
    }

    #[test]
    fn what_a_runtime_may_read_as_roots_is_recognised_as_roots() {
        let config = Config::parse(&[c"CAPSHIM_USER=1000:1000"]).unwrap();
        let of_root = |passwd: &str, group: &str| {
            let mut accounts = Accounts::users(Uid::ROOT, config.user.as_ref(), passwd.as_bytes()).unwrap();
            accounts.read_groups(&config, group.as_bytes()).unwrap();
            accounts.of_root.iter().map(|gid| gid.raw()).collect::<Vec<_>>()
        };
        for group in [
            "disk:x:6:root\r\n",
            "  disk:x:6:root",
            "disk:x:06:root",
            "disk:x:+6:root",
            "-disk:x:6:root",
            "#disk:x:6:root",
            "disk:x:6: root ,adm",
            "disk:x:4294967302:root",
        ] {
            assert_eq!(of_root("", group), [6], "{group:?}");
        }
        for passwd in ["toor:x:0:0::/:", "bad:x:abc:0::/evil:", "toor:x:00:0::/:", "toor", "-toor:x:0:0::/:"]
        {
            let group = format!("disk:x:6:{}", passwd.split(':').next().unwrap());
            assert!(of_root(passwd, &group).contains(&6), "{passwd:?}");
        }
        assert_eq!(of_root("root:x:0:6::/root:", ""), [6]);
        assert_eq!(of_root("app:x:1000:1000::/:", "app:x:1000:app"), Vec::<u32>::new());
    }
}
