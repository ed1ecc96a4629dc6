//! Checks origins by connecting to them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Origin, Origins};
use crate::config::Check;

/// Checks that are made at a time. With more origins than this, a check waits until another one is done.
const MAX_CHECKS: usize = 256;

/// Checks the origins until it is dropped, and notifies `changed` when one is taken out or brought back.
pub async fn check(origins: Arc<Origins>, check: Check, changed: Arc<Notify>) {
    let places = Arc::new(Semaphore::new(MAX_CHECKS));
    let mut checks = JoinSet::new();
    for address in origins.0.keys().copied() {
        let (origins, changed, places) = (origins.clone(), changed.clone(), places.clone());
        checks.spawn(async move {
            if let Some(origin) = origins.0.get(&address) {
                watch(address, origin, check, &changed, &places).await;
            }
        });
    }
    checks.join_all().await;
}

async fn watch(address: SocketAddr, origin: &Origin, check: Check, changed: &Notify, places: &Semaphore) {
    let mut ticks = interval(check.interval);
    // A host that was suspended must not be checked many times at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut history = History { up: true, streak: 0 };
    loop {
        ticks.tick().await;
        let Ok(_place) = places.acquire().await else { return };
        let result = connect(address, check.timeout).await;
        if let Err(error) = &result {
            origin.note_failure(&error.to_string());
        }
        if let Some(up) = history.note(result.is_ok(), check) {
            match result {
                Ok(()) => tracing::info!(%address, "an origin answers again"),
                Err(error) => tracing::warn!(%address, %error, "an origin is taken out: it does not answer"),
            }
            origin.set(up);
            changed.notify_one();
        }
    }
}

async fn connect(address: SocketAddr, limit: Duration) -> io::Result<()> {
    let stream =
        timeout(limit, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    // A reset: the origin's kernel need not keep the end of a connection that carried nothing.
    stream.set_zero_linger()
}

/// What the last checks of an origin came to.
#[derive(Debug)]
pub(super) struct History {
    pub(super) up: bool,
    /// Checks in a row that say the opposite of `up`.
    pub(super) streak: u32,
}

impl History {
    /// Takes in the result of a check. Returns whether the origin is up now, if that has changed.
    pub(super) fn note(&mut self, succeeded: bool, check: Check) -> Option<bool> {
        if succeeded == self.up {
            self.streak = 0;
            return None;
        }
        self.streak = self.streak.saturating_add(1);
        if self.streak < if self.up { check.fall } else { check.rise } {
            return None;
        }
        *self = Self { up: succeeded, streak: 0 };
        Some(succeeded)
    }
}
