//! Waiting for what is on its way.

use std::time::{Duration, Instant};

use anyhow::Result;

/// How long something that is on its way may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until it `is`.
pub(crate) fn wait_for(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is()? {
        anyhow::ensure!(Instant::now() < deadline, "after {PATIENCE:?} still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
