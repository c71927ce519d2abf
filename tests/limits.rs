//! Memory and work stay linear in hostile input: counted, not timed.
//!
//! Each test does the same with an input and with one twice as long, and compares what was
//! allocated. A quadratic scan of these sizes would not end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io::{self, BufRead, Read};

use capshim::accounts::entries::Accounts;

use capshim::accounts::environment::{self, Account};
use capshim::accounts::lines::LONGEST_LINE;
use capshim::accounts::resolve;
use capshim::command::search;
use capshim::model::caps::CapSet;
use capshim::model::credentials::{Credentials, Ids, OverflowGid, Securebits};
use capshim::model::error::Refusal;
use capshim::model::ids::{Gid, Id, Uid};
use capshim::plan::groups;
use capshim::settings::Config;

const MEGABYTE: usize = 1 << 20;

thread_local! {
    /// Of this thread, so that tests do not count each other's.
    static COUNTED: Cell<Counted> = const { Cell::new(Counted { live: 0, peak: 0, total: 0 }) };
}

/// Bytes. A thread may free what another allocated, hence the sign.
#[derive(Clone, Copy)]
struct Counted {
    live: isize,
    peak: isize,
    /// Ever allocated: what copying costs.
    total: isize,
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(change: isize) {
    COUNTED.with(|counted| {
        let Counted { live, peak, total } = counted.get();
        let live = live + change;
        counted.set(Counted { live, peak: peak.max(live), total: total + change.max(0) });
    });
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments; counting
// neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As if copied, the worst case: both are there for a moment.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What `run` allocates: the most at one time, and all in all.
fn cost(run: impl FnOnce()) -> [usize; 2] {
    let Counted { live, .. } = COUNTED.get();
    COUNTED.set(Counted { live, peak: live, total: 0 });
    run();
    let Counted { peak, total, .. } = COUNTED.get();
    [peak - live, total].map(|bytes| bytes.try_into().expect("not negative"))
}

/// Twice the input costs about twice as much at most, and no more than `factor` times its size.
fn assert_linear<T>(size: usize, factor: usize, make: impl Fn(usize) -> T, run: impl Fn(&T)) {
    let costs = [size, 2 * size].map(|size| {
        let input = make(size);
        cost(|| run(&input))
    });
    for (once, twice) in costs[0].into_iter().zip(costs[1]) {
        assert!(twice <= once * 22 / 10 + 16 * 1024, "{once} bytes for an input, {twice} for twice as much");
        assert!(once <= factor * size + 16 * 1024, "{once} bytes for an input of {size}");
    }
}

/// Counts what is taken out of it.
struct CountingReader<'a> {
    text: &'a [u8],
    taken: usize,
}

impl Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.text.read(buffer)?;
        self.taken += length;
        Ok(length)
    }
}

impl BufRead for CountingReader<'_> {
    /// As much at a time as a file's reader has.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&self.text[..self.text.len().min(8192)])
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
        self.text.consume(amount);
    }
}

/// The settings as a container would have them.
fn parse(entries: &[&str]) -> Result<Config, Refusal> {
    let entries: Vec<CString> = entries.iter().map(|entry| CString::new(*entry).unwrap()).collect();
    Config::parse(&entries.iter().map(CString::as_c_str).collect::<Vec<_>>())
}

/// Reads both files and checks that no byte was taken twice, and none of the groups left out.
fn read(config: &Config, passwd: &[u8], group: &[u8]) -> Accounts {
    let [mut users, mut groups] = [passwd, group].map(|text| CountingReader { text, taken: 0 });
    let mut accounts = Accounts::users(Uid::ROOT, config.user.as_ref(), &mut users).unwrap();
    accounts.read_groups(config, &mut groups).unwrap();
    assert!(users.taken <= passwd.len());
    assert_eq!(groups.taken, group.len());
    accounts
}

#[test]
fn a_line_of_almost_a_megabyte() {
    let config = parse(&["CAPSHIM_USER=app"]).unwrap();
    let half = LONGEST_LINE as usize / 2 - 64;
    let long_home = |size: usize| [b"app:x:1000:1000::/", &b"h".repeat(size)[..], b":"].concat();
    assert_linear(half, 8, long_home, |passwd| {
        let accounts = read(&config, passwd, b"");
        assert_eq!(accounts.target.unwrap().home.len(), passwd.len() - b"app:x:1000:1000:::".len());
    });
    for byte in [&b"a"[..], b":", b"\0"] {
        assert_linear(
            half,
            8,
            |size| byte.repeat(size),
            |passwd| {
                assert_eq!(read(&config, passwd, b"").target, None);
            },
        );
    }
    // In /etc/group all are members.
    assert_linear(
        half,
        8,
        |size| [b"web:x:80:", &b"app,".repeat(size / 4)[..]].concat(),
        |group| {
            assert_eq!(read(&config, b"app:x:1000:1000", group).of_target.len(), 1);
        },
    );
}

#[test]
fn a_line_or_a_file_without_end_is_given_up_within_bounds() {
    let config = parse(&["CAPSHIM_USER=app"]).unwrap();
    for (line, end) in
        [(&b"\0"[..], io::ErrorKind::InvalidData), (b"x:x:1:1::/:\n", io::ErrorKind::FileTooLarge)]
    {
        let endless = || Endless { line, at: 0 };
        let [peak, _] = cost(|| {
            assert_eq!(Accounts::users(Uid::ROOT, config.user.as_ref(), endless()).unwrap_err().kind(), end);
            assert_eq!(Accounts::default().read_groups(&config, endless()).unwrap_err().kind(), end);
        });
        assert!(peak < 4 * MEGABYTE, "{peak}");
    }
}

/// The same line for ever.
struct Endless<'a> {
    line: &'a [u8],
    at: usize,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Endless<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&self.line[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount) % self.line.len();
    }
}

#[test]
fn a_variable_of_a_megabyte() {
    for (name, part) in [
        ("CAPSHIM_CAPS=ipc_lock", ",net_raw"),
        ("CAPSHIM_CAPS=", "ipc_lock "),
        ("CAPSHIM_CAPS=", "x"),
        ("CAPSHIM_CAPS=", ","),
        ("CAPSHIM_GROUPS=1", ",1"),
        ("CAPSHIM_GROUPS=", "a "),
        ("CAPSHIM_GROUPS=", "9"),
        ("CAPSHIM_USER=", "a"),
        ("CAPSHIM_USER=", "a:"),
        ("CAPSHIM_USER=", "0"),
        ("CAPSHIM_LOG=", "w"),
        ("CAPSHIM_", "A"),
        ("CAPSHIM_", "_PORT_8"),
        ("CAPSHIM_", "_PORT_80_"),
        ("CAPSHIM_", "_SERVICE_"),
        ("OTHER=", "x"),
    ] {
        let make = |size: usize| format!("{name}{}", part.repeat(size / part.len()));
        assert_linear(MEGABYTE / 2, 128, make, |entry| {
            let other =
                if entry.starts_with("CAPSHIM_USER=") { "CAPSHIM_CAPS=none" } else { "CAPSHIM_USER=app" };
            let other = if entry.starts_with("CAPSHIM_CAPS=") { "CAPSHIM_LOG=info" } else { other };
            if let Err(refusal) = parse(&[entry, other]) {
                assert_short(&refusal);
            }
        });
    }
}

#[test]
fn a_hundred_thousand_groups() {
    let line = |number: usize, members: &str| format!("group{number}:x:{}:{members}\n", 1000 + number);
    let file =
        |count: usize, members: &str| (0..count).map(|number| line(number, members)).collect::<String>();
    let names =
        |count: usize| (0..count).map(|number| format!("group{number}")).collect::<Vec<_>>().join(",");
    let gid = Gid::new(1000).unwrap();

    // In the file, with the user and root in each.
    let config = parse(&["CAPSHIM_USER=app"]).unwrap();
    assert_linear(
        50_000,
        256,
        |count| file(count, "root,app"),
        |group| {
            let accounts = read(&config, b"app:x:1000:1000", group.as_bytes());
            let start = start((1000..).map_while(Gid::new).take(accounts.of_target.len()).collect());
            let decided = groups::decide(&config, &start, &accounts, gid, true);
            // The kernel takes 65536.
            match accounts.of_target.len() {
                50_000 => assert_eq!(decided.unwrap().list.len(), 50_000),
                _ => assert_short(&decided.unwrap_err().refusal(&config, &start, &accounts)),
            }
        },
    );

    // In the file and by name in the setting.
    assert_linear(
        50_000,
        1024,
        |count| [file(count, ""), names(count)],
        |[group, names]| {
            let config = parse(&["CAPSHIM_USER=app", &format!("CAPSHIM_GROUPS={names}")]).unwrap();
            let accounts = read(&config, b"app:x:1000:1000", group.as_bytes());
            let start = start(Vec::new());
            let _ = groups::decide(&config, &start, &accounts, gid, true);
            let accounts = read(&config, b"", b"");
            let reason = groups::decide(&config, &start, &accounts, gid, true).unwrap_err();
            assert_short(&reason.refusal(&config, &start, &accounts));
        },
    );
}

#[test]
fn a_path_of_a_megabyte() {
    for part in ["/usr/bin:", ":", "a:", "a"] {
        // Only one candidate is there at a time.
        let make = |size: usize| part.repeat(size / part.len());
        assert_linear(MEGABYTE / 2, 16, make, |path| {
            let entries = path.split(':').filter(|entry| !entry.is_empty()).count();
            assert_eq!(search::candidates(c"sh", path.as_bytes()).count(), entries);
        });
    }
}

#[test]
fn an_environment_of_a_hundred_thousand_entries() {
    let nobody = Account { name: None, home: None };
    let make =
        |count: usize| (0..count).map(|n| CString::new(format!("V{n}=x")).unwrap()).collect::<Vec<_>>();
    assert_linear(50_000, 256, make, |entries| {
        let entries: Vec<&CStr> = entries.iter().map(CString::as_c_str).collect();
        assert_eq!(environment::for_application(&entries, &nobody, &nobody, None).len(), entries.len() + 1);
    });
}

#[test]
fn names_that_are_not_there_are_told_in_short() {
    let long = "n".repeat(MEGABYTE);
    for user in [long.clone(), format!("{long}:web"), format!("1000:{long}")] {
        let config = parse(&[&format!("CAPSHIM_USER={user}")]).unwrap();
        let accounts = read(&config, b"", b"");
        assert_short(&resolve::resolve(config.user.as_ref().unwrap(), &accounts).unwrap_err());
    }
}

/// Fit for a log line, whatever the value was.
fn assert_short(refusal: &Refusal) {
    let message = refusal.to_string();
    assert!(message.len() < 1500, "{} bytes: {}...", message.len(), &message[..200]);
}

/// A container started as root with these groups.
fn start(groups: Vec<Gid>) -> Credentials {
    Credentials {
        uid: Ids::all(Uid::ROOT),
        gid: Ids::all(Gid::ROOT),
        groups,
        permitted: CapSet::EMPTY,
        effective: CapSet::EMPTY,
        inheritable: CapSet::EMPTY,
        ambient: CapSet::EMPTY,
        no_new_privs: false,
        securebits: Securebits::default(),
        has_ambient: true,
        bounding: None,
        own_file: None,
        overflow_gid: OverflowGid::Unknown,
    }
}
