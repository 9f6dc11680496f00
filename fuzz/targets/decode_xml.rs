#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluis_fuzz::decode_xml::run(data));
