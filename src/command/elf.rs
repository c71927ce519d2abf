//! Reads two facts of an ELF file for messages: its machine and its loader (elf(5)).
//!
//! It only serves to explain an exec that failed or would fail.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::fmt;
use std::os::unix::fs::FileExt;

use crate::system;

/// The field `e_machine`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine(u16);

const X86_64: Machine = Machine(62);
const AARCH64: Machine = Machine(183);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            3 => f.write_str("i386"),
            40 => f.write_str("arm"),
            62 => f.write_str("x86_64"),
            183 => f.write_str("aarch64"),
            243 => f.write_str("riscv"),
            number => write!(f, "machine {number}"),
        }
    }
}

impl Machine {
    /// Whether this kernel may run a program for that machine: the same machine, its 32-bit sibling, or any
    /// if this one is unknown.
    pub fn runs_here(self) -> bool {
        let here = machine_of_this_program();
        let beside = [(X86_64, Machine(3)), (AARCH64, Machine(40))];
        here == self || here == Machine(0) || beside.contains(&(here, self))
    }
}

/// The machine that this program was built for; 0 if no message needs it.
pub fn machine_of_this_program() -> Machine {
    match std::env::consts::ARCH {
        "x86_64" => X86_64,
        "aarch64" => AARCH64,
        _ => Machine(0),
    }
}

/// The machine of an ELF file, from its first bytes.
pub fn machine(head: &[u8]) -> Option<Machine> {
    Some(Machine(u16::from_le_bytes(elf(head)?.get(18..20)?.try_into().ok()?)))
}

/// The loader (PT_INTERP) of an ELF file.
pub fn loader(path: &CStr) -> Option<Vec<u8>> {
    loader_in(&system::open(path).ok()?)
}

/// The same, from an open file.
pub fn loader_in(file: &impl FileExt) -> Option<Vec<u8>> {
    const PT_INTERP: u64 = 3;
    /// No path is longer (PATH_MAX).
    const LONGEST: usize = 4096;
    let mut header = [0; 64];
    file.read_at(&mut header, 0).ok()?;
    let wide = elf(&header)?[4] == 2;
    // Where the program headers are, their count and length; in each header, where offset and size are.
    let (table, count, length, offset, size) = if wide {
        (number(&header, 32, 8), number(&header, 56, 2), 56, (8, 8), (32, 8))
    } else {
        (number(&header, 28, 4), number(&header, 44, 2), 32, (4, 4), (16, 4))
    };
    for index in 0..count {
        let mut entry = [0; 56];
        file.read_exact_at(&mut entry[..length], table.checked_add(length as u64 * index)?).ok()?;
        if number(&entry, 0, 4) != PT_INTERP {
            continue;
        }
        let mut loader = vec![0; (number(&entry, size.0, size.1) as usize).min(LONGEST)];
        file.read_exact_at(&mut loader, number(&entry, offset.0, offset.1)).ok()?;
        loader.truncate(loader.iter().position(|&byte| byte == 0).unwrap_or(loader.len()));
        return Some(loader);
    }
    None
}

/// The little-endian number in the `length` bytes at `at`, which must be inside of `bytes`.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The same bytes, if they begin a little-endian ELF file.
fn elf(head: &[u8]) -> Option<&[u8]> {
    (head.starts_with(b"\x7fELF") && head.get(5) == Some(&1)).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn a_machine_is_read_from_a_little_endian_header_only() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(20, 0);
        head[18] = 183;
        assert_eq!(machine(&head).unwrap().to_string(), "aarch64");
        head[5] = 2;
        assert_eq!(machine(&head), None);
        assert_eq!(machine(b"#!/bin/sh"), None);
        assert_eq!(machine(b"\x7fELF\x02\x01"), None);
    }

    #[test]
    #[cfg_attr(target_feature = "crt-static", ignore = "a static program has no loader")]
    fn this_test_program_has_a_loader_for_this_machine() {
        let path = std::env::current_exe().unwrap();
        let head = std::fs::read(&path).unwrap();
        assert_eq!(machine(&head), Some(machine_of_this_program()));
        let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
        assert!(loader(&path).unwrap().starts_with(b"/lib"));
    }
}
