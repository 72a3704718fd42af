//! An allocator that counts.

#![allow(unsafe_code, reason = "an allocator is unsafe by nature; this one hands everything on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) struct Counting;

static MADE: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicU64 = AtomicU64::new(0);

/// How many allocations were made, and how many bytes they were.
pub(crate) fn made() -> (u64, u64) {
    (MADE.load(Relaxed), BYTES.load(Relaxed))
}

/// How many bytes are held now.
pub(crate) fn held() -> u64 {
    HELD.load(Relaxed)
}

fn note(bytes: usize) {
    MADE.fetch_add(1, Relaxed);
    BYTES.fetch_add(bytes as u64, Relaxed);
    HELD.fetch_add(bytes as u64, Relaxed);
}

// SAFETY: each call is the system allocator's own, with the caller's own arguments
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as above
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size() as u64, Relaxed);
        note(size);
        // SAFETY: as above
        unsafe { System.realloc(block, layout, size) }
    }
}
