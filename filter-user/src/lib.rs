//! The mtls-filter daemon.

#![forbid(unsafe_code)]

pub mod config;
pub mod model;
pub mod pki;
pub mod revocation;
pub mod store;
