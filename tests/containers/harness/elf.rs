//! The beginnings of programs that cannot run.

/// The first 64 bytes of a program for this machine number (elf(5), e_machine).
pub fn header(machine: u8) -> Vec<u8> {
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    (program[16], program[18]) = (2, machine);
    program
}

pub const HERE: u8 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
pub const ELSEWHERE: u8 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };

/// A header, and one program header that names the loader.
pub fn needing(loader: &str) -> Vec<u8> {
    let mut program = header(HERE);
    program.resize(120, 0);
    for (at, value) in [(20, 1), (32, 64), (52, 64), (54, 56), (56, 1), (64, 3)] {
        program[at] = value;
    }
    (program[72], program[96]) = (120, loader.len() as u8 + 1);
    program.extend_from_slice(loader.as_bytes());
    program.push(0);
    program
}
