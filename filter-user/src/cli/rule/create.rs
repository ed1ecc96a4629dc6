//! `mtls-filter rule create`.

use anyhow::bail;
use clap::Args;

use super::super::ZoneArgs;
use super::response::ResponseArgs;
use super::{DryRun, Place, print_written};
use crate::control::api::dto::{CreateMtlsRule, CreateRule, Rule, Written};

#[derive(Debug, Args)]
pub(in super::super) struct Create {
    #[command(flatten)]
    zone: ZoneArgs,
    /// A name for the rule.
    #[arg(long)]
    name: String,
    /// Hosts that only clients with a valid certificate may reach; all mTLS-enabled hosts of the zone if neither this nor an
    /// expression is given.
    #[arg(long = "host", value_name = "HOST", conflicts_with = "expression")]
    hosts: Vec<String>,
    /// Blocks clients with a revoked certificate as well; so it is unless `--allow-revoked` is given.
    #[arg(long, conflicts_with_all = ["expression", "allow_revoked"])]
    reject_revoked: bool,
    /// Lets clients with a revoked certificate through, as a rule without `cert_revoked` does.
    #[arg(long, conflicts_with = "expression")]
    allow_revoked: bool,
    /// Any expression of the rule language.
    #[arg(long)]
    expression: Option<String>,
    /// What happens when the expression is true: block, log or skip.
    #[arg(long, default_value = "block", requires = "expression")]
    action: String,
    /// Deploys the rule disabled.
    #[arg(long, requires = "expression")]
    disabled: bool,
    #[command(flatten)]
    response: ResponseArgs,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Create {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let (client, zone) = self.zone.connect().await?;
        let (query, position) = (self.dry_run.query(), self.place.position());
        let response = self.response.read()?;
        let written: Written<Rule> = match self.expression {
            Some(expression) => {
                let (name, action, enabled) = (self.name, self.action, !self.disabled);
                let rule = CreateRule { name, expression, action, response, enabled, position };
                client.post(&format!("/api/v1/zones/{zone}/rules{query}"), &rule).await?
            }
            None if response.is_some() => bail!("a response of its own belongs to a rule with --expression"),
            None => {
                let hosts = (!self.hosts.is_empty()).then_some(self.hosts);
                let rule =
                    CreateMtlsRule { name: self.name, hosts, reject_revoked: Some(!self.allow_revoked), position };
                client.post(&format!("/api/v1/zones/{zone}/mtls-rules{query}"), &rule).await?
            }
        };
        print_written(&written, &self.dry_run, self.zone.remote.json)
    }
}
