//! `mtls-filter rule`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{ZoneArgs, print};
use crate::control::api::dto::{BlockResponse, CreateMtlsRule, CreateRule, Id, Rule, Written};

/// Rules.
#[derive(Debug, Subcommand)]
pub(super) enum RuleCommand {
    /// Creates a rule and deploys it: when the command returns, every worker enforces it.
    Create(Create),
    /// Lists the rules of a zone, in the order in which they are evaluated.
    List(ZoneArgs),
    /// Deletes a rule.
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    zone: ZoneArgs,
    /// A name for the rule.
    #[arg(long)]
    name: String,
    /// Hosts that only clients with a valid certificate may reach; all mTLS-enabled hosts of the zone if neither this nor an
    /// expression is given.
    #[arg(long = "host", value_name = "HOST", conflicts_with = "expression")]
    hosts: Vec<String>,
    /// Lets clients with a revoked certificate through, as a rule without `cert_revoked` does.
    #[arg(long, conflicts_with = "expression")]
    allow_revoked: bool,
    /// Any expression of the rule language.
    #[arg(long)]
    expression: Option<String>,
    /// What happens when the expression is true: block, log or skip.
    #[arg(long, default_value = "block", requires = "expression")]
    action: String,
    /// Status of the response to what is blocked, 400 to 499, in place of the block page.
    #[arg(long, value_name = "STATUS", requires_all = ["response_body", "expression"])]
    response_status: Option<u16>,
    /// File with the body of that response, at most 2 KB.
    #[arg(long, value_name = "FILE", requires = "response_status")]
    response_body: Option<PathBuf>,
    /// Content type of that response: text/html, text/plain, application/json or text/xml.
    #[arg(long, value_name = "TYPE", default_value = "text/html", requires = "response_status")]
    response_type: String,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The id, as `rule list` shows it.
    id: String,
    #[command(flatten)]
    zone: ZoneArgs,
}

impl RuleCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => args.execute().await,
            Self::List(args) => list(&args).await,
            Self::Delete(args) => args.execute().await,
        }
    }
}

impl Create {
    async fn execute(self) -> anyhow::Result<()> {
        let (client, zone) = self.zone.connect().await?;
        let written: Written<Rule> = match self.expression {
            Some(expression) => {
                let response = match (self.response_status, &self.response_body) {
                    (Some(status_code), Some(path)) => Some(BlockResponse {
                        status_code,
                        content_type: self.response_type,
                        content: fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
                    }),
                    _ => None,
                };
                let (name, action) = (self.name, self.action);
                let rule = CreateRule { name, expression, action, response, enabled: true, position: None };
                client.post(&format!("/api/v1/zones/{zone}/rules"), &rule).await?
            }
            None => {
                let hosts = (!self.hosts.is_empty()).then_some(self.hosts);
                let rule = CreateMtlsRule { name: self.name, hosts, reject_revoked: Some(!self.allow_revoked) };
                client.post(&format!("/api/v1/zones/{zone}/mtls-rules"), &rule).await?
            }
        };
        if self.zone.remote.json {
            return print::json(&written);
        }
        for warning in &written.warnings {
            eprintln!("warning: {}", warning.message);
        }
        let Written { value: rule, generation, .. } = written;
        print::line(format_args!(
            "{}  {} {}  (deployed as generation {generation})",
            rule.id, rule.action, rule.expression
        ))?;
        Ok(())
    }
}

async fn list(args: &ZoneArgs) -> anyhow::Result<()> {
    let (client, zone) = args.connect().await?;
    let rules: Vec<Rule> = client.get(&format!("/api/v1/zones/{zone}/rules")).await?;
    if args.remote.json {
        return print::json(&rules);
    }
    let rows: Vec<_> = rules
        .into_iter()
        .map(|rule| {
            let enabled = if rule.enabled { "enabled" } else { "disabled" };
            [rule.id, rule.name, rule.action, enabled.to_owned(), rule.expression]
        })
        .collect();
    print::table(["ID", "NAME", "ACTION", "STATE", "EXPRESSION"], &rows)
}

impl Delete {
    async fn execute(self) -> anyhow::Result<()> {
        let (client, zone) = self.zone.connect().await?;
        let written: Written<Id> = client.delete(&format!("/api/v1/zones/{zone}/rules/{}", self.id)).await?;
        if self.zone.remote.json {
            return print::json(&written);
        }
        print::line(format_args!("{}  deleted (generation {})", written.value.id, written.generation))?;
        Ok(())
    }
}
