//! Clients of the API that other people wrote, against the real daemon: Cloudflare's SDKs, unmodified, and Schemathesis.
//!
//! `cargo xtask test` gets the clients, from the lock files in `tests/sdk`, and runs these tests; they need root for the lab.
#![forbid(unsafe_code)]

mod programs;
mod schema;
mod sdk;
