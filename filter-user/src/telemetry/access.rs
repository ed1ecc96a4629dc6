//! The access log: one JSON object a line, for every request.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::lines::{Lines, Losses, Writer};
use super::record::AccessRecord;

/// The access log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog(Option<Lines<Arc<AccessRecord>>>);

impl AccessLog {
    /// A log that writes nothing.
    pub fn off() -> Self {
        Self(None)
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
        let (lines, writer) = Lines::start("access-log", BufWriter::with_capacity(64 * 1024, output))?;
        Ok((Self(Some(lines)), writer))
    }

    /// Whether records are wanted.
    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Hands a record to the writer, without waiting.
    pub(super) fn write(&self, record: Arc<AccessRecord>) {
        if let Some(lines) = &self.0 {
            lines.write(record);
        }
    }

    /// What became of the records that could not be written.
    pub fn losses(&self) -> Losses {
        self.0.as_ref().map(|lines| lines.tally().losses()).unwrap_or_default()
    }
}
