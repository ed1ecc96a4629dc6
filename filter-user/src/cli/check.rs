//! `mtls-filter check`.

use std::process::ExitCode;

use super::{ConfigArgs, print};
use crate::config::Config;

/// Prints every problem of the file on its own line; exit code 1 if there is one.
pub(super) fn check(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    match Config::load(&args.config) {
        Ok(config) => {
            let hosts = config.hosts().count();
            let mtls = config.hosts().filter(|(_, host)| host.mtls).count();
            let zones = config.zones.len();
            print::line(format_args!(
                "{}: ok: {zones} zones, {hosts} hosts, {mtls} of them with mTLS",
                args.config.display()
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            eprintln!("{problems}");
            Ok(ExitCode::FAILURE)
        }
    }
}
