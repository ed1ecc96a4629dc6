//! The mtls-filter daemon and its command line. `ARCHITECTURE.md` is the map.

#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
#[cfg(test)]
mod fixtures;
pub mod geo;
pub mod kernel;
pub mod model;
pub mod origins;
pub mod penalty;
pub mod pki;
pub mod revocation;
pub mod snapshot;
pub mod snippets;
pub mod store;
pub mod telemetry;
pub mod worker;
