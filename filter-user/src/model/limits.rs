//! How much state there may be.

/// Rules in one zone.
pub const RULES_PER_ZONE: usize = 1_000;
/// Filters of the older firewall API in one zone.
pub const FILTERS_PER_ZONE: usize = 1_000;
/// Bytes of one rule expression.
pub const EXPRESSION_BYTES: usize = 4_096;
/// Bytes of a description, a name, a comment or a reference.
pub const TEXT_BYTES: usize = 500;
/// Bytes of the body of a custom block response.
pub const RESPONSE_BYTES: usize = 2_048;
/// Authorities, managed and uploaded, over all zones.
pub const AUTHORITIES: usize = 1_000;
/// Certificates issued in one zone.
pub const CERTIFICATES_PER_ZONE: usize = 1_000_000;
/// Lists over all zones.
pub const LISTS: usize = 1_000;
/// Items in one list.
pub const ITEMS_PER_LIST: usize = 100_000;
/// Host names bound to one authority in one zone.
pub const HOSTNAMES_PER_ASSOCIATION: usize = 10_000;
/// API tokens.
pub const TOKENS: usize = 1_000;
/// Bytes of one setting's value.
pub const SETTING_BYTES: usize = 16_384;
/// Bytes of the path or the URL of a CRL.
pub const CRL_SOURCE_BYTES: usize = 2_048;
/// Seconds between two questions to the server of a CRL, at least.
pub const CRL_REFRESH_SECONDS_MIN: u32 = 60;
/// Seconds between two questions to the server of a CRL, at most: a week.
pub const CRL_REFRESH_SECONDS_MAX: u32 = 604_800;
/// Bytes of a serial number; RFC 5280 allows 20, and some authorities did not read it.
pub const SERIAL_BYTES: usize = 32;
