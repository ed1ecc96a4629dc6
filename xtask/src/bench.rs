//! `cargo xtask bench`: measures. What it prints informs; no test depends on it.

use std::path::Path;

use anyhow::{Result, bail};

use crate::lint;
use crate::run::{loudly, say, workspace_root};

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
    let all = suites(&workspace_root().join("bench/benches"))?;
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

/// Names of the suites: one a file.
fn suites(directory: &Path) -> Result<Vec<String>> {
    let mut suites = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            suites.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    suites.sort();
    Ok(suites)
}
