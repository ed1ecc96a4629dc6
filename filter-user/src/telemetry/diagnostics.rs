//! Messages for the operator: standard error, filtered by `RUST_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging to standard error; `info` and above unless `RUST_LOG` says otherwise.
///
/// # Errors
/// When `RUST_LOG` cannot be parsed.
pub fn init() -> Result<(), String> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .map_err(|error| format!("RUST_LOG: {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    Ok(())
}
