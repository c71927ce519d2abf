//! As much of ELF as messages need, from a file of these bytes.
#![no_main]

use std::cell::Cell;
use std::io;
use std::os::unix::fs::FileExt;

use capshim::command::elf::{loader_in, machine};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let machine = machine(data);
    let file = Bytes { bytes: data, read: Cell::new(0) };
    if let Some(loader) = loader_in(&file) {
        assert!(machine.is_some());
        assert!(!loader.contains(&0) && loader.len() <= 4096);
        assert!(loader.is_empty() || data.windows(loader.len()).any(|window| window == loader));
    }
    // The header, 65535 entries and one path, however the offsets overlap.
    assert!(file.read.get() <= 64 + 56 * 65535 + 4096);
});

struct Bytes<'a> {
    bytes: &'a [u8],
    read: Cell<usize>,
}

impl FileExt for Bytes<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest =
            usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.read.set(self.read.get() + length);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
