//! Waiting for what is on its way.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use filter_tests::lab::{Lab, patience};

/// How long something that is on its way may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until it `is`.
pub(crate) fn wait_for(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + patience(PATIENCE);
    while !is()? {
        anyhow::ensure!(Instant::now() < deadline, "after {:?} still not: {what}", patience(PATIENCE));
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until everything that the rules allow to be spliced is: at the start, a neighbour towards an origin may not have answered yet.
pub(crate) fn wait_until_spliced(lab: &Lab) -> Result<()> {
    let notes = || lab.filter.status().map(|status| status.datapath_notes());
    wait_for("spliced", || Ok(notes()?.is_empty())).with_context(|| format!("{:?}", notes()))
}
