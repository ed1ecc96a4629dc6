//! Limits of what is told about traffic. Each is tested at the limit and one past it.

/// Records that may wait for a writer.
pub const QUEUE: usize = 16_384;

/// Bytes of a method that a record keeps; longer ones are cut.
pub const RECORD_METHOD: usize = 32;

/// Bytes of a path that a record keeps; longer ones are cut.
pub const RECORD_PATH: usize = 2_048;

/// Bytes of a `User-Agent` that a record keeps; longer ones are cut.
pub const RECORD_USER_AGENT: usize = 512;

/// Bytes of a certificate's subject that a record keeps; longer ones are cut.
pub const RECORD_SUBJECT: usize = 1_024;

/// `log` rules that a record names; further ones are left out.
pub const RECORD_LOGGED: usize = 64;

/// Memory that the facts of a record may take; larger ones are left out.
pub const RECORD_FACTS: usize = 32 * 1024;
