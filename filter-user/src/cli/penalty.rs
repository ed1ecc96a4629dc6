//! `mtls-filter penalty`.

use std::net::IpAddr;

use clap::Subcommand;

use super::client::Client;
use super::{RemoteArgs, print};
use crate::control::api::dto::Penalty;

/// Addresses that XDP drops for what they did before.
#[derive(Debug, Subcommand)]
pub(super) enum PenaltyCommand {
    /// Lists them.
    List(RemoteArgs),
    /// Serves an address again.
    Pardon {
        /// The address.
        address: IpAddr,
        #[command(flatten)]
        remote: RemoteArgs,
    },
}

impl PenaltyCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::List(remote) => {
                let penalties: Vec<Penalty> = Client::new(&remote.socket).get("/api/v1/penalties").await?;
                if remote.json {
                    return print::json(&penalties);
                }
                let left = |seconds| humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string();
                let rows: Vec<_> =
                    penalties.into_iter().map(|penalty| [penalty.address, left(penalty.seconds_left)]).collect();
                print::table(["ADDRESS", "DROPPED FOR"], &rows)
            }
            Self::Pardon { address, remote } => {
                let client = Client::new(&remote.socket);
                let pardoned: Penalty = client.delete(&format!("/api/v1/penalties/{address}")).await?;
                if remote.json {
                    return print::json(&pardoned);
                }
                print::line(format_args!("{address} is served again"))
            }
        }
    }
}
