//! When the packet plane drops addresses for what they did before.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use cidr::IpCidr;

use super::problem::Collector;
use super::table::Table;

/// Most blocked requests that it may take.
pub const MAX_BLOCKED: u64 = 100;

/// From which to which the durations may be.
const DURATIONS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// When the packet plane drops an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Penalty {
    /// After so many blocked requests ...
    pub blocked: usize,
    /// ... within so long ...
    pub within: Duration,
    /// ... its SYNs are dropped for so long.
    pub drop_for: Duration,
    /// Networks whose addresses are never dropped.
    pub allow: Vec<IpCidr>,
}

impl Penalty {
    /// Whether somebody vouches for this address.
    pub fn spares(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
    }
}

/// Reads `[edge.penalty]`; `None` if it is not there, or has a problem.
pub(super) fn penalty(edge: &mut Table<'_>, problems: &mut Collector<'_>) -> Option<Penalty> {
    if !edge.has("penalty") {
        return None;
    }
    let mut table = edge.table(problems, "penalty");
    table.require(problems, "blocked", "write after how many blocked requests an address is dropped");
    let blocked = table.integer(problems, "blocked", 1..=MAX_BLOCKED).and_then(|blocked| usize::try_from(blocked).ok());
    let within = table.duration(problems, "within", DURATIONS).unwrap_or(Duration::from_secs(60));
    let drop_for = table.duration(problems, "drop_for", DURATIONS).unwrap_or(Duration::from_secs(600));
    let listed = table.strings(problems, "allow");
    let mut allow = Vec::new();
    for text in listed.into_iter().flat_map(|listed| listed.value) {
        allow.extend(text.parse_with(problems, |text| {
            text.parse::<IpCidr>().map_err(|error| format!("`{text}` is no network like \"192.0.2.0/24\": {error}"))
        }));
    }
    table.finish(problems, &["blocked", "within", "drop_for", "allow"]);
    Some(Penalty { blocked: blocked?, within, drop_for, allow })
}
