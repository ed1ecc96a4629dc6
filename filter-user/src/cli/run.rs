//! `mtls-filter run`.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};

use super::RunArgs;
use crate::app::App;
use crate::config::{Config, Datapath};
use crate::telemetry;

/// Runs the daemon until it is told to stop.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    telemetry::init_diagnostics().map_err(|error| anyhow!(error))?;
    let mut config = match Config::load(&args.config.config) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return Ok(ExitCode::FAILURE);
        }
    };
    if let Some(datapath) = args.datapath {
        if datapath != Datapath::Socket && config.edge.interface.is_none() {
            bail!("--datapath {datapath} needs `edge.interface` in the configuration file");
        }
        config.edge.datapath = datapath;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control plane's runtime")?;
    runtime.block_on(async {
        let app = App::build(config)?;
        app.run().await
    })?;
    Ok(ExitCode::SUCCESS)
}
