//! What is told about traffic: counters, access records, diagnostics.
//!
//! Every request, and every connection that ends before its first request, is counted once under one [`Reason`]; the same names
//! stand in the access log, in `status` and in the metrics. What is written of a request is one [`AccessRecord`]: a line of the access
//! log, and an [`Event`] if the request was blocked or logged.

mod access;
mod counters;
mod diagnostics;
mod events;
pub mod limits;
mod lines;
mod metrics;
mod reason;
mod record;
mod ring;
mod rotate;

pub use access::AccessLog;
pub use counters::Counters;
pub use diagnostics::init as init_diagnostics;
pub use events::{Events, EventsStatus, Recorder, Tail};
pub use lines::{Losses, Writer};
pub use metrics::{Labels, METRICS_TYPE, Metrics};
pub use reason::Reason;
pub use record::{AccessRecord, ClientCertificate, EventAction};
pub use ring::{Event, Following};
pub use rotate::{MAX_FILES, Rotation};

#[cfg(test)]
pub(crate) use record::tests::blocked;
