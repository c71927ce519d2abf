//! `--install` where others may write the directory and put a file of their own in the copy's
//! place: it is never said to be installed over that.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::harness::container::find;
use crate::harness::container::output::lines;
use crate::harness::install::{INSTALL, SAID, init};
use crate::harness::live::kill;
use crate::harness::race::{crowded, outrun, placed};
use crate::harness::volume::Volume;

/// User 1000, who puts a file in the place of each of root's, and says when: before and after.
const RACER: &str = "
import os, sys, time
folder = sys.argv[1]
path, mine = folder + '/capshim', folder + '/mine'
os.setgroups([]); os.setgid(1000); os.setuid(1000)
def make():
    with open(mine, 'w') as file:
        file.write('#!/bin/sh\\n')
make()
print('ready', flush=True)
while True:
    try:
        roots = os.lstat(path).st_uid == 0
    except FileNotFoundError:
        continue
    if roots:
        before = time.time_ns()
        os.rename(mine, path)
        print(before, time.time_ns(), flush=True)
        make()
";

struct Racer {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Racer {
    fn start(volume: &Volume) -> Racer {
        let mut python = Command::new("python3");
        let mut process =
            python.args(["-c", RACER]).arg(volume.folder()).stdout(Stdio::piped()).spawn().expect("python3");
        let mut said = BufReader::new(process.stdout.take().expect("a pipe"));
        said.read_line(&mut String::new()).expect("a line");
        Racer { process, said }
    }

    /// When it began and had ended each exchange, in nanoseconds.
    fn end(mut self) -> Vec<(u128, u128)> {
        kill(self.process.id() as i32, libc::SIGKILL);
        self.process.wait().expect("python3");
        let lines = self.said.lines().map(|line| line.expect("text"));
        let times = lines.map(|line| {
            let (before, after) = line.split_once(' ').expect("two times");
            (before.parse().expect("a number"), after.parse().expect("a number"))
        });
        times.collect()
    }
}

/// When the copy was in its place, and when it was looked at again, in nanoseconds.
fn times(log: &str) -> (u128, u128) {
    let nanoseconds = |seconds: &str| -> u128 {
        let (seconds, fraction) = seconds.split_once('.').expect("a fraction");
        format!("{seconds}{fraction:0<9}").parse().expect("a number")
    };
    let begun = |line: &str| nanoseconds(line.split(' ').next().expect("a time"));
    let took = |line: &str| nanoseconds(line.rsplit(['<', '>']).nth(1).expect("a time"));
    let mut calls = log.lines().skip_while(|line| !line.contains(" rename"));
    let rename = calls.next().expect("the rename");
    let look =
        calls.find(|line| line.contains("stat") && line.contains("\"/shim/capshim\"")).expect("the look");
    (begun(rename) + took(rename), begun(look))
}

#[test]
fn a_copy_that_somebody_replaced_is_never_said_to_be_installed() {
    const INSTALLS: usize = 100;
    let (volume, logs) = (Volume::on_disk(), Volume::on_disk());
    let racer = Racer::start(&volume);
    let strace = find("strace").expect("strace");
    let (program, install) = (strace.display(), INSTALL.join(" "));
    let script = format!(
        "i=0; while [ $i -lt {INSTALLS} ]; do {program} -qq -T --timestamps=unix,ns -o /logs/$i {install} 2>&1; echo $? end; i=$((i+1)); done"
    );
    let start = init(&volume).import_program(&strace).volume(logs.folder(), "/logs", &[]);
    let output = start.run(&["/bin/sh", "-c", &script]);
    let exchanges = racer.end();

    let ends: Vec<&str> = output.stdout.split_terminator("end\n").collect();
    assert_eq!(ends.len(), INSTALLS, "{}", output.stdout);
    let replaced = lines(
        "/shim/capshim is not the copy that was put there, but a file of uid 1000",
        "let nobody else replace files there: chmod go-w /shim",
    ) + "71 ";
    let installed = format!("{SAID}0 ");
    let mut refused = 0;
    for (index, end) in ends.into_iter().enumerate() {
        if end == replaced {
            refused += 1;
            continue;
        }
        assert_eq!(end, installed);
        let (placed, looked) = times(&String::from_utf8_lossy(&logs.content(&index.to_string())));
        let foreign = exchanges.iter().find(|(before, after)| *before > placed && *after < looked);
        assert_eq!(foreign, None, "placed at {placed}, looked at {looked}");
    }
    println!("{refused} of {INSTALLS} refused, {} exchanges", exchanges.len());
    assert!(refused > 0);
}

#[test]
fn a_copy_that_somebody_took_away_is_missed() {
    let gone = "ENOENT: No such file or directory";
    let before = outrun("/shim", "delay_enter", "ls /shim/.capshim.*", "rm -f /shim/.capshim.*");
    let after = outrun("/shim", "delay_exit", &placed("/shim/capshim"), "rm -f /shim/capshim");
    for (script, call) in
        [(before, "rename(/shim/.capshim.*, /shim/capshim)"), (after, "lstat(/shim/capshim)")]
    {
        let volume = Volume::on_disk();
        let output = crowded(&volume).run(&["/bin/sh", "-c", &script]);
        let hint = "let nobody else replace files there: chmod go-w /shim";
        output.refuses(71, &lines(&format!("{call}: {gone}"), hint));
        assert_eq!(volume.names(), [""; 0]);
    }
}

#[test]
fn in_a_sticky_directory_nobody_replaces_the_copy() {
    let volume = Volume::on_disk().owned("", 0, 0, 0o1777).file("mine", "").owned("mine", 1000, 1000, 0o755);
    let script = outrun("/shim", "delay_exit", &placed("/shim/capshim"), "mv -f /shim/mine /shim/capshim");
    crowded(&volume).run(&["/bin/sh", "-c", &script]).installed(SAID);
    volume.has_copy_at("capshim", "cap_ipc_lock=p");
}
