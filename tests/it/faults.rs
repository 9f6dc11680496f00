//! Every step of the path that can fail is made to fail, and nothing leaves after it.

mod calls; // every system call of the process that serves
mod tracer; // one system call of a process fails
