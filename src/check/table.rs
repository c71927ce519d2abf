//! The layout of a report: titles, and labels with values in a column.
//!
//! Pure; it knows nothing of what is reported.
#![forbid(unsafe_code)]

use std::fmt;

/// Where values begin, and where lines end.
const COLUMN: usize = 24;
const WIDTH: usize = 96;

/// Select graphic rendition (console_codes(4)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Paint {
    Bold = 1,
    Red = 31,
    Green = 32,
}

/// A report that is being written.
#[derive(Debug)]
pub struct Layout {
    text: String,
    /// Where the part begins that is shown first.
    first: Option<usize>,
    colour: bool,
}

impl Layout {
    /// An empty report. `colour` is for a terminal whose reader wants it.
    pub fn new(colour: bool) -> Layout {
        Layout { text: String::new(), first: None, colour }
    }

    /// The text since the last call.
    pub fn take(&mut self) -> String {
        let mut text = std::mem::take(&mut self.text);
        if let Some(first) = self.first.take() {
            let first = text.split_off(first);
            let heading = text.find('\n').map_or(0, |end| end + 1);
            text.insert_str(heading, &first);
        }
        text
    }

    /// Shows what follows first, below the heading: a reader of good news needs no more.
    pub fn first(&mut self) {
        self.first = Some(self.text.len());
    }

    pub fn title(&mut self, title: &str) {
        self.text += "\n";
        self.painted(Paint::Bold, title);
    }

    pub fn painted(&mut self, paint: Paint, line: &str) {
        if self.colour { self.line(&format!("\x1b[{}m{line}\x1b[0m", paint as u8)) } else { self.line(line) }
    }

    /// A label and its value. A long value continues below itself.
    pub fn row(&mut self, label: impl fmt::Display, value: impl fmt::Display) {
        self.wrapped(format!("  {:<1$} ", label.to_string(), COLUMN - 3), COLUMN, &value.to_string());
    }

    /// An item of a numbered list.
    pub fn item(&mut self, number: impl fmt::Display, text: impl fmt::Display) {
        let number = format!("  {number:>2}. ");
        let column = number.len();
        self.wrapped(number, column, &text.to_string());
    }

    /// Breaks at spaces.
    fn wrapped(&mut self, mut line: String, column: usize, value: &str) {
        let mut words = value.split(' ');
        line += words.next().unwrap_or_default();
        for word in words {
            if line.len() + 1 + word.len() > WIDTH {
                self.line(&line);
                line = " ".repeat(column) + word;
            } else {
                line += " ";
                line += word;
            }
        }
        self.line(&line);
    }

    pub fn line(&mut self, line: &str) {
        self.text += line.trim_end();
        self.text += "\n";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_each_other_and_go_on_below_themselves() {
        let mut layout = Layout::new(false);
        layout.title("title");
        layout.row("label", "short");
        layout.row("a label that is longer than its column", "value");
        layout.row("long", vec!["word"; 16].join(", "));
        let column = " ".repeat(COLUMN);
        let words = "word, ".repeat(12);
        assert_eq!(
            layout.take(),
            format!(
                "\ntitle\n  label                 short\n  a label that is longer than its column value\n  long                  {}\n{column}word, word, word, word\n",
                words.trim_end()
            )
        );
        assert_eq!(layout.take(), "");
    }

    #[test]
    fn colour_is_there_only_where_it_is_wanted() {
        let mut layout = Layout::new(true);
        layout.painted(Paint::Red, "no");
        assert_eq!(layout.take(), "\x1b[31mno\x1b[0m\n");
    }
}
