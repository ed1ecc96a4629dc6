//! Metrics in the text format of OpenMetrics, which Prometheus reads.
//!
//! What is counted is counted elsewhere: in the maps of XDP, by each worker for itself. Here it is put together when somebody asks.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What the names of all metrics begin with.
const PREFIX: &str = "mtls_filter";

/// The media type of [`Metrics::render`].
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values of the labels of one sample.
pub type Labels<const N: usize> = [(&'static str, String); N];

/// Metrics at one moment.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// None yet.
    pub fn new() -> Self {
        Self(Registry::with_prefix(PREFIX))
    }

    /// Adds something that only grows. `_total` is put behind the name.
    pub fn counter<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) {
        let family = Family::<Vec<(&'static str, String)>, Counter>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels.into()).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    /// Adds something that goes up and down.
    pub fn gauge<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) {
        let family = Family::<Vec<(&'static str, String)>, Gauge>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels.into()).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.0.register(name, help, family);
    }

    /// The metrics as text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails only if a value cannot be formatted, and these are numbers.
        if let Err(error) = encode(&mut text, &self.0) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_names_labels_and_values_in_the_text_format() {
        let mut metrics = Metrics::new();
        metrics.counter(
            "packets",
            "Packets",
            [([("reason", "denied".to_owned())], 7), ([("reason", "a\"b".to_owned())], 0)],
        );
        metrics.gauge("generation", "Generation", [([], u64::MAX)]);
        let text = metrics.render();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "# EOF",
                "# HELP mtls_filter_generation Generation.",
                "# HELP mtls_filter_packets Packets.",
                "# TYPE mtls_filter_generation gauge",
                "# TYPE mtls_filter_packets counter",
                "mtls_filter_generation{} 9223372036854775807",
                "mtls_filter_packets_total{reason=\"a\\\"b\"} 0",
                "mtls_filter_packets_total{reason=\"denied\"} 7",
            ]
        );
    }
}
