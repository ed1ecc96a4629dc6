//! Many clients at once, to see what a change lets through while it is being made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::super::patience::patience;
use super::Outcome;
use super::connection::Connection;
use super::tls::{Dialer, Tls};

/// A request of the load and what came of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When the client began: before it connected, if it opened a connection for this request.
    pub sent: Instant,
    /// What came of it.
    pub outcome: Outcome,
    /// How long that took, the connection included if one was opened.
    pub took: Duration,
}

/// Clients that send requests until they are stopped. Half of them keep their connection, the others open one for each request.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Sample>>>,
}

impl Load {
    /// Starts `clients` clients.
    pub(in super::super) fn start(tls: &Tls<'_>, clients: usize) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (namespace, dialer) = tls.dialer()?;
        // A thread that is started inside a namespace is in it from the beginning.
        let threads = namespace.enter(|| {
            let spawn = |index: usize| {
                let mut client = Client { dialer: dialer.clone(), keep: index.is_multiple_of(2), open: None };
                let stop = Arc::clone(&stop);
                thread::spawn(move || client.run(&stop))
            };
            Ok((0..clients).map(spawn).collect())
        })?;
        Ok(Self { stop, threads })
    }

    /// Lets the clients go on for a while.
    pub fn run_for(&self, time: Duration) {
        thread::sleep(patience(time));
    }

    /// Stops the clients and returns every request they made.
    ///
    /// # Errors
    /// If a client panicked, or none made a request.
    pub fn stop(self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut samples = Vec::new();
        for thread in self.threads {
            samples.extend(thread.join().map_err(|_| anyhow!("a client of the load panicked"))?);
        }
        if samples.is_empty() {
            bail!("the load made no request");
        }
        Ok(samples)
    }
}

struct Client {
    dialer: Dialer,
    keep: bool,
    open: Option<Connection>,
}

impl Client {
    fn run(&mut self, stop: &AtomicBool) -> Vec<Sample> {
        let mut samples = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let sent = Instant::now();
            let outcome = self.request().unwrap_or_else(|error| Outcome::of_error(&error));
            samples.push(Sample { sent, outcome, took: sent.elapsed() });
        }
        samples
    }

    fn request(&mut self) -> Result<Outcome> {
        let mut connection = match self.open.take() {
            Some(connection) => connection,
            None => self.dialer.open()?,
        };
        let response = connection.get("/load")?;
        if self.keep && !response.closes() {
            self.open = Some(connection);
        }
        Ok(Outcome::Status(response.status))
    }
}
