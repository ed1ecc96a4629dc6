//! What there is to measure, gathered when somebody asks for it.

use std::sync::Arc;

use super::Control;
use super::crl::{Report, Standing};
use crate::telemetry::{Metrics, Reason};

impl Control {
    /// The metrics, as [`METRICS_TYPE`](crate::telemetry::METRICS_TYPE).
    pub async fn metrics(self: &Arc<Self>) -> String {
        let mut metrics = Metrics::new();
        self.add_packets(&mut metrics);
        self.add_workers(&mut metrics);
        self.add_passed(&mut metrics).await;
        self.add_state(&mut metrics).await;
        self.add_crls(&mut metrics);
        metrics.render()
    }

    fn add_packets(&self, metrics: &mut Metrics) {
        let counts = self.publisher.datapath().packets().unwrap_or_else(|error| {
            tracing::warn!(%error, "the packet counters cannot be read");
            Vec::new()
        });
        let by_reason = |value: fn(&crate::kernel::Count) -> u64| {
            counts
                .iter()
                .map(move |count| ([("reason", count.reason.name().to_owned())], value(count)))
                .collect::<Vec<_>>()
        };
        metrics.counter("packets", "Packets that XDP saw, by what became of them", by_reason(|count| count.packets));
        metrics.counter("packet_bytes", "Bytes of these packets, headers included", by_reason(|count| count.bytes));
    }

    fn add_workers(&self, metrics: &mut Metrics) {
        let workers = self.publisher.workers();
        let counted = |reason: Reason| workers.iter().map(|worker| worker.counters().of(reason)).sum();
        let reasons = Reason::ALL.iter().map(|reason| ([("reason", reason.name().to_owned())], counted(*reason)));
        metrics.counter("requests", "Requests, and connections that ended before one, by what became of them", reasons);
        let by_worker = |value: fn(&crate::telemetry::Counters) -> u64| {
            let sample = move |worker: &crate::worker::Worker| {
                ([("worker", worker.index().to_string())], value(worker.counters()))
            };
            workers.iter().map(sample).collect::<Vec<_>>()
        };
        metrics.counter("connections", "Connections that workers accepted", by_worker(|counters| counters.accepted()));
        metrics.gauge("connections_open", "Connections that workers have open", by_worker(|counters| counters.open()));
        let generation = by_worker(|counters| counters.generation());
        metrics.gauge("worker_generation", "Generation of the rules that a worker decides by", generation);
    }

    async fn add_passed(self: &Arc<Self>, metrics: &mut Metrics) {
        let totals = self.passed_totals().await;
        let labels = |(host, via): &(String, super::Via)| [("host", host.clone()), ("via", via.name().to_owned())];
        let opened = totals.iter().map(|(key, totals)| (labels(key), totals.opened));
        metrics.counter("passed_connections", "Connections that were passed on unopened", opened);
        let closed = totals.iter().map(|(key, totals)| (labels(key), totals.opened.saturating_sub(totals.open)));
        metrics.counter("passed_connections_closed", "Those of them that have ended", closed);
        let open = totals.iter().map(|(key, totals)| (labels(key), totals.open));
        metrics.gauge("passed_connections_open", "Those of them that are open", open);
        let bytes = totals.iter().flat_map(|(key, totals)| {
            let [host, via] = labels(key);
            ["client", "origin"]
                .into_iter()
                .zip(totals.bytes)
                .map(move |(from, bytes)| ([host.clone(), via.clone(), ("from", from.to_owned())], bytes))
        });
        metrics.counter("passed_bytes", "Bytes that were passed on; XDP counts headers in", bytes);
        let up =
            self.origins.iter().map(|(address, origin)| ([("origin", address.to_string())], origin.is_up().into()));
        metrics.gauge("origin_up", "Whether an origin answers", up);
        let failures =
            self.origins.iter().map(|(address, origin)| ([("origin", address.to_string())], origin.failures()));
        metrics.counter("origin_check_failures", "Checks of an origin that failed", failures);
    }

    async fn add_state(&self, metrics: &mut Metrics) {
        let (_, generation) = self.state().await;
        metrics.gauge("generation", "Generation of the rules that was asked for last", [([], generation)]);
        let maps = self.publisher.datapath().generation().map(|generation| ([], generation));
        metrics.gauge("xdp_generation", "Generation of the rules that the XDP maps agree with", maps);
        metrics.gauge(
            "revoked_certificates",
            "Certificates in the revocation set",
            [([], self.revocations.len() as u64)],
        );
        metrics.gauge("uptime_seconds", "Seconds since the start", [([], self.started.elapsed().as_secs())]);
        let access = self.access.losses();
        metrics.counter(
            "access_records_dropped",
            "Access records that the log was too slow for",
            [([], access.dropped)],
        );
        metrics.counter("access_records_failed", "Access records that could not be written", [([], access.failed)]);
        let events = self.events.status();
        let file = events.file.map(|(_, losses)| losses).unwrap_or_default();
        metrics.counter("events", "Requests that were refused or logged", [([], events.recorded)]);
        metrics.counter("events_dropped", "Events that came too fast to be taken", [([], events.dropped)]);
        metrics.counter("events_file_dropped", "Events that the file was too slow for", [([], file.dropped)]);
        metrics.counter("events_file_failed", "Events that could not be written to the file", [([], file.failed)]);
    }
    fn add_crls(&self, metrics: &mut Metrics) {
        let reports = self.crls().reports();
        let gauge = |value: fn(&Report) -> Option<u64>| {
            let labelled = move |report: &Report| {
                let labels = [("authority", report.authority.to_string()), ("name", report.name.clone())];
                value(report).map(|value| (labels, value))
            };
            reports.iter().filter_map(labelled).collect::<Vec<_>>()
        };
        let current = gauge(|report| Some((report.standing == Standing::Current).into()));
        metrics.gauge("crl_current", "Whether the CRL of an uploaded authority can be relied on", current);
        let refuses = gauge(|report| Some(report.refuses().into()));
        metrics.gauge("crl_refuses", "Whether the authority's certificates are refused because it cannot", refuses);
        let entries = gauge(|report| report.crl.as_ref().map(|crl| crl.revoked().len() as u64));
        metrics.gauge("crl_entries", "Certificates that the CRL of an uploaded authority revokes", entries);
        let next = gauge(|report| u64::try_from(report.crl.as_ref()?.next_update()?.unix_seconds()).ok());
        metrics.gauge("crl_next_update_seconds", "When the CRL ends, in seconds since 1970", next);
        let failures = gauge(|report| report.checks().map(|(_, checked)| u64::from(checked.failures)).max());
        metrics.gauge("crl_failures", "How often the last looks at its source failed, one after the other", failures);
    }
}
