//! The report of `--check`, taken apart.

/// The lines below a title.
#[track_caller]
pub fn section<'a>(report: &'a str, title: &str) -> Vec<&'a str> {
    let mut lines = report.lines().skip_while(|line| *line != title);
    assert_eq!(lines.next(), Some(title), "{report}");
    lines.take_while(|line| !line.is_empty()).collect()
}

/// The value beside a label of a section.
#[track_caller]
pub fn value<'a>(report: &'a str, title: &str, label: &str) -> &'a str {
    let lines = section(report, title);
    let line = lines.iter().find_map(|line| line.trim_start().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in:\n{report}")).trim()
}
