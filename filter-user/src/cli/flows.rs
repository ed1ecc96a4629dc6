//! `mtls-filter flows`.

use clap::Args;

use super::client::Client;
use super::{RemoteArgs, print};
use crate::control::api::dto::PassedOn;

/// Lists the connections that are passed on unopened.
#[derive(Debug, Args)]
pub(super) struct FlowsArgs {
    /// Only those of this host, as it is named in the configuration.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl FlowsArgs {
    /// Prints them, the oldest first.
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let mut flows: Vec<PassedOn> = Client::new(&self.remote.socket).get("/api/v1/flows").await?;
        flows.retain(|flow| self.host.as_ref().is_none_or(|host| flow.host == *host));
        if self.remote.json {
            return print::json(&flows);
        }
        let rows: Vec<_> = flows
            .into_iter()
            .map(|flow| {
                [
                    flow.host,
                    flow.client,
                    flow.origin.unwrap_or_else(|| "none yet".to_owned()),
                    flow.via,
                    print::bytes(flow.bytes_from_client),
                    print::bytes(flow.bytes_from_origin),
                    seconds(flow.age_seconds),
                    seconds(flow.idle_seconds),
                ]
            })
            .collect();
        print::table(["HOST", "CLIENT", "ORIGIN", "VIA", "FROM CLIENT", "FROM ORIGIN", "AGE", "IDLE"], &rows)
    }
}

fn seconds(seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds.floor()).unwrap_or_default();
    humantime::format_duration(whole).to_string()
}
