//! What the fuzz targets do with the bytes they are given. Each panics where a promise is broken.
//!
//! `tests/fuzz` builds and runs them; a finding becomes a test in `tests/it`, and its input a file of the corpus.
#![forbid(unsafe_code)]

// Its runtime counts what of the instrumented code has run, in whatever is linked with that code.
use libfuzzer_sys as _;

pub mod agreement;
pub mod decode_xml;
pub mod exchange;
pub mod http_framing;
pub mod log_recover;
pub mod memory;
pub mod second;
pub mod soap_request;
