//! See `billfold_tests::fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    billfold_tests::fuzz::path(bytes);
});
