//! `mtls-filter host`.

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::client::{Client, segment};
use super::{ZoneArgs, print};
use crate::control::api::dto::{Host, SetHost, Written, Zone};

/// Hosts of the zones, and on which of them clients are asked for a certificate.
#[derive(Debug, Subcommand)]
pub(super) enum HostCommand {
    /// Lists the hosts of all zones, or of one.
    List(ZoneArgs),
    /// Asks the clients of a host for a certificate from now on. It is a rule that says what happens without one.
    EnableMtls(One),
    /// Asks them no more.
    DisableMtls(One),
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The host, as the configuration file names it.
    host: String,
    #[command(flatten)]
    zone: ZoneArgs,
}

impl HostCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::List(args) => list(&args).await,
            Self::EnableMtls(one) => one.set(true).await,
            Self::DisableMtls(one) => one.set(false).await,
        }
    }
}

async fn list(args: &ZoneArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.remote.socket);
    let wanted = match &args.zone {
        Some(named) => Some(client.zone(Some(named)).await?),
        None => None,
    };
    let mut zones = client.zones().await?;
    zones.retain(|zone| wanted.as_ref().is_none_or(|wanted| zone.id == *wanted));
    if args.remote.json {
        return print::json(&zones.into_iter().flat_map(|zone| zone.hosts).collect::<Vec<_>>());
    }
    print(zones.iter().flat_map(|zone| zone.hosts.iter().map(|host| (zone.name.as_str(), host))))
}

/// Prints hosts, each with the name of its zone.
pub(super) fn print<'h>(hosts: impl Iterator<Item = (&'h str, &'h Host)>) -> anyhow::Result<()> {
    let rows = hosts.map(|(zone, host)| {
        let by = match (host.mtls, host.configured) {
            (false, _) => "",
            (true, true) => "configuration file",
            (true, false) => "command",
        };
        [zone.to_owned(), host.name.clone(), if host.mtls { "on" } else { "off" }.to_owned(), by.to_owned()]
    });
    print::table(["ZONE", "HOST", "MTLS", "BY"], &rows.collect::<Vec<_>>())
}

impl One {
    async fn set(&self, mtls: bool) -> anyhow::Result<()> {
        let client = Client::new(&self.zone.remote.socket);
        let zone = match &self.zone.zone {
            Some(named) => client.zone(Some(named)).await?,
            None => zone_of(&client.zones().await?, &self.host)?,
        };
        let path = format!("/api/v1/zones/{}/hosts/{}", segment(&zone), segment(&self.host));
        let written: Written<Host> = client.patch(&path, &SetHost { mtls }).await?;
        if self.zone.remote.json {
            return print::json(&written);
        }
        let Written { value: host, generation, .. } = written;
        let state = if host.mtls { "on" } else { "off" };
        print::line(format_args!("{}  mTLS {state} (generation {generation})", host.name))
    }
}

/// The id of the zone that a host is in.
fn zone_of(zones: &[Zone], host: &str) -> anyhow::Result<String> {
    let is_it = |zone: &&Zone| zone.hosts.iter().any(|known| known.name.eq_ignore_ascii_case(host));
    zones
        .iter()
        .find(is_it)
        .map(|zone| zone.id.clone())
        .ok_or_else(|| anyhow!("there is no host {host}: `host list` shows those of the configuration file"))
}
