//! The lab of mtls-filter: three network namespaces, a real filter between real clients and real origins, and the words to
//! write a scenario with.
//!
//! [`lab`] is what the end-to-end tests (`tests/tests`) and the demo (`src/bin/demo.rs`) are written in. [`demo`] is the
//! demo's table of rows. Nothing here runs without root; `cargo xtask test` and `cargo xtask demo` start it.
#![forbid(unsafe_code)]

pub mod demo;
pub mod lab;
