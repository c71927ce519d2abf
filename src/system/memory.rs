//! The program's allocator.
//!
//! musl's malloc suits a start badly. Its small blocks share a page, and it gives the page back to the kernel
//! as soon as all of them are free. With malloc alone a start makes 5 to 13 more calls of brk(2), mmap(2) and
//! munmap(2). One more variable in the environment can cause them, and with 30 variables a start then takes
//! 30% longer.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bump allocator over one 64 KiB buffer; when it is full, malloc. Blocks of the buffer are not
/// used again: a run is too short to need them.
#[repr(align(16))]
pub struct Memory {
    buffer: UnsafeCell<MaybeUninit<[u8; Memory::SIZE]>>,
    /// How many bytes of the buffer are given out.
    used: AtomicUsize,
}

// SAFETY: no two blocks of the buffer overlap, because each change of `used` gives out other bytes.
unsafe impl Sync for Memory {}

impl Memory {
    /// Enough for a run with an ordinary environment. The kernel adds a page at its first use.
    const SIZE: usize = 64 * 1024;
    /// Every block begins at a multiple of this.
    const ALIGN: usize = align_of::<Memory>();

    pub const fn new() -> Memory {
        Memory { buffer: UnsafeCell::new(MaybeUninit::uninit()), used: AtomicUsize::new(0) }
    }

    /// Where a new block begins in the buffer; `None` if it does not fit.
    fn next(&self, layout: Layout) -> Option<usize> {
        let size = layout.size().next_multiple_of(Memory::ALIGN);
        let end = |used: usize| used.checked_add(size).filter(|end| *end <= Memory::SIZE);
        if layout.align() > Memory::ALIGN {
            return None;
        }
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end).ok()
    }

    /// Whether a block is part of the buffer.
    fn has(&self, block: *mut u8) -> bool {
        block.addr().wrapping_sub(self.buffer.get().addr()) < Memory::SIZE
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

// SAFETY: a block has the size and alignment that were asked for, and nobody else has it until `dealloc`.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.next(layout) {
            // SAFETY: `next` returns places in the buffer only.
            Some(at) => unsafe { self.buffer.get().cast::<u8>().add(at) },
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !self.has(block) {
            // SAFETY: malloc gave this block out; the rest is the caller's promise.
            unsafe { System.dealloc(block, layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block in use, filled with `byte`.
    struct Block {
        start: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Block {
        fn fill(&mut self, byte: u8) {
            self.byte = byte;
            // SAFETY: the block is that long.
            unsafe { self.start.write_bytes(byte, self.layout.size()) };
        }

        /// Nobody else has written to the first `size` bytes.
        fn assert_unchanged(&self, size: usize) {
            // SAFETY: the block is in use and at least that long, and `fill` has written to it.
            let bytes = unsafe { std::slice::from_raw_parts(self.start, size) };
            assert!(bytes.iter().all(|byte| *byte == self.byte), "{:?}", self.layout);
            assert_eq!(self.start.addr() % self.layout.align(), 0, "{:?}", self.layout);
        }
    }

    #[test]
    fn no_block_changes_another_one_whatever_is_allocated_resized_and_freed() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5 {
            let memory = Memory::new();
            let mut blocks: Vec<Block> = Vec::new();
            let mut ours = [0, 0];
            for byte in (0..=u8::MAX).cycle().take(500) {
                let size = 1 << random.u32(..12) | random.usize(..8);
                let chosen = random.usize(..blocks.len().max(1));
                match random.u8(..4) {
                    0 if !blocks.is_empty() => {
                        let Block { start, layout, .. } = blocks.swap_remove(chosen);
                        // SAFETY: the block is in use, with this layout.
                        unsafe { memory.dealloc(start, layout) };
                    }
                    1 if !blocks.is_empty() => {
                        let block = &mut blocks[chosen];
                        let old = block.layout;
                        block.layout = Layout::from_size_align(size, old.align()).unwrap();
                        // SAFETY: the block is in use, with the old layout; the size is not 0.
                        block.start = unsafe { memory.realloc(block.start, old, size) };
                        block.assert_unchanged(size.min(old.size()));
                        block.fill(byte);
                    }
                    _ => {
                        let layout = Layout::from_size_align(size, 1 << random.u32(..8)).unwrap();
                        // SAFETY: the size is not 0.
                        let start = unsafe { memory.alloc(layout) };
                        ours[usize::from(memory.has(start))] += 1;
                        let mut block = Block { start, layout, byte };
                        block.fill(byte);
                        blocks.push(block);
                    }
                }
                blocks.iter().for_each(|block| block.assert_unchanged(block.layout.size()));
            }
            assert!(ours.iter().all(|count| *count > 10), "malloc and buffer: {ours:?}");
            for Block { start, layout, .. } in blocks {
                // SAFETY: the block is in use, with this layout.
                unsafe { memory.dealloc(start, layout) };
            }
        }
    }

    #[test]
    fn the_buffer_is_given_out_to_its_last_byte_and_then_malloc_helps() {
        let memory = Memory::new();
        let layout = |size| Layout::from_size_align(size, 1).unwrap();
        let sizes = [Memory::SIZE - 16, 17, 16, 1, usize::MAX / 2 - 31];
        assert_eq!(
            sizes.map(|size| memory.next(layout(size))),
            [Some(0), None, Some(Memory::SIZE - 16), None, None]
        );
    }
}
