//! From two looks at the daemon to rates.

use std::time::Duration;

use serde::Serialize;

use crate::cli::print;
use crate::control::api::dto::{PassedHost, Status};

/// What happened between two looks, by the second.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    /// Generation, data path and open connections in one line.
    pub(super) summary: String,
    /// Hosts that are passed through, the busiest first.
    pub(super) hosts: Vec<HostRate>,
    /// Requests and packets by reason: those of which there were any, the most frequent first.
    pub(super) reasons: Vec<ReasonRate>,
}

/// What happened on a host that is passed through.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct HostRate {
    host: String,
    now: String,
    open: u64,
    connections: f64,
    bytes_from_clients: f64,
    bytes_from_origins: f64,
}

/// What ended under one reason.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct ReasonRate {
    /// `requests` of the workers, or `packets` of XDP.
    of: &'static str,
    reason: String,
    rate: f64,
    /// Of packets.
    bytes: Option<f64>,
}

pub(super) const HOST_HEADINGS: [&str; 6] = ["HOST", "NOW", "OPEN", "NEW/S", "FROM CLIENTS/S", "FROM ORIGINS/S"];
pub(super) const REASON_HEADINGS: [&str; 4] = ["OF", "REASON", "RATE/S", "BYTES/S"];

impl HostRate {
    pub(super) fn cells(&self) -> [String; 6] {
        [
            self.host.clone(),
            self.now.clone(),
            self.open.to_string(),
            format!("{:.1}", self.connections),
            bytes(self.bytes_from_clients),
            bytes(self.bytes_from_origins),
        ]
    }
}

impl ReasonRate {
    pub(super) fn cells(&self) -> [String; 4] {
        let bytes = self.bytes.map(bytes).unwrap_or_default();
        [self.of.to_owned(), self.reason.clone(), format!("{:.1}", self.rate), bytes]
    }
}

fn bytes(rate: f64) -> String {
    // A rate is not negative, and what is too large for the type is clamped to its end.
    print::bytes(rate.round() as u64)
}

impl Rates {
    /// Nothing is known, as the daemon does not answer.
    pub(super) fn unknown(error: &anyhow::Error) -> Self {
        Self { summary: format!("no answer: {error:#}"), hosts: Vec::new(), reasons: Vec::new() }
    }

    /// What happened in the time `elapsed` from `before` to `after`.
    pub(super) fn between(before: &Status, after: &Status, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64().max(0.001);
        // A daemon that was restarted in between counts from 0 again.
        let rate = |before: u64, after: u64| after.checked_sub(before).unwrap_or(after) as f64 / seconds;
        let no_host = |host: &str| PassedHost { host: host.to_owned(), ..PassedHost::default() };
        let hosts = after.passed_through.hosts.iter().map(|now| {
            let then = before.passed_through.hosts.iter().find(|then| then.host == now.host).cloned();
            let then = then.unwrap_or_else(|| no_host(&now.host));
            HostRate {
                host: now.host.clone(),
                now: now.now.clone(),
                open: now.open,
                connections: rate(then.opened, now.opened),
                bytes_from_clients: rate(then.bytes_from_clients, now.bytes_from_clients),
                bytes_from_origins: rate(then.bytes_from_origins, now.bytes_from_origins),
            }
        });
        let mut hosts: Vec<_> = hosts.collect();
        let traffic = |host: &HostRate| host.bytes_from_clients + host.bytes_from_origins;
        hosts.sort_by(|one, other| traffic(other).total_cmp(&traffic(one)).then_with(|| one.host.cmp(&other.host)));
        let requests = after.requests.iter().map(|(reason, count)| {
            let then = before.requests.get(reason).copied().unwrap_or_default();
            ReasonRate { of: "requests", reason: reason.clone(), rate: rate(then, *count), bytes: None }
        });
        let packets = after.packets.iter().map(|(reason, count)| {
            let (packets, bytes) = before.packets.get(reason).map_or((0, 0), |then| (then.packets, then.bytes));
            let bytes = Some(rate(bytes, count.bytes));
            ReasonRate { of: "packets", reason: reason.clone(), rate: rate(packets, count.packets), bytes }
        });
        let mut reasons: Vec<_> = requests.chain(packets).filter(|reason| reason.rate > 0.0).collect();
        reasons.sort_by(|one, other| other.of.cmp(one.of).then_with(|| other.rate.total_cmp(&one.rate)));
        Self { summary: summary(after), hosts, reasons }
    }
}

fn summary(status: &Status) -> String {
    let open: u64 = status.workers.iter().map(|worker| worker.open).sum();
    let passed: u64 = status.passed_through.hosts.iter().map(|host| host.open).sum();
    format!(
        "mtls-filter {}, {} data path, generation {}, {} workers with {open} connections, {passed} passed through",
        status.version,
        status.datapath.mode,
        status.generation,
        status.workers.len(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(relayed: u64, blocked: u64, denied: u64, opened: u64, bytes: u64) -> Status {
        let host = |name: &str, opened: u64, bytes: u64| {
            json!({ "host": name, "now": "spliced", "origins": [], "open": 1, "opened": opened,
                "bytes_from_clients": 0, "bytes_from_origins": bytes })
        };
        serde_json::from_value(json!({
            "version": "1", "uptime_seconds": 1, "generation": 7, "listen": [], "zones": [], "revoked": 0,
            "datapath": { "mode": "native", "notes": [] },
            "workers": [{ "index": 0, "generation": 7, "accepted": 9, "open": 4 }],
            "requests": { "relayed": relayed, "blocked": blocked, "proxied": 3 },
            "packets": { "denied": { "packets": denied, "bytes": denied * 60 } },
            "access_records_dropped": 0,
            "passed_through": { "hosts": [host("a", 0, 0), host("b", opened, bytes)], "origins": [] },
        }))
        .unwrap()
    }

    #[test]
    fn rates_are_what_was_counted_in_between_by_the_second() {
        let rates = Rates::between(&status(10, 5, 100, 8, 4096), &status(30, 6, 400, 9, 8192), Duration::from_secs(2));
        assert_eq!(
            rates.summary,
            "mtls-filter 1, native data path, generation 7, 1 workers with 4 connections, 2 passed through"
        );
        let hosts: Vec<_> = rates.hosts.iter().map(HostRate::cells).collect();
        assert_eq!(hosts[0], ["b", "spliced", "1", "0.5", "0 B", "2.0 KiB"], "the busiest");
        assert_eq!(hosts[1], ["a", "spliced", "1", "0.0", "0 B", "0 B"]);
        let reasons: Vec<_> = rates.reasons.iter().map(ReasonRate::cells).collect();
        assert_eq!(
            reasons,
            [
                ["requests", "relayed", "10.0", ""],
                ["requests", "blocked", "0.5", ""],
                ["packets", "denied", "150.0", "8.8 KiB"],
            ],
            "without what did not happen"
        );
    }

    #[test]
    fn a_restarted_daemon_counts_from_zero() {
        let rates = Rates::between(&status(1000, 0, 0, 0, 0), &status(4, 0, 0, 0, 0), Duration::from_secs(1));
        assert_eq!(rates.reasons.iter().map(ReasonRate::cells).next().unwrap(), ["requests", "relayed", "4.0", ""]);
    }
}
