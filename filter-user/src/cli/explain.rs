//! `mtls-filter explain`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::{ZoneArgs, print};
use crate::control::api::dto::ExplainedRule;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    zone: ZoneArgs,
    /// A file of facts, such as {"http.host": "a", "cf.tls_client_auth.cert_verified": true}; a fact that is not given is missing. Or a
    /// record of the access log: blocked requests have the facts of their verdict in it. `-` is standard input.
    #[arg(long, value_name = "FILE")]
    facts: PathBuf,
}

impl ExplainArgs {
    /// Prints what each rule of the zone makes of the facts, and why.
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let text = if self.facts == Path::new("-") {
            io::read_to_string(io::stdin()).context("cannot read standard input")?
        } else {
            fs::read_to_string(&self.facts).with_context(|| format!("cannot read {}", self.facts.display()))?
        };
        let mut facts: Value = serde_json::from_str(&text).with_context(|| self.facts.display().to_string())?;
        if let Some(recorded) = facts.get_mut("facts") {
            facts = recorded.take();
        }
        let (client, zone) = self.zone.connect().await?;
        let path = format!("/api/v1/zones/{zone}/explain");
        let rules: Vec<ExplainedRule> = client.post(&path, &json!({ "facts": facts })).await?;
        if self.zone.remote.json {
            return print::json(&rules);
        }
        let decided = rules.iter().find(|rule| rule.fate == "decided");
        for rule in &rules {
            print::line(format_args!("{} {:?} ({}): {}", rule.id, rule.name, rule.action, rule.fate))?;
            for comparison in &rule.comparisons {
                print::line(format_args!(
                    "  {}: {}; value: {}",
                    comparison.text, comparison.results, comparison.value
                ))?;
            }
        }
        print::line(format_args!(
            "verdict: {}",
            decided.map_or("allow", |rule| if rule.action == "block" { "block" } else { "allow" })
        ))?;
        Ok(())
    }
}
