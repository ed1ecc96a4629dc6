//! The fuzz targets as bounded tests: random bytes, and real sources with pieces changed, from a fixed seed.

#[path = "support/fuzz_targets.rs"]
mod fuzz_targets;
#[path = "support/generate.rs"]
mod generate;

use generate::Choices;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The same cases every time; a fuzzer is there for new ones.
fn run<S: Strategy>(cases: u32, strategy: S, target: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
        .run(&strategy, |value| {
            target(value);
            Ok(())
        })
        .expect("the target holds");
}

/// Pieces of sources, to get past what random bytes never get past.
const PIECES: &[&str] = &[
    "\"",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[*]",
    "[0]",
    "[\"a\"]",
    " ",
    "\n",
    "\t",
    ",",
    "..",
    "/",
    ":",
    "-",
    "$a",
    "not ",
    "!",
    "and",
    "or",
    "xor",
    "eq",
    "==",
    "in",
    "contains",
    "matches",
    "~",
    "wildcard",
    "strict wildcard",
    "&",
    "any(",
    "all(",
    "lower(",
    "concat(",
    "split(",
    "cidr(",
    "regex_replace(",
    "wildcard_replace(",
    "url_decode(",
    "ssl",
    "true",
    "http.host",
    "ip.src",
    "cf.edge.server_port",
    "http.request.headers",
    "http.request.headers.names",
    "\"a\"",
    "r\"a\"",
    "r#\"",
    "61:62",
    "0x1f",
    "08",
    "10.0.0.0/8",
    "10.0.0.1..10.0.0.9",
    "::1",
    "\"\\x41\"",
    "\"\\q\"",
    "\"(\"",
    "\"a**\"",
    "\u{fc}",
    "\0",
];

#[test]
fn random_bytes_are_no_source_or_a_sound_one() {
    run(5_000, vec(any::<u8>(), 0..80), |data| fuzz_targets::source(&data));
}

#[test]
fn pieces_in_any_order_are_no_source_or_a_sound_one() {
    run(10_000, vec(prop::sample::select(PIECES), 0..24), |pieces| fuzz_targets::source(pieces.concat().as_bytes()));
}

#[test]
fn sources_with_pieces_changed_are_no_source_or_a_sound_one() {
    let change = (any::<prop::sample::Index>(), 0..6_usize, prop::sample::select(PIECES));
    run(5_000, (vec(any::<u8>(), 0..200), vec(change, 1..4)), |(choices, changes)| {
        let mut source = generate::expression(&mut Choices::new(&choices)).into_bytes();
        for (place, removed, piece) in changes {
            let start = place.index(source.len() + 1);
            let end = (start + removed).min(source.len());
            source.splice(start..end, piece.bytes());
        }
        fuzz_targets::source(&source);
    });
}

#[test]
fn every_way_of_evaluating_agrees() {
    run(3_000, vec(any::<u8>(), 0..400), |data| fuzz_targets::evaluate(&data));
}
