//! Events: requests that were blocked or logged, for whoever asks what happened, or looks on.
//!
//! Workers hand records to a bounded queue and go on. One thread gives each a number, keeps the newest in memory ([`Ring`]), wakes who
//! follows, and passes them on to the thread that writes the file: a disk that hangs keeps nobody from looking.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, Sender, bounded};
use tokio::sync::watch;

use super::access::AccessLog;
use super::limits::QUEUE;
use super::lines::{Lines, Losses, Tally, Writer};
use super::record::{AccessRecord, EventAction};
use super::ring::{Event, Following, Ring};
use super::rotate::{RotatingFile, Rotation};

/// The events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Locked by the thread that fills it and by who reads; never by a worker.
    ring: Mutex<Ring>,
    /// Number of the newest event, and whether there will be others.
    tail: watch::Sender<Tail>,
    recorded: AtomicU64,
    dropped: AtomicU64,
    /// The file, and what became of what should be in it.
    file: Option<(Rotation, Arc<Tally>)>,
}

/// How far the events have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Number of the newest event.
    pub newest: u64,
    /// No more will come: the daemon stops.
    pub ended: bool,
}

/// What there is to say of the events as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsStatus {
    /// Events since the start.
    pub recorded: u64,
    /// Events that were dropped because they came faster than they could be taken.
    pub dropped: u64,
    /// Events in memory.
    pub kept: usize,
    /// The file, and what became of what should be in it.
    pub file: Option<(Rotation, Losses)>,
}

impl Events {
    /// Keeps the newest events in `memory` bytes, and writes all to the file if there is one; what the file holds of earlier ones is read
    /// back. Returns where records go in, and the threads, which end after the last [`Recorder`].
    ///
    /// # Errors
    /// When the file cannot be read or written, or a thread cannot be started.
    pub fn start(
        access: AccessLog,
        memory: usize,
        file: Option<Rotation>,
    ) -> io::Result<(Recorder, Self, Vec<Writer>)> {
        let mut ring = Ring::new(memory);
        if let Some(rotation) = &file {
            read_back(rotation, memory, &mut ring)?;
        }
        let mut writers = Vec::new();
        let mut lines = None;
        if let Some(rotation) = &file {
            let (started, writer) = Lines::start("events-file", RotatingFile::open(rotation.clone())?)?;
            writers.push(writer);
            lines = Some(started);
        }
        // Numbers go on where those of the last run ended, even without a file: nobody makes a million events a second.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let newest = u64::try_from(now).unwrap_or_default().max(ring.newest().unwrap_or_default());
        let tally = lines.as_ref().map(Lines::tally);
        let events = Self(Arc::new(Shared {
            ring: Mutex::new(ring),
            tail: watch::Sender::new(Tail { newest, ended: false }),
            recorded: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            file: file.zip(tally),
        }));
        let (queue, records) = bounded(QUEUE);
        let taking = events.clone();
        let thread =
            thread::Builder::new().name("events".into()).spawn(move || taking.take_all(&records, lines.as_ref()))?;
        writers.push(Writer::of(thread));
        Ok((Recorder { access, queue, events: events.clone() }, events, writers))
    }

    fn take_all(&self, records: &Receiver<Arc<AccessRecord>>, lines: Option<&Lines<Arc<Event>>>) {
        let mut number = self.0.tail.borrow().newest;
        while let Ok(first) = records.recv() {
            let mut next = Some(first);
            while let Some(record) = next {
                number = number.saturating_add(1);
                let event = Arc::new(Event { number, record: Arc::unwrap_or_clone(record) });
                self.ring().push(event.clone());
                self.0.recorded.fetch_add(1, Ordering::Relaxed);
                if let Some(lines) = lines {
                    lines.write(event);
                }
                next = records.try_recv().ok();
            }
            self.0.tail.send_modify(|tail| tail.newest = number);
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest events before a number, newest first.
    pub fn before(&self, number: u64, count: usize) -> Vec<Arc<Event>> {
        self.ring().before(number, count)
    }

    /// The oldest events after a number.
    pub fn after(&self, number: u64, count: usize) -> Following {
        self.ring().after(number, count)
    }

    /// How far they have come, now and from now on.
    pub fn tail(&self) -> watch::Receiver<Tail> {
        self.0.tail.subscribe()
    }

    /// Tells who follows that no more will come.
    pub fn end(&self) {
        self.0.tail.send_modify(|tail| tail.ended = true);
    }

    /// What there is to say of them as a whole.
    pub fn status(&self) -> EventsStatus {
        EventsStatus {
            recorded: self.0.recorded.load(Ordering::Relaxed),
            dropped: self.0.dropped.load(Ordering::Relaxed),
            kept: self.ring().len(),
            file: self.0.file.as_ref().map(|(rotation, tally)| (rotation.clone(), tally.losses())),
        }
    }
}

/// Puts the newest events of the files into the ring.
fn read_back(rotation: &Rotation, memory: usize, ring: &mut Ring) -> io::Result<()> {
    let mut unreadable = 0_u64;
    let bytes = u64::try_from(memory).unwrap_or(u64::MAX);
    rotation.read_back(bytes, |line| match serde_json::from_str::<Event>(line) {
        Ok(event) if ring.newest().is_none_or(|newest| newest < event.number) => ring.push(Arc::new(event)),
        Ok(_) | Err(_) => unreadable = unreadable.saturating_add(1),
    })?;
    if unreadable > 0 {
        let file = rotation.path.display();
        tracing::warn!(%file, lines = unreadable, "some lines are no events, and are passed over");
    }
    Ok(())
}

/// Where workers put their records: into the access log, and into the events if they are some. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder {
    access: AccessLog,
    queue: Sender<Arc<AccessRecord>>,
    events: Events,
}

impl Recorder {
    /// Whether a record of a request is wanted: if not, it need not even be made. `action` is why it is an event, if it is one.
    pub fn wants(&self, action: Option<EventAction>) -> bool {
        if self.access.is_on() || action.is_none() {
            return self.access.is_on();
        }
        let has_room = !self.queue.is_full();
        if !has_room {
            self.drop_event();
        }
        has_room
    }

    /// Hands a record on, without waiting.
    pub fn write(&self, record: AccessRecord) {
        let record = Arc::new(record.bounded());
        if record.action.is_some() && self.queue.try_send(record.clone()).is_err() {
            self.drop_event();
        }
        self.access.write(record);
    }

    fn drop_event(&self) {
        self.events.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
