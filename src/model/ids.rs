//! User and group ids, and their digits.
//!
//! Pure. An id is never 4294967295, and comes only from plain digits or from the kernel.
#![forbid(unsafe_code)]

use std::fmt;

use crate::model::error::shown;

/// The largest id. 4294967295 tells the kernel to leave an id unchanged (setresuid(2)).
const MAX_ID: u32 = u32::MAX - 1;

/// Ids that the user namespace does not map read as this one (user_namespaces(7)).
pub const OVERFLOW_ID: u32 = 65534;

/// A user id, never 4294967295.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Uid(u32);

/// A group id, never 4294967295.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Gid(u32);

/// What both kinds of id can do.
pub trait Id: Copy + fmt::Display {
    /// `None` for 4294967295.
    fn new(raw: u32) -> Option<Self>;
    fn raw(self) -> u32;
}

macro_rules! id {
    ($name:ident) => {
        impl Id for $name {
            fn new(raw: u32) -> Option<$name> {
                (raw <= MAX_ID).then_some($name(raw))
            }
            fn raw(self) -> u32 {
                self.0
            }
        }
        impl $name {
            pub const ROOT: $name = $name(0);
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(Uid);
id!(Gid);

/// Reads a plain decimal id: digits without a leading zero, at most 4294967294.
pub fn parse_id<T: Id>(digits: &[u8]) -> Option<T> {
    if digits.starts_with(b"0") && digits != b"0" {
        return None;
    }
    T::new(decimal(digits)?.try_into().ok()?)
}

/// The number that decimal digits make; `None` for anything else and beyond an i64. It avoids str for speed:
/// each line of a long /etc/passwd has two numbers.
pub fn decimal(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Groups as a list for a message, cut if there are many.
pub fn listed(groups: &[Gid]) -> String {
    if groups.is_empty() {
        return "none".into();
    }
    shown(groups.iter().map(Gid::to_string).collect::<Vec<_>>().join(", ").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_with_commas_and_cut() {
        let gids = |numbers: std::ops::Range<u32>| numbers.map(Gid).collect::<Vec<_>>();
        assert_eq!(listed(&[]), "none");
        assert_eq!(listed(&gids(8..11)), "8, 9, 10");
        assert!(listed(&gids(0..65536)).len() < 200);
    }
}
