//! How big and how long things may be.

/// Certificates a client may present, the leaf included. `rustls-webpki` builds paths over 6 intermediates at most.
pub const CHAIN_CERTIFICATES: usize = 10;
/// Bytes of all certificates a client presents. Three certificates with post-quantum signatures need about 20 KiB.
pub const CHAIN_BYTES: usize = 32 * 1024;
/// Bytes of the `Client-Cert` value of a leaf; a longer one is left out and said to be too large.
pub const RFC9440_LEAF_BYTES: usize = 10 * 1024;
/// Bytes of the `Client-Cert-Chain` value; a longer one is left out and said to be too large.
pub const RFC9440_CHAIN_BYTES: usize = 16 * 1024;
/// Bytes of a certificate request, as it is sent.
pub const CSR_BYTES: usize = 16 * 1024;
/// Bytes of one value of a requested subject.
pub const SUBJECT_VALUE_BYTES: usize = 256;
/// Bits of the smallest RSA key a certificate is issued for.
pub const MIN_RSA_BITS: usize = 2_048;
/// Days of the shortest validity.
pub const MIN_VALIDITY_DAYS: u32 = 1;
/// Days of the longest validity: ten years.
pub const MAX_VALIDITY_DAYS: u32 = 3_650;
/// Days a managed authority lives: long enough to issue ten-year certificates for ten years.
pub(super) const AUTHORITY_DAYS: u32 = 7_300;
/// How far `notBefore` lies in the past, for devices whose clock is late.
pub(super) const BACKDATED_SECONDS: i64 = 3_600;
/// Bytes of a CRL: ten million entries take about 400 MB.
pub const CRL_BYTES: usize = 512 * 1024 * 1024;
/// Entries of a CRL.
pub const CRL_ENTRIES: usize = 10_000_000;
/// How far a CRL may come from the future, because clocks differ.
pub(super) const CRL_CLOCK_SKEW_SECONDS: i64 = 300;
/// Bytes of an uploaded authority, PEM.
pub const UPLOAD_BYTES: usize = 256 * 1024;
/// Certificates in one upload.
pub const UPLOAD_CERTIFICATES: usize = 10;
