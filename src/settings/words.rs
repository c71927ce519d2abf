//! The words of a setting: splits a list, and finds the known word nearest to a mistyped one.
//!
//! Pure. `nearest` only serves hints, and nothing may be decided by it.
#![forbid(unsafe_code)]

use crate::model::error::Refusal;

/// The words of a list, separated by commas or spaces. An empty part between two commas is an error: a
/// template may have come out empty.
pub fn list(text: &str) -> Result<Vec<&str>, Refusal> {
    let mut words = Vec::new();
    for part in text.split(',') {
        let before = words.len();
        words.extend(part.split(' ').filter(|word| !word.is_empty()));
        if words.len() == before {
            return Err(Refusal::wrong("has an empty part in its list").hint(
                "write the words with one comma between them; a template or variable may have come out empty",
            ));
        }
    }
    Ok(words)
}

/// The candidate with the smallest edit distance to `word`: the first of equals, or "" if there are none.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    // A word far longer than any candidate is no typo, so its beginning is enough.
    let word: Vec<u8> = word.bytes().take(64).collect();
    candidates.min_by_key(|candidate| distance(&word, candidate.as_bytes())).unwrap_or("")
}

/// Levenshtein's distance: how many bytes to insert, delete or replace.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_spaces_separate_but_an_empty_part_is_an_error() {
        assert_eq!(list("a, b  c,d").unwrap(), ["a", "b", "c", "d"]);
        for text in ["", " ", ",", "a,", ",a", "a,,b", "a, ,b"] {
            assert!(list(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_distance_counts_single_byte_edits() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"abc", b""), 3);
        assert_eq!(distance(b"abcx", b"abc"), 1);
        assert_eq!(distance(b"same", b"same"), 0);
    }

    #[test]
    fn a_typo_finds_its_word() {
        let names = ["CAPSHIM_USER", "CAPSHIM_CAPS", "CAPSHIM_GROUPS"];
        assert_eq!(nearest("CAPSHIM_CAP", names.into_iter()), "CAPSHIM_CAPS");
        assert_eq!(nearest("CAPSHIM_GRUOPS", names.into_iter()), "CAPSHIM_GROUPS");
    }
}
