#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::soap_request::run(data));
