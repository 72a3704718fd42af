//! An allocator that counts what the own thread asks for, so that tests beside it do not matter.

#![allow(unsafe_code, reason = "an allocator is unsafe by nature; this one hands everything on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub(crate) struct Counting;

thread_local! {
    static MADE: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// How many allocations this thread has made.
pub(crate) fn made() -> u64 {
    MADE.get()
}

/// How many bytes this thread has taken and not given back.
pub(crate) fn held() -> i64 {
    HELD.get()
}

fn note(made: u64, bytes: i64) {
    // a thread that ends has none any more
    let _ = MADE.try_with(|all| all.set(all.get().wrapping_add(made)));
    let _ = HELD.try_with(|all| all.set(all.get().wrapping_add(bytes)));
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: each call is the system allocator's own, with the caller's own arguments
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, size(layout));
        // SAFETY: as above
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, -size(layout));
        // SAFETY: as above
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(1, i64::try_from(new_size).unwrap_or(i64::MAX).saturating_sub(size(layout)));
        // SAFETY: as above
        unsafe { System.realloc(block, layout, new_size) }
    }
}
