//! The program's memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The program's memory: blocks are cut off one piece, and what no longer fits is malloc's. Of
/// the piece only the last block can change its size or be given back. The others are not
/// needed: a run is over before it would use them again, and the calls of mmap(2) and munmap(2)
/// that malloc makes for them were a quarter of its time.
#[repr(align(16))]
pub struct Memory {
    piece: UnsafeCell<MaybeUninit<[u8; Memory::SIZE]>>,
    /// How many bytes of the piece are cut off.
    used: AtomicUsize,
}

// SAFETY: the piece is reached through its blocks only, of which no two overlap: each is what
// one successful change of `used` took.
unsafe impl Sync for Memory {}

impl Memory {
    /// Enough for a run with an ordinary environment. No page is there before it is touched.
    const SIZE: usize = 64 * 1024;

    pub const fn new() -> Memory {
        Memory { piece: UnsafeCell::new(MaybeUninit::uninit()), used: AtomicUsize::new(0) }
    }

    /// Cuts off a block, if it fits, and says where it begins.
    fn cut(&self, layout: Layout) -> Option<usize> {
        if layout.align() > align_of::<Memory>() {
            return None;
        }
        let mut at = 0;
        let end = |used: usize| {
            at = used.next_multiple_of(layout.align());
            at.checked_add(layout.size()).filter(|end| *end <= Memory::SIZE)
        };
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, end).ok().map(|_| at)
    }

    /// Where a block begins in the piece; `None` for one of malloc's.
    fn place(&self, block: *mut u8) -> Option<usize> {
        Some(block.addr().wrapping_sub(self.piece.get().addr())).filter(|at| *at < Memory::SIZE)
    }

    /// Changes the size of a block, if it is the last one and fits.
    fn resize(&self, at: usize, old: usize, new: usize) -> bool {
        new <= Memory::SIZE - at
            && self.used.compare_exchange(at + old, at + new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

// SAFETY: a block is as long and as aligned as asked, and nobody else's until it is given back.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.cut(layout) {
            // SAFETY: it begins and ends within the piece.
            Some(at) => unsafe { self.piece.get().cast::<u8>().add(at) },
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.place(block) {
            Some(at) => drop(self.resize(at, layout.size(), 0)),
            // SAFETY: it is malloc's, and the caller's promise.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match self.place(block) {
            Some(at) if self.resize(at, layout.size(), size) => block,
            // SAFETY: the new block is another one, and both are as long as what is copied; the
            // caller promises that the size is valid with this alignment.
            Some(_) => unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, size.min(layout.size()));
                    self.dealloc(block, layout);
                }
                new
            },
            // SAFETY: it is malloc's, and the caller's promise.
            None => unsafe { System.realloc(block, layout, size) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of so many bytes, each of which is this one.
    fn block(memory: &Memory, size: usize, align: usize, byte: u8) -> (*mut u8, Layout) {
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: the size is not 0, and the block is that long.
        unsafe {
            let block = memory.alloc(layout);
            assert!(!block.is_null() && block.addr() % align == 0);
            block.write_bytes(byte, size);
            (block, layout)
        }
    }

    fn bytes<'a>(block: *mut u8, size: usize) -> &'a [u8] {
        // SAFETY: called with blocks that are there, as long, and written.
        unsafe { std::slice::from_raw_parts(block, size) }
    }

    #[test]
    fn blocks_of_any_size_and_alignment_do_not_overlap() {
        let memory = Memory::new();
        let sizes = [(1, 1), (7, 8), (24, 16), (3, 1), (100, 64), (30_000, 4096), (40_000, 8), (20_000, 2)];
        let blocks: Vec<_> = (1u8..)
            .zip(sizes)
            .map(|(byte, (size, align))| (byte, block(&memory, size, align, byte)))
            .collect();
        for (byte, (block, layout)) in &blocks {
            assert!(bytes(*block, layout.size()).iter().all(|found| found == byte));
        }
        // The larger alignments and what no longer fits are malloc's.
        let ours: Vec<bool> = blocks.iter().map(|(_, (block, _))| memory.place(*block).is_some()).collect();
        assert_eq!(ours, [true, true, true, true, false, false, true, true]);
        for (_, (block, layout)) in blocks {
            // SAFETY: it is given back once.
            unsafe { memory.dealloc(block, layout) };
        }
    }

    #[test]
    fn the_last_block_changes_its_size_where_it_is_and_others_move() {
        let memory = Memory::new();
        let (first, layout) = block(&memory, 10, 1, b'a');
        // SAFETY: the blocks are there, with these layouts.
        unsafe {
            assert_eq!(memory.realloc(first, layout, 1000), first);
            let layout = Layout::from_size_align(1000, 1).unwrap();
            let (second, _) = block(&memory, 5, 1, b'b');
            let moved = memory.realloc(first, layout, 2000);
            assert_ne!(moved, first);
            assert_eq!((bytes(moved, 10), bytes(second, 5)), (&b"aaaaaaaaaa"[..], &b"bbbbb"[..]));
            let layout = Layout::from_size_align(2000, 1).unwrap();
            let large = memory.realloc(moved, layout, Memory::SIZE);
            assert_eq!((memory.place(large), bytes(large, 10)), (None, &b"aaaaaaaaaa"[..]));
            // What the moved block took is free again.
            assert_eq!(block(&memory, 1, 1, b'c').0, moved);
            memory.dealloc(large, Layout::from_size_align(Memory::SIZE, 1).unwrap());
        }
    }
}
