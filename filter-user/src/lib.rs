//! The mtls-filter daemon.
#![forbid(unsafe_code)]

pub mod kernel;
