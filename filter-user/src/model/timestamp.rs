//! A moment, as records keep it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The present moment of the system's clock.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// A moment given in whole seconds.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since 1970.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Microseconds since 1970.
    pub const fn unix_microseconds(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339; `None` for anything else.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000)).ok().map(Self)
    }

    /// The same moment for certificate checks; moments before 1970 become 1970.
    pub fn unix_time(self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_micros(u64::try_from(self.0).unwrap_or(0)))
    }

    /// The moment to the second, as the API writes dates of certificates: `2026-11-24T04:21:07Z`.
    pub fn rfc3339_seconds(self) -> String {
        Self::from_unix_seconds(self.unix_seconds()).to_string()
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

impl From<UnixTime> for Timestamp {
    fn from(time: UnixTime) -> Self {
        Self::from_unix_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
    }
}

/// RFC 3339 in UTC, with as many decimals as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000);
        match moment.ok().and_then(|moment| moment.format(&Rfc3339).ok()) {
            Some(text) => formatter.write_str(&text),
            // Beyond the year 9999, which RFC 3339 cannot write.
            None => write!(formatter, "@{}", self.unix_seconds()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_its_text() {
        for text in ["2026-11-24T04:21:07Z", "2026-11-24T04:21:07.123456Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Timestamp::parse_rfc3339("2026-11-24T05:21:07.9+01:00").unwrap().rfc3339_seconds(),
            "2026-11-24T04:21:07Z"
        );
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn moments_out_of_range_do_not_panic() {
        for timestamp in [Timestamp(i64::MIN), Timestamp(i64::MAX), Timestamp::from_unix_seconds(i64::MAX)] {
            assert!(!timestamp.to_string().is_empty());
            timestamp.unix_time();
        }
    }
}
