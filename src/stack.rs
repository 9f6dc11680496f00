//! What work on a document leaves on the stack of its thread.
//!
//! Memory that is freed is overwritten by the allocator in `main.rs`; a stack is never freed while its thread lives.
//! What searches text or copies it has a piece of it in registers, and registers are put on the stack: there it stays
//! until the thread has something to do that goes as deep, or ends.

use std::hint::black_box;

/// Bytes that are overwritten. Without that, and without optimisation, the deepest remains lay at 36 KiB.
const DEPTH: usize = 64 * 1024;

/// Does work, and overwrites the stack below it, also when the work panics.
pub(crate) fn cleared<T>(work: impl FnOnce() -> T) -> T {
    let _after = Clear;
    below(work)
}

/// Its frame, and all that it calls for, lie below the one of [`cleared`].
#[inline(never)]
fn below<T>(work: impl FnOnce() -> T) -> T {
    work()
}

struct Clear;

impl Drop for Clear {
    fn drop(&mut self) {
        overwrite();
    }
}

#[inline(never)]
fn overwrite() {
    // Without this the compiler sees that nobody reads it, and leaves it out.
    black_box(&mut [0_u8; DEPTH]);
}
