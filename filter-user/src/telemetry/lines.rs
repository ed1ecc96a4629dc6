//! JSON lines that are written by a thread of their own.
//!
//! Whoever has something to write never waits for a disk: it goes into a bounded queue. When the writer cannot keep up, lines are dropped
//! and counted; when they cannot be written, that is counted too, and the reason kept for `status`.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use serde::Serialize;

use super::limits::QUEUE;

/// What became of the lines.
#[derive(Debug, Default)]
pub(super) struct Tally {
    dropped: AtomicU64,
    failed: AtomicU64,
    error: Mutex<Option<String>>,
}

/// What became of lines that were to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// Lines that were dropped because the writer could not keep up.
    pub dropped: u64,
    /// Lines that could not be written.
    pub failed: u64,
    /// Why the last one could not; none while lines can be written.
    pub error: Option<String>,
}

impl Tally {
    pub(super) fn losses(&self) -> Losses {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Losses { dropped: self.dropped.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed), error }
    }

    /// Keeps why lines cannot be written. Whether that is news.
    fn set_error(&self, error: Option<String>) -> bool {
        let mut kept = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let news = kept.is_some() != error.is_some();
        *kept = error;
        news
    }
}

/// The end of a queue of lines where they are put in. Cheap to clone.
#[derive(Debug)]
pub(super) struct Lines<T> {
    queue: Sender<T>,
    tally: Arc<Tally>,
}

impl<T> Clone for Lines<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), tally: self.tally.clone() }
    }
}

impl<T: Serialize + Send + 'static> Lines<T> {
    /// Starts a thread that writes to `output`, each line by one call. `name` is that of the thread.
    pub(super) fn start(name: &'static str, output: impl Write + Send + 'static) -> io::Result<(Self, Writer)> {
        let (queue, lines) = bounded(QUEUE);
        let tally = Arc::new(Tally::default());
        let counted = tally.clone();
        let thread =
            thread::Builder::new().name(name.into()).spawn(move || write_all(name, &lines, output, &counted))?;
        Ok((Self { queue, tally }, Writer(thread)))
    }

    /// Hands something to the writer, without waiting.
    pub(super) fn write(&self, line: T) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(line) {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of the lines, for whoever does not write any.
    pub(super) fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }
}

/// A thread that writes; ends when nobody is left who could hand it something.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl Writer {
    pub(super) fn of(thread: JoinHandle<()>) -> Self {
        Self(thread)
    }

    /// Waits until the last line is written.
    pub fn join(self) {
        // A panic of the writer was already reported by its thread.
        let _ = self.0.join();
    }
}

/// Writes in batches: flushes when the queue runs empty, not after each line.
fn write_all<T: Serialize>(name: &str, lines: &Receiver<T>, mut output: impl Write, tally: &Tally) {
    while let Ok(first) = lines.recv() {
        let mut result = Ok(());
        let mut next = Some(first);
        while let Some(line) = next {
            let written = write_line(&mut output, &line);
            if written.is_err() {
                tally.failed.fetch_add(1, Ordering::Relaxed);
            }
            result = result.and(written);
            next = lines.try_recv().ok();
        }
        let result = result.and(output.flush());
        match &result {
            Err(error) if tally.set_error(Some(error.to_string())) => {
                tracing::error!(log = name, %error, "cannot be written; requests are served without it");
            }
            Ok(()) if tally.set_error(None) => tracing::info!(log = name, "can be written again"),
            Err(_) | Ok(()) => {}
        }
    }
}

fn write_line(output: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    output.write_all(&text)
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::unbounded;

    use super::*;

    /// Passes on what is written when it is allowed to, and fails on lines with an `x`.
    struct Gate {
        open: Receiver<()>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.open.recv();
            if bytes.contains(&b'x') {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_the_rest_is_written() {
        let (open, wait) = unbounded();
        let (sender, written) = unbounded();
        let (lines, writer) = Lines::start("test", Gate { open: wait, written: sender }).unwrap();
        lines.write(0);
        // The writer has taken the first one, and waits.
        while !lines.queue.is_empty() {
            thread::yield_now();
        }
        for number in 1..=QUEUE {
            lines.write(number);
        }
        assert_eq!(lines.tally().losses().dropped, 0, "as many as may wait");
        lines.write(QUEUE + 1);
        assert_eq!(lines.tally().losses().dropped, 1, "one more");
        drop(open);
        drop(lines);
        writer.join();
        let written: Vec<_> = written.iter().collect();
        assert_eq!(written.len(), QUEUE + 1);
        assert_eq!(written.last().unwrap(), &format!("{QUEUE}\n"));
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_reason_kept_until_one_can() {
        let (open, wait) = unbounded();
        let (sender, written) = unbounded();
        let (lines, _writer) = Lines::start("test", Gate { open: wait, written: sender }).unwrap();
        let wait_for = |losses: &dyn Fn(&Losses) -> bool| {
            while !losses(&lines.tally().losses()) {
                thread::yield_now();
            }
        };
        lines.write("x");
        open.send(()).unwrap();
        wait_for(&|losses| losses.failed == 1 && losses.error.as_deref() == Some("no storage space"));
        lines.write("y");
        open.send(()).unwrap();
        wait_for(&|losses| losses.error.is_none());
        assert_eq!(written.recv().unwrap(), "\"y\"\n");
        assert_eq!(lines.tally().losses().failed, 1);
    }
}
