//! The rule language of mtls-filter.
#![forbid(unsafe_code)]
