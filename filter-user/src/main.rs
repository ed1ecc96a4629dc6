//! The `mtls-filter` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use filter_user::cli::{Cli, Closed, mistake};

fn main() -> ExitCode {
    match Cli::parse().execute() {
        Ok(code) => code,
        Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mtls-filter: {}", mistake(&error));
            ExitCode::FAILURE
        }
    }
}
