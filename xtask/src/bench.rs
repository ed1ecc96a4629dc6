//! `cargo xtask bench`: measures. What it prints informs; no test depends on it.

use anyhow::{Result, bail};

use crate::lint;
use crate::run::{loudly, names_of_sources, say, workspace_root};

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure; all suites whose names begin with this: `rules` runs `rules` and `rules_goals`.
    suite: Option<String>,
    /// Arguments of the benches themselves.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    let all = names_of_sources(&workspace_root().join("bench/benches"))?;
    let wanted = args.suite.as_deref().unwrap_or_default();
    let chosen: Vec<_> = all.iter().filter(|suite| suite.starts_with(wanted)).collect();
    if chosen.is_empty() {
        bail!("there is no suite {wanted}; there are {}", all.join(", "));
    }
    for suite in chosen {
        say(format_args!("bench {suite}"));
        let mut cargo = lint::cargo("bench");
        cargo.args(["--package", "filter-bench", "--bench", suite]);
        if !args.arguments.is_empty() {
            cargo.arg("--").args(&args.arguments);
        }
        loudly(&mut cargo)?;
    }
    Ok(())
}
