//! Other tools beside capshim in the same containers: what they do, and the documents' tables and
//! pictures of it. A change of capshim alone needs none of these tests and none of the tools.

#[expect(dead_code, reason = "the tests of capshim use the rest")]
#[path = "../containers/harness/mod.rs"]
mod harness;
mod identity;
mod inits;
mod options;
mod picture;
mod privileges;
mod same;
mod table;
mod words;

/// What these tests take besides a runtime.
const PROGRAMS: [&str; 10] = [
    "setpriv",
    "capsh",
    "gosu",
    "tini",
    "tini-static",
    "dumb-init",
    "catatonit",
    "newuidmap",
    "/usr/sbin/iptables-legacy",
    "/usr/bin/python3",
];
