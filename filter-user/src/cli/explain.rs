//! `mtls-filter explain`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::{ZoneArgs, print};
use crate::control::api::dto::{Event, ExplainedRule};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    zone: ZoneArgs,
    /// The ray id of a blocked or logged request: it stands on the page that a blocked client sees, and in `events`.
    #[arg(value_name = "RAY", required_unless_present = "facts", conflicts_with = "facts")]
    ray: Option<String>,
    /// A file of facts, such as {"http.host": "a", "cf.tls_client_auth.cert_verified": true}; a fact that is not given is missing. Or a
    /// record of the access log or of the events, which has the facts of its verdict in it. `-` is standard input.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
}

impl ExplainArgs {
    /// Prints what each rule of the zone makes of the facts, and why.
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let given = self.facts.as_deref().map(read_facts).transpose()?;
        let (client, zone) = self.zone.connect().await?;
        let event = match &self.ray {
            Some(ray) => Some(recorded(&client, &zone, ray).await?),
            None => None,
        };
        let facts = match (given, &event) {
            (Some(facts), _) => facts,
            (None, Some(event)) => event.facts.clone().ok_or_else(|| no_facts(event))?,
            (None, None) => bail!("say what to explain: a ray id, or --facts FILE"),
        };
        let path = format!("/api/v1/zones/{zone}/explain");
        let rules: Vec<ExplainedRule> = client.post(&path, &json!({ "facts": facts })).await?;
        if self.zone.remote.json {
            return print::json(&rules);
        }
        if let Some(event) = &event {
            print::line(format_args!("recorded at {}: {}", event.time, verdict_then(event)))?;
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

fn read_facts(path: &Path) -> anyhow::Result<Value> {
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin()).context("cannot read standard input")?
    } else {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    let mut facts: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(facts.get_mut("facts").map(Value::take).unwrap_or(facts))
}

async fn recorded(client: &Client, zone: &str, ray: &str) -> anyhow::Result<Event> {
    if ray.is_empty() || !ray.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!("`{ray}` is no ray id: `events` shows them");
    }
    client.get(&format!("/api/v1/zones/{zone}/events/{ray}")).await
}

fn no_facts(event: &Event) -> anyhow::Error {
    if event.rule.is_none() && event.logged.is_empty() {
        return anyhow!("no rule was asked: the request was refused as `{}`, status {}", event.reason, event.status);
    }
    anyhow!("the facts of this request were too many to be kept")
}

fn verdict_then(event: &Event) -> String {
    let by = event.rule.as_ref().map(|rule| format!(" by rule {rule}")).unwrap_or_default();
    let action = if event.action == "block" { "block" } else { "allow" };
    format!("{action}{by}, under generation {}; the rules of now say:", event.generation)
}
