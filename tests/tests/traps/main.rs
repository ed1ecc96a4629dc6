//! The traps that client certificates in front of a proxy have caught others in, each with the test that it does not catch us.
//!
//! They are: resumption across hosts and after revocation, headers that only the filter may set,
//! chains that only look right, zones that trust each other. Host against SNI and request framing are in `end_to_end/framing.rs`.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "a test that indexes past an end fails, as it should")]

mod chains;
mod headers;
mod resumption;
mod zones;
