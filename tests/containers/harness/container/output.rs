//! What a container left behind, and what that must be.

use std::collections::BTreeMap;

pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn of(ended: std::process::Output) -> Output {
        let text = |bytes| String::from_utf8(bytes).expect("text from the container");
        Output {
            code: ended.status.code().unwrap_or(-1),
            stdout: text(ended.stdout),
            stderr: text(ended.stderr),
        }
    }

    /// The report of `--check`, and its exit code, say what the run did. Where even the report
    /// cannot be made, the words and the code are a run's.
    #[track_caller]
    pub fn foretells(&self, run: &Output) {
        if self.stdout.is_empty() && run.code != 0 {
            assert_eq!((self.code, &self.stderr), (run.code, &run.stderr));
            return;
        }
        let said = run.stderr.lines().filter_map(|line| line.strip_prefix("capshim: "));
        let refusal: String = said
            .filter(|line| !line.starts_with("warning: ") && !line.starts_with("info: "))
            .map(|line| match line.strip_prefix("hint: ") {
                Some(hint) => format!("  hint:  {hint}\n"),
                None => format!("  cause: {line}\n"),
            })
            .collect();
        let (code, outcome) = if refusal.is_empty() {
            (0, "\noutcome\n".to_owned())
        } else {
            let said = format!("  the application would not start\n{refusal}  exit code {}\n", run.code);
            (run.code, format!("\noutcome\n{said}"))
        };
        assert!(
            self.code == code
                && self.stdout.contains(&outcome)
                && self.stdout.matches("\noutcome\n").count() == 1
                && self.stderr.is_empty(),
            "{}\n{}\nthe run: {}\n{}",
            self.stdout,
            self.stderr,
            run.code,
            run.stderr
        );
    }

    /// The lines `name: value` that /state prints.
    pub fn state(&self) -> BTreeMap<&str, &str> {
        let lines = self.stdout.lines();
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
    }

    /// The payload ran as this user, and its four sets are exactly these.
    #[track_caller]
    pub fn is_exactly(&self, uid: u32, gid: u32, groups: &str, capabilities: &str) -> &Output {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        self.holds(uid, gid, groups, capabilities)
    }

    /// The same for one that may have something to say on stderr.
    #[track_caller]
    pub fn holds(&self, uid: u32, gid: u32, groups: &str, capabilities: &str) -> &Output {
        assert_eq!(self.code, 0, "{}", self.stderr);
        let state = self.state();
        let (uid, gid) = (uid.to_string(), gid.to_string());
        let ids = [("uid", uid.as_str()), ("gid", &gid), ("groups", groups)];
        let sets = ["inheritable", "permitted", "effective", "ambient"].map(|set| (set, capabilities));
        for (name, expected) in ids.into_iter().chain(sets).chain([("no_new_privs", "on")]) {
            assert_eq!(state.get(name), Some(&expected), "{name}, in:\n{}", self.stdout);
        }
        self
    }

    /// The payload did not run, and this is all that was said.
    #[track_caller]
    pub fn refuses(&self, code: i32, stderr: &str) {
        assert_eq!(self.stderr, stderr);
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
    }

    /// The payload did not run; stderr is one line of cause with these words in it, and at
    /// most one hint.
    #[track_caller]
    pub fn refuses_saying(&self, code: i32, words: &str) {
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(
            lines.first().is_some_and(|line| line.starts_with("capshim: ") && line.contains(words)),
            "{words:?} not in: {}",
            self.stderr
        );
        assert!(
            lines.len() == 1 || lines.len() == 2 && lines[1].starts_with("capshim: hint: "),
            "{}",
            self.stderr
        );
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
    }
}

/// What busybox's shell said of a command line, without the line's number, which 1.38 adds.
pub fn without_line(said: &str) -> String {
    said.replace("/bin/sh: line 0: ", "/bin/sh: ")
}

/// A refusal's words.
pub fn lines(cause: &str, hint: &str) -> String {
    format!("capshim: {cause}\ncapshim: hint: {hint}\n")
}
