//! CPU time of the whole machine, as the kernel accounts it: what softirqs take for a connection is nobody's process.

use std::fs;

use anyhow::{Context as _, Result};

/// Columns of `/proc/stat` that are work: user, nice, system, irq, softirq (proc(5)); neither idle nor waiting nor stolen.
const WORK: [usize; 5] = [1, 2, 3, 6, 7];

/// Seconds that all CPUs have worked since the machine started.
pub(super) fn seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let columns: Vec<&str> = line.split_whitespace().collect();
    let ticks: f64 = WORK.iter().filter_map(|&column| columns.get(column)?.parse::<f64>().ok()).sum();
    // USER_HZ, which is 100 on every architecture that matters here.
    Ok(ticks / 100.0)
}
