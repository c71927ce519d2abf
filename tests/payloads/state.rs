//! Prints the credentials of the process that it is, by name.
//!
//!     state [credentials | process | session | arguments | environment]... [-- ARG...]
//!
//! It shares no code with capshim, so that it can bear witness.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::unistd::{getgroups, getresgid, getresuid};

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // From a path on they are the kernel's own, where a script names this program.
    let words = arguments.iter().map_while(|word| word.to_str());
    let mut sections: Vec<&str> = words.take_while(|word| *word != "--" && !word.starts_with('/')).collect();
    if sections.is_empty() {
        sections.push("credentials");
    }
    for section in sections {
        match section {
            "credentials" => credentials(),
            "process" => process(),
            "session" => session(),
            "arguments" => arguments.iter().for_each(|word| println!("{}", word.as_bytes().escape_ascii())),
            "environment" => environment(),
            unknown => panic!("unknown section {unknown}"),
        }
    }
}

pub fn credentials() {
    let uid = getresuid().expect("getresuid");
    let gid = getresgid().expect("getresgid");
    let mut groups: Vec<u32> = getgroups().expect("getgroups").iter().map(|gid| gid.as_raw()).collect();
    groups.sort_unstable();
    println!("uid:          {}", three(uid.real.as_raw(), uid.effective.as_raw(), uid.saved.as_raw()));
    println!("gid:          {}", three(gid.real.as_raw(), gid.effective.as_raw(), gid.saved.as_raw()));
    println!("groups:       {}", list(groups.iter().map(u32::to_string).collect()));
    for (name, set) in [
        ("inheritable", CapSet::Inheritable),
        ("permitted", CapSet::Permitted),
        ("effective", CapSet::Effective),
        ("bounding", CapSet::Bounding),
        ("ambient", CapSet::Ambient),
    ] {
        // A kernel without the ambient set (gVisor's) has nothing in it.
        let held = match caps::read(None, set) {
            Err(_) if matches!(set, CapSet::Ambient) && Errno::last() == Errno::EINVAL => Default::default(),
            held => held.expect("a capability set"),
        };
        let mut set: Vec<Capability> = held.into_iter().collect();
        set.sort_by_key(Capability::index);
        let names = set.iter().map(|cap| cap.to_string().replace("CAP_", "")).collect();
        println!("{:<13} {}", format!("{name}:"), list(names));
    }
    println!("no_new_privs: {}", on(nix::sys::prctl::get_no_new_privs().expect("PR_GET_NO_NEW_PRIVS")));
}

fn process() {
    let mut descriptors: Vec<String> = fs::read_dir("/proc/self/fd")
        .expect("/proc/self/fd")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok().map(|to| to.display().to_string()))
        .filter(|to| !to.ends_with("/fd"))
        .map(|to| to.split(':').next().unwrap_or_default().to_owned())
        .collect();
    descriptors.sort();
    let processes = fs::read_dir("/proc").expect("/proc").filter(|entry| {
        entry.as_ref().is_ok_and(|e| e.file_name().as_bytes().iter().all(u8::is_ascii_digit))
    });
    let task = fs::read_dir("/proc/self/task").expect("/proc/self/task");
    println!("pid:          {}", std::process::id());
    println!("processes:    {}", processes.count());
    println!("threads:      {}", task.count());
    println!("cwd:          {}", std::env::current_dir().expect("cwd").display());
    println!("descriptors:  {}", list(descriptors));
    println!("dumpable:     {}", on(nix::sys::prctl::get_dumpable().expect("PR_GET_DUMPABLE")));
    println!("at_secure:    {}", on(at_secure()));
}

fn session() {
    let mut signal = 0;
    // SAFETY: writes one number.
    Errno::result(unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &mut signal) }).expect("PR_GET_PDEATHSIG");
    println!("death_signal: {signal}");
    println!("session_key:  {}", session_key().unwrap_or_else(|errno| format!("{errno:?}")));
}

/// What the key `capshim` of the session keyring holds (keyctl(2)).
fn session_key() -> Result<String, Errno> {
    const SEARCH: i32 = 10;
    const READ: i32 = 11;
    const SESSION_KEYRING: i32 = -3;
    let mut content = [0u8; 64];
    // SAFETY: the first call reads strings that end in NUL, and the second writes no more than is there.
    let length = unsafe {
        let (kind, name) = (c"user".as_ptr(), c"capshim".as_ptr());
        let key = Errno::result(libc::syscall(libc::SYS_keyctl, SEARCH, SESSION_KEYRING, kind, name, 0))?;
        Errno::result(libc::syscall(libc::SYS_keyctl, READ, key, content.as_mut_ptr(), content.len()))?
    };
    Ok(String::from_utf8_lossy(&content[..length as usize]).into_owned())
}

fn environment() {
    for (name, value) in std::env::vars_os() {
        println!("{}={}", name.as_bytes().escape_ascii(), value.as_bytes().escape_ascii());
    }
}

/// The kernel's word to libc that this process gained privileges at exec (getauxval(3)).
fn at_secure() -> bool {
    // SAFETY: takes and returns numbers.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

fn three(real: u32, effective: u32, saved: u32) -> String {
    if real == effective && effective == saved {
        real.to_string()
    } else {
        format!("{real}/{effective}/{saved}")
    }
}

fn list(words: Vec<String>) -> String {
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

fn on(is: bool) -> &'static str {
    if is { "on" } else { "off" }
}
