//! End-to-end tests: the real daemon between real clients and real origins, in native XDP and in socket mode.
//!
//! One file a topic. `cargo xtask test` builds the daemon and runs them; they need root.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "a test that indexes past an end fails, as it should")]

mod authorities;
mod backup;
mod command_line;
mod crl;
mod datapath;
mod deployment;
mod documents;
mod durability;
mod events;
mod framing;
mod lab;
mod limits;
mod lists;
mod mistakes;
mod operator;
mod passthrough;
mod passthrough_ends;
mod passthrough_outlives;
mod passthrough_shown;
mod penalty;
mod restart;
mod revocation;
mod snippets;
mod upstream;
mod verdicts;
mod waiting;
