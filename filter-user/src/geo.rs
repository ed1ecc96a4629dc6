//! Where a client's address is, by databases in MaxMind's format (GeoIP2, GeoLite2 and others of that form).

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use maxminddb::{Reader, geoip2};

/// Databases that are in memory whole; read by all workers, written by nobody.
#[derive(Default)]
pub struct Databases {
    /// City or Country.
    location: Option<Reader<Vec<u8>>>,
    /// ASN.
    asn: Option<Reader<Vec<u8>>>,
}

/// What the databases say of one address; borrowed from them where they have it as rules ask for it.
#[derive(Debug, Default, PartialEq)]
pub struct Location<'d> {
    pub(crate) country: Option<&'d str>,
    pub(crate) continent: Option<&'d str>,
    pub(crate) city: Option<&'d str>,
    pub(crate) region: Option<&'d str>,
    pub(crate) region_code: Option<&'d str>,
    pub(crate) postal_code: Option<&'d str>,
    pub(crate) metro_code: Option<String>,
    pub(crate) latitude: Option<String>,
    pub(crate) longitude: Option<String>,
    pub(crate) time_zone: Option<&'d str>,
    pub(crate) is_in_european_union: Option<bool>,
    /// ISO 3166-2 codes of the first and second level, such as `GB-ENG`.
    pub(crate) subdivisions: [Option<String>; 2],
    pub(crate) asn: Option<u32>,
}

impl Databases {
    /// Takes the databases that are configured.
    pub(crate) fn new(location: Option<Reader<Vec<u8>>>, asn: Option<Reader<Vec<u8>>>) -> Self {
        Self { location, asn }
    }

    /// Reads a database whose type ends in one of `kinds`.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub(crate) fn read(path: &Path, kinds: &[&str]) -> Result<Reader<Vec<u8>>, String> {
        let reader = Reader::open_readfile(path)
            .map_err(|error| format!("cannot read the database {}: {error}", path.display()))?;
        let kind = &reader.metadata().database_type;
        if kinds.iter().any(|known| kind.ends_with(known)) {
            return Ok(reader);
        }
        Err(format!("{} is a database of type {kind}; it must be {}", path.display(), kinds.join(" or ")))
    }

    /// What the databases say of `address`. An address they do not have, or a record that cannot be read, is an unknown place: a rule
    /// that asks for it finds nothing.
    pub(crate) fn locate(&self, address: IpAddr) -> Location<'_> {
        let record = self.location.as_ref().and_then(|database| database.lookup(address).ok());
        let city = record.and_then(|record| record.decode::<geoip2::City<'_>>().ok().flatten());
        let asn = self.asn.as_ref().and_then(|database| database.lookup(address).ok());
        let asn = asn.and_then(|record| record.decode::<geoip2::Asn<'_>>().ok().flatten());
        let asn = asn.and_then(|record| record.autonomous_system_number);
        city.map_or_else(|| Location { asn, ..Location::default() }, |city| Location { asn, ..Location::of(&city) })
    }
}

impl<'d> Location<'d> {
    fn of(city: &geoip2::City<'d>) -> Self {
        let country = city.country.iso_code;
        let region = city.subdivisions.first();
        let subdivision = |level: usize| {
            let code = city.subdivisions.get(level)?.iso_code?;
            Some(format!("{}-{code}", country?))
        };
        Self {
            country,
            continent: city.continent.code,
            city: city.city.names.english,
            region: region.and_then(|region| region.names.english),
            region_code: region.and_then(|region| region.iso_code),
            postal_code: city.postal.code,
            metro_code: city.location.metro_code.map(|code| code.to_string()),
            latitude: city.location.latitude.map(|degrees| format!("{degrees:.5}")),
            longitude: city.location.longitude.map(|degrees| format!("{degrees:.5}")),
            time_zone: city.location.time_zone,
            is_in_european_union: country.map(|_| city.country.is_in_european_union.unwrap_or(false)),
            subdivisions: [subdivision(0), subdivision(1)],
            asn: None,
        }
    }
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |database: &Option<Reader<Vec<u8>>>| {
            database.as_ref().map(|reader| reader.metadata().database_type.clone())
        };
        f.debug_struct("Databases").field("location", &kind(&self.location)).field("asn", &kind(&self.asn)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Databases, Location};

    fn test_data(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
    }

    #[test]
    fn addresses_are_found_in_both_databases() {
        let location = Databases::read(&test_data("city.mmdb"), &["City", "Country"]).unwrap();
        let asn = Databases::read(&test_data("asn.mmdb"), &["ASN"]).unwrap();
        let databases = Databases::new(Some(location), Some(asn));
        let oxford = databases.locate("192.0.2.7".parse().unwrap());
        let expected = Location {
            country: Some("GB"),
            continent: Some("EU"),
            city: Some("Oxford"),
            region: Some("England"),
            region_code: Some("ENG"),
            postal_code: Some("OX1"),
            metro_code: None,
            latitude: Some("51.75220".to_owned()),
            longitude: Some("-1.25590".to_owned()),
            time_zone: Some("Europe/London"),
            is_in_european_union: Some(false),
            subdivisions: [Some("GB-ENG".to_owned()), Some("GB-OXF".to_owned())],
            asn: Some(64_500),
        };
        assert_eq!(oxford, expected);
        assert_eq!(databases.locate("2001:db8::1".parse().unwrap()).country, Some("FR"));
        assert_eq!(databases.locate("2001:db8::1".parse().unwrap()).is_in_european_union, Some(true));
        assert_eq!(databases.locate("198.51.100.1".parse().unwrap()), Location::default());
        assert_eq!(Databases::default().locate("192.0.2.7".parse().unwrap()), Location::default());
    }

    #[test]
    fn a_file_of_another_kind_is_refused_by_name() {
        let error = Databases::read(&test_data("asn.mmdb"), &["City", "Country"]).unwrap_err();
        assert!(error.ends_with("is a database of type Test-ASN; it must be City or Country"), "{error}");
        let error = Databases::read(&test_data("make.py"), &["ASN"]).unwrap_err();
        assert!(error.starts_with("cannot read the database "), "{error}");
    }
}
