//! Memory that a stretch of code may take at most.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Runs this with so many bytes more than are taken now. More ends the process.
pub fn within<T>(bytes: usize, run: impl FnOnce() -> T) -> T {
    // Made once, by whoever comes first.
    sluis::catalogue::catalogue();
    MEMORY.set_limit(MEMORY.allocated() + bytes).expect("the limit is above what is taken");
    let done = run();
    MEMORY.set_limit(usize::MAX).expect("there is no limit");
    done
}
