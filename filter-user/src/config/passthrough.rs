//! Hosts whose connections are passed on unopened, to an origin that terminates TLS itself.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::problem::Collector;
use super::read::address;
use super::table::{Located, Table};
use super::{Host, HostName, Zone};

/// Most origins of one host.
pub const MAX_ORIGINS: usize = 16;

/// Most different origins of all hosts; the table of the XDP program holds as many.
pub const MAX_ALL_ORIGINS: usize = 4_096;

/// From which to which the durations of `[passthrough]` may be.
const DURATIONS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);

/// Where the connections of a host are passed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passthrough {
    /// The origins, at least one; a client is given one of those that answer.
    pub origins: Arc<[SocketAddr]>,
    /// Whether each connection begins with the client's addresses, in a PROXY protocol header of version 2.
    pub proxy_protocol: bool,
    /// Hosts that rules may protect and that one of the origins serves as well, which the file allows.
    pub shared: Option<Shared>,
}

/// Hosts that workers terminate and that an origin of another host serves as well: the rules of these do not hold for a client who
/// asks for them inside the TLS connection of that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// One of them.
    pub host: HostName,
    /// How many there are beside it.
    pub others: usize,
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.others {
            0 => self.host.fmt(f),
            others => write!(f, "{} and {others} more", self.host),
        }
    }
}

/// How connections are passed through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassthroughSettings {
    /// A connection on which nothing moves for so long is closed.
    pub idle_timeout: Duration,
    /// How origins are checked; `None` takes all of them for healthy.
    pub check: Option<Check>,
}

/// How an origin is checked: by a TCP connection that is closed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// From one check to the next.
    pub interval: Duration,
    /// A check fails after so long.
    pub timeout: Duration,
    /// Failures in a row that take an origin out.
    pub fall: u32,
    /// Successes in a row that bring it back.
    pub rise: u32,
}

impl Default for PassthroughSettings {
    fn default() -> Self {
        Self { idle_timeout: Duration::from_secs(60 * 60), check: Some(Check::default()) }
    }
}

impl Default for Check {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(2), fall: 3, rise: 2 }
    }
}

/// Reads `[passthrough]`.
pub(super) fn settings(mut table: Table<'_>, problems: &mut Collector<'_>) -> PassthroughSettings {
    let default = PassthroughSettings::default();
    let idle_timeout = table.duration(problems, "idle_timeout", DURATIONS).unwrap_or(default.idle_timeout);
    let check = table.boolean(problems, "check").unwrap_or(true);
    if !check {
        for key in ["check_interval", "check_timeout", "check_fall", "check_rise"] {
            table.refuse(problems, key, "there are no checks to be made: `check` is false");
        }
    }
    let Check { interval, timeout, fall, rise } = Check::default();
    let mut count = |key, default: u32| {
        let count = table.integer(problems, key, 1..=100).and_then(|count| u32::try_from(count).ok());
        count.unwrap_or(default)
    };
    let (fall, rise) = (count("check_fall", fall), count("check_rise", rise));
    let interval = table.duration(problems, "check_interval", DURATIONS).unwrap_or(interval);
    let timeout = table.duration(problems, "check_timeout", DURATIONS).unwrap_or(timeout);
    let known = ["idle_timeout", "check", "check_interval", "check_timeout", "check_fall", "check_rise"];
    table.finish(problems, &known);
    PassthroughSettings { idle_timeout, check: check.then_some(Check { interval, timeout, fall, rise }) }
}

/// Reads the keys of a host that are about passing it through.
pub(super) fn host(table: &mut Table<'_>, problems: &mut Collector<'_>) -> Option<(Passthrough, Written)> {
    if !table.has("passthrough") {
        for key in ["proxy_protocol", "allow_shared_origin"] {
            table.refuse(problems, key, "it is about origins, which `passthrough` would name");
        }
    }
    let proxy_protocol = table.boolean(problems, "proxy_protocol").unwrap_or(false);
    let allowed = table.boolean(problems, "allow_shared_origin").unwrap_or(false);
    let listed = table.strings(problems, "passthrough")?;
    if listed.value.is_empty() || listed.value.len() > MAX_ORIGINS {
        problems.push(listed.span.clone(), format!("`passthrough` must have 1 to {MAX_ORIGINS} addresses"));
    }
    let mut origins: Vec<Located<SocketAddr>> = Vec::new();
    for text in &listed.value {
        let before: Vec<_> = origins.iter().map(|origin| origin.value).collect();
        let parsed = text.parse_with(problems, |text| server(text, &before));
        origins.extend(parsed.map(|value| Located { value, span: text.span.clone() }));
    }
    let addresses = origins.iter().map(|origin| origin.value).collect();
    Some((Passthrough { origins: addresses, proxy_protocol, shared: None }, Written { origins, allowed }))
}

/// An address that a server can have, written as its own family's.
fn server(text: &str, before: &[SocketAddr]) -> Result<SocketAddr, String> {
    let address = address(text, before)?;
    match address.ip() {
        ip if ip.is_unspecified() || ip.is_multicast() => Err(format!("`{text}` is no address of a server")),
        ip if ip.to_canonical() != ip => Err(format!("`{text}` is an IPv4 address; write it as one")),
        _ => Ok(address),
    }
}

/// What one host says of its origins, and where.
pub(super) struct Written {
    origins: Vec<Located<SocketAddr>>,
    /// Whether one of them may serve a protected host as well.
    allowed: bool,
}

/// What all hosts say of their origins.
#[derive(Default)]
pub(super) struct PassedHosts(HashMap<HostName, Written>);

impl PassedHosts {
    pub(super) fn add(&mut self, host: &HostName, written: Written) {
        self.0.insert(host.clone(), written);
    }

    /// Checks the origins against everything else in the file.
    ///
    /// What a client asks for inside a connection that is passed on, nobody sees: if the origin serves a protected host too, the client
    /// gets it without the rules. The port does not matter: a server that answers for both hosts on one port most likely does on the
    /// other.
    pub(super) fn check(&self, listen: &[SocketAddr], zones: &mut [Zone], problems: &mut Collector<'_>) {
        let protected = protected(zones);
        let mut all = HashSet::new();
        for host in zones.iter_mut().flat_map(|zone| &mut zone.hosts) {
            let (Some(passthrough), Some(written)) = (&mut host.passthrough, self.0.get(&host.name)) else { continue };
            for origin in &written.origins {
                if all.insert(origin.value) && all.len() == MAX_ALL_ORIGINS + 1 {
                    problems
                        .push(origin.span.clone(), format!("there are more than {MAX_ALL_ORIGINS} different origins"));
                }
                if listen.contains(&origin.value) {
                    let message = format!("{} is an address that this filter listens on itself", origin.value);
                    problems.push(origin.span.clone(), message);
                }
                let Some(shared) = protected.get(&origin.value.ip()).and_then(|hosts| others(hosts, &host.name)) else {
                    continue;
                };
                if !written.allowed {
                    problems.push(
                        origin.span.clone(),
                        format!(
                            "{} also serves {shared}: a client could ask for it inside a connection for {}, past every rule; \
                             give them origins of their own, or write allow_shared_origin = true here",
                            origin.value.ip(),
                            host.name
                        ),
                    );
                }
                passthrough.shared.get_or_insert(shared);
            }
        }
    }
}

/// The hosts that rules may protect, by the addresses of the servers behind them.
fn protected(zones: &[Zone]) -> HashMap<IpAddr, BTreeSet<HostName>> {
    let mut protected: HashMap<IpAddr, BTreeSet<HostName>> = HashMap::new();
    for host in zones.iter().flat_map(|zone| &zone.hosts) {
        for address in servers_of(host) {
            protected.entry(address).or_default().insert(host.name.clone());
        }
    }
    protected
}

/// The servers behind a host that workers can terminate. One without a certificate is never protected: no rule can be deployed for it.
fn servers_of(host: &Host) -> impl Iterator<Item = IpAddr> {
    let upstream = host.termination.as_ref().map(|termination| termination.upstream.address);
    let origins = host.passthrough.iter().flat_map(|passthrough| passthrough.origins.iter().copied());
    upstream
        .into_iter()
        .flat_map(move |upstream| std::iter::once(upstream).chain(origins.clone()))
        .map(|at| at.ip().to_canonical())
}

fn others(hosts: &BTreeSet<HostName>, but: &HostName) -> Option<Shared> {
    let host = hosts.iter().find(|host| *host != but)?.clone();
    let others = hosts.len().saturating_sub(1 + usize::from(hosts.contains(but)));
    Some(Shared { host, others })
}
