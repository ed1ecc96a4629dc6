//! `mtls-filter detach`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::print;
use crate::config::PIN_DIRECTORY;
use crate::datapath;

/// Removes the XDP program that a daemon which has ended has left, and ends the connections that it splices.
#[derive(Debug, Args)]
pub(super) struct DetachArgs {
    /// Where it is pinned: `edge.pin` of the configuration.
    #[arg(long, value_name = "DIRECTORY", default_value = PIN_DIRECTORY)]
    pin: PathBuf,
}

impl DetachArgs {
    pub(super) fn execute(&self) -> anyhow::Result<ExitCode> {
        let was_there = datapath::detach(&self.pin).context("nothing was detached")?;
        let directory = self.pin.display();
        if was_there {
            print::line(format_args!("detached what was pinned in {directory}"))?;
        } else {
            print::line(format_args!("nothing is pinned in {directory}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
