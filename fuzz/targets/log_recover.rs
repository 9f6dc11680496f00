#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::log_recover::run(data));
