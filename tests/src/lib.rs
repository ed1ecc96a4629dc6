//! Lab and end-to-end tests.
#![forbid(unsafe_code)]
