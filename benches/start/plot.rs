//! docs/bench.svg: the added times as bars.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::cases::{Case, Part};
use crate::report::{self, Measured};

const WIDTH: f64 = 760.0;
const BARS: f64 = 290.0;
const ROW: usize = 24;
/// Room for the number after the longest bar.
const NUMBER: f64 = 80.0;

pub fn write(cases: &[Case], measured: &[Measured]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench.svg");
    fs::write(&path, draw(cases, measured)).expect("docs/bench.svg");
    eprintln!("bench: {} written", path.display());
}

/// Mid-tones, to be read on dark and on light.
fn draw(cases: &[Case], measured: &[Measured]) -> String {
    let rows: Vec<(usize, &Case)> = cases
        .iter()
        .enumerate()
        .filter(|(index, case)| case.part == Part::Programs && *index != case.base)
        .collect();
    let added = |index: usize| report::added(cases, measured, index);
    let most = rows.iter().map(|(index, _)| added(*index)).fold(1.0, f64::max);
    let scale = (WIDTH - BARS - NUMBER) / most;
    let height = ROW * (rows.len() + 2);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\">\n\
         <style>text{{font:13px sans-serif;fill:#777}}.title{{font-weight:bold}}rect{{fill:#999}}.ours{{fill:#38d}}</style>\n\
         <text x=\"10\" y=\"22\" class=\"title\">microseconds that each adds to the start of a command</text>\n"
    );
    for (place, (index, case)) in rows.into_iter().enumerate() {
        let (added, y) = (added(index), ROW * (place + 2));
        let is_ours = case.name.starts_with("capshim") && case.calls_of.is_none();
        let class = if is_ours { "ours" } else { "" };
        let width = added * scale;
        // Writing to a String does not fail.
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{y}\" text-anchor=\"end\" class=\"{class}\">{}</text>\n\
             <rect x=\"{BARS:.0}\" y=\"{}\" width=\"{width:.1}\" height=\"14\" class=\"{class}\"/>\n\
             <text x=\"{:.1}\" y=\"{y}\">{added:.0}</text>",
            BARS - 10.0,
            case.name,
            y - 11,
            BARS + width + 6.0,
        );
    }
    svg + "</svg>\n"
}
