//! What is told about traffic: counters, access records, diagnostics.
//!
//! Every request, and every connection that ends before its first request, is counted once under one [`Reason`]; the same names
//! stand in the access log, in `status` and in the metrics.

mod access;
mod counters;
mod diagnostics;
mod metrics;
mod reason;

pub use access::{AccessLog, AccessRecord, ClientCertificate, Writer as AccessLogWriter};
pub use counters::Counters;
pub use diagnostics::init as init_diagnostics;
pub use metrics::{Labels, METRICS_TYPE, Metrics};
pub use reason::Reason;
