//! Any bytes as a source.
#![no_main]

#[expect(dead_code, reason = "the other target is the other program's")]
#[path = "../../filter-rules/tests/support/fuzz_targets.rs"]
mod fuzz_targets;

#[path = "../../filter-rules/tests/support/generate.rs"]
mod generate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::source(data));
