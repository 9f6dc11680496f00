//! Every step of the path that can fail is made to fail, and nothing leaves after it.
#![allow(clippy::print_stdout, reason = "what was made to fail is what one wants to see")]

mod calls; // every system call of the process
mod changes; // configuration, agreement, certificate and clock change in the middle
mod disk; // a disk that is full or may not be written, and nobody who reads what is said
mod peers; // a pupil administration and a supplier, in every phase
mod stages; // what the stages read, write and put on record
mod tracer; // one system call of a process fails
