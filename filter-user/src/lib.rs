//! The mtls-filter daemon and its command line. `ARCHITECTURE.md` is the map.

#![forbid(unsafe_code)]

pub mod config;
pub mod datapath;
pub mod model;
pub mod pki;
pub mod revocation;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod worker;
