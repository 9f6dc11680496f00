//! The `sluis` command.
#![forbid(unsafe_code)]

/// Overwrites memory when it is freed, so that a process at rest holds nothing of the pupils it had in hand.
///
/// What is freed is otherwise left as it is until something else happens to need the place: in a gateway that waits for
/// the night, documents of whole schools, for days. Memory that grows is overwritten where it was, too: the allocator
/// has no `realloc` of its own, and the one it is given copies and frees. It stands here and not in the library, for a
/// process has one allocator, and whoever runs the process chooses it.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> std::process::ExitCode {
    sluis::cli::run()
}
