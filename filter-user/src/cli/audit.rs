//! `mtls-filter audit`.

use clap::Args;

use super::client::Client;
use super::{RemoteArgs, print};
use crate::control::api::dto::{Audit, Refusal};

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Attempts that were refused for bad credentials, in place of changes.
    #[arg(long, conflicts_with = "before")]
    refused: bool,
    /// Only changes before this generation.
    #[arg(long, value_name = "GENERATION")]
    before: Option<u64>,
    /// Most records to show, 1 to 1000.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl AuditArgs {
    /// Prints who changed what, newest first. JSON has every record before and after.
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let client = Client::new(&self.remote.socket);
        if self.refused {
            let refusals: Vec<Refusal> = client.get(&format!("/api/v1/audit/refused?limit={}", self.limit)).await?;
            if self.remote.json {
                return print::json(&refusals);
            }
            let rows =
                refusals.into_iter().map(|Refusal { at, origin, request, reason }| [at, origin, request, reason]);
            return print::table(["TIME", "FROM", "REQUEST", "REASON"], &rows.collect::<Vec<_>>());
        }
        let before = self.before.map(|before| format!("&before={before}")).unwrap_or_default();
        let records: Vec<Audit> = client.get(&format!("/api/v1/audit?limit={}{before}", self.limit)).await?;
        if self.remote.json {
            return print::json(&records);
        }
        let rows = records.into_iter().map(|record| {
            let mut changed: Vec<_> = record.changes.into_iter().map(|change| change.key).collect();
            if record.omitted > 0 {
                changed.push(format!("and {} more", record.omitted));
            }
            [record.generation.to_string(), record.at, record.actor, record.origin, record.action, changed.join(" ")]
        });
        print::table(["GENERATION", "TIME", "WHO", "FROM", "WHAT", "CHANGED"], &rows.collect::<Vec<_>>())
    }
}
