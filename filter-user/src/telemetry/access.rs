//! The access log: one JSON object a line, for every request.
//!
//! Workers never wait for a disk: they hand records to a bounded queue, and one thread formats and writes them. When the writer cannot
//! keep up, records are dropped and counted; requests are not slowed.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Reason;

/// Records that may wait for the writer.
pub(super) const QUEUE: usize = 16_384;

/// What is written of one request.
#[derive(Debug)]
pub struct AccessRecord {
    /// When the request head was complete.
    pub time: SystemTime,
    /// From the request head to the response head.
    pub duration: Duration,
    /// Identifier that the client was shown and the upstream was sent.
    pub ray_id: String,
    /// Worker that served it.
    pub worker: usize,
    /// Generation of the rules that decided.
    pub generation: u64,
    /// The client's address.
    pub client: SocketAddr,
    /// Host of the request, or of the SNI where the request named none.
    pub host: String,
    /// Request method.
    pub method: String,
    /// Path without the query, which may hold secrets.
    pub path: String,
    /// Status of the response.
    pub status: u16,
    /// Why.
    pub reason: Reason,
    /// Id of the rule that decided.
    pub rule: Option<String>,
    /// Ids of the `log` rules that matched.
    pub logged: Vec<String>,
    /// What a blocking verdict was made from, as `mtls-filter explain` takes it.
    pub facts: Option<serde_json::Value>,
    /// The client's certificate, if it presented one.
    pub certificate: Option<ClientCertificate>,
}

/// What is written of a client's certificate.
#[derive(Debug, Serialize)]
pub struct ClientCertificate {
    /// Issued by a CA of the host and within its validity.
    pub verified: bool,
    /// Revoked.
    pub revoked: bool,
    /// Why it was not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Serial number in upper-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate in lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// Subject, escaped.
    pub subject: String,
}

/// The form of a record in the log.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    ray_id: &'a str,
    client: SocketAddr,
    host: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    logged: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a ClientCertificate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<&'a serde_json::Value>,
    duration_us: u128,
    worker: usize,
    generation: u64,
}

impl AccessRecord {
    fn line(&self) -> Line<'_> {
        Line {
            time: OffsetDateTime::from(self.time).format(&Rfc3339).unwrap_or_default(),
            ray_id: &self.ray_id,
            client: self.client,
            host: &self.host,
            method: &self.method,
            path: &self.path,
            status: self.status,
            reason: self.reason.name(),
            rule: self.rule.as_deref(),
            logged: &self.logged,
            certificate: self.certificate.as_ref(),
            facts: self.facts.as_ref(),
            duration_us: self.duration.as_micros(),
            worker: self.worker,
            generation: self.generation,
        }
    }
}

/// The workers' end of the access log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog {
    queue: Option<Sender<AccessRecord>>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// A log that writes nothing; [`AccessLog::is_on`] is false, so records are not even made.
    pub fn off() -> Self {
        Self { queue: None, dropped: Arc::default() }
    }

    /// Appends to the file at `path`, which is made with mode 0640.
    ///
    /// # Errors
    /// When the file cannot be opened or the writer cannot be started.
    pub fn to_file(path: &Path) -> io::Result<(Self, Writer)> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        Self::to(file)
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// When the writer cannot be started.
    pub fn to_stdout() -> io::Result<(Self, Writer)> {
        Self::to(io::stdout())
    }

    fn to(output: impl Write + Send + 'static) -> io::Result<(Self, Writer)> {
        let (queue, records) = bounded(QUEUE);
        let thread = thread::Builder::new().name("access-log".into()).spawn(move || write_all(&records, output))?;
        Ok((Self { queue: Some(queue), dropped: Arc::default() }, Writer(thread)))
    }

    /// Whether records are wanted.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Hands a record to the writer, without waiting.
    pub fn write(&self, record: AccessRecord) {
        if let Some(queue) = &self.queue
            && let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(record)
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that were dropped because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The thread that writes; ends when every [`AccessLog`] is gone.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits until the last record is written.
    pub fn join(self) {
        // A panic of the writer was already reported by its thread.
        let _ = self.0.join();
    }
}

/// Writes in batches: flushes when the queue runs empty, not after each line.
fn write_all(records: &Receiver<AccessRecord>, output: impl Write) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    let mut failed = false;
    while let Ok(record) = records.recv() {
        let result = write_batch(&mut output, record, records);
        if let Err(error) = &result
            && !failed
        {
            tracing::error!(%error, "the access log cannot be written; requests are served without it");
        }
        failed = result.is_err();
    }
}

fn write_batch(output: &mut impl Write, first: AccessRecord, records: &Receiver<AccessRecord>) -> io::Result<()> {
    let mut next = Some(first);
    while let Some(record) = next {
        serde_json::to_writer(&mut *output, &record.line())?;
        output.write_all(b"\n")?;
        next = records.try_recv().ok();
    }
    output.flush()
}
