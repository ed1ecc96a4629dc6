//! The `mtls-filter` command.
fn main() {}
