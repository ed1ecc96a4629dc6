//! `mtls-filter ca`.

use clap::Subcommand;

use super::ca_crl::CrlCommand;
use super::{ZoneArgs, print};
use crate::control::api::dto::Authority;

/// Certificate authorities of the zones.
#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Prints the certificate of the zone's managed CA, as PEM.
    Show(ZoneArgs),
    /// Revocation lists: those of uploaded authorities, and the one that the zone's own publishes.
    #[command(subcommand)]
    Crl(CrlCommand),
}

impl CaCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let args = match self {
            Self::Show(args) => args,
            Self::Crl(command) => return command.execute().await,
        };
        let (client, zone) = args.connect().await?;
        let authority: Authority = client.get(&format!("/api/v1/zones/{zone}/ca")).await?;
        if args.remote.json {
            return print::json(&authority);
        }
        print::text(format_args!("{}", authority.certificate))?;
        Ok(())
    }
}
