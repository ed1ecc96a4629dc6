//! The scheme: which fields exist, what type each has, and which of Cloudflare's fields this filter cannot know and why.
//!
//! One table ([`table`]) makes the [`Field`] enum, the parser's names, the documentation page and the dashboard's list.

mod table;
mod unavailable;

pub use table::Field;
pub(crate) use unavailable::why_unavailable;

use crate::types::Type;

/// Where the value of a field comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The client's certificate, as verified against the authorities bound to the host.
    Certificate,
    /// The TLS handshake.
    Tls,
    /// The connection's own addresses and this filter's bookkeeping.
    Connection,
    /// The client's address.
    Client,
    /// A MaxMind-format database looked up by the client's address; missing when none is configured.
    Geo,
    /// The head of the HTTP request.
    Request,
}

impl Source {
    /// The heading this group has in documentation and in the dashboard.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Certificate => "Client certificate",
            Self::Tls => "TLS",
            Self::Connection => "Connection",
            Self::Client => "Client address",
            Self::Geo => "Location of the client address",
            Self::Request => "HTTP request",
        }
    }
}

/// A field as the table describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The field.
    pub field: Field,
    /// The name in expressions.
    pub name: &'static str,
    /// The type of its value.
    pub ty: Type,
    /// Where its value comes from.
    pub source: Source,
    /// One line for people.
    pub doc: &'static str,
}

impl Field {
    /// The field a name means, deprecated aliases included.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::from_current_name(name)
            .or_else(|| ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, field)| *field))
    }

    /// The name in expressions.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The type of its value.
    #[must_use]
    pub fn ty(self) -> Type {
        self.spec().ty
    }
}

/// Names Cloudflare deprecated; they parse, and print under the current name.
pub const ALIASES: &[(&str, Field)] = &[
    ("ip.geoip.asnum", Field::IpSrcAsnum),
    ("ip.geoip.continent", Field::IpSrcContinent),
    ("ip.geoip.country", Field::IpSrcCountry),
    ("ip.geoip.is_in_european_union", Field::IpSrcIsInEuropeanUnion),
    ("ip.geoip.subdivision_1_iso_code", Field::IpSrcSubdivision1IsoCode),
    ("ip.geoip.subdivision_2_iso_code", Field::IpSrcSubdivision2IsoCode),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_alias_resolves_to_its_field() {
        for spec in Field::ALL {
            assert_eq!(Field::from_name(spec.name), Some(spec.field), "{}", spec.name);
            assert_eq!(spec.field.spec(), spec, "the table is in the order of the enum");
        }
        for (alias, field) in ALIASES {
            assert_eq!(Field::from_name(alias), Some(*field));
        }
        assert_eq!(Field::from_name("http.request"), None);
        assert_eq!(Field::from_name(""), None);
    }

    #[test]
    fn no_field_is_both_known_and_refused() {
        for spec in Field::ALL {
            assert_eq!(why_unavailable(spec.name), None, "{}", spec.name);
        }
    }

    #[test]
    fn no_name_starts_with_a_keyword_that_hides_it() {
        for spec in Field::ALL {
            assert!(!spec.name.starts_with("not"), "`{}` would parse as `not` and a rest", spec.name);
        }
    }
}
