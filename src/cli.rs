//! The commands.

pub mod init;
