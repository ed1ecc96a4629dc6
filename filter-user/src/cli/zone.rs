//! `mtls-filter zone`.

use anyhow::Context;
use clap::{Args, Subcommand};

use super::client::{Client, segment};
use super::{RemoteArgs, print};
use crate::control::api::dto::{Setting, Zone};

/// Zones: they are in the configuration file.
#[derive(Debug, Subcommand)]
pub(super) enum ZoneCommand {
    /// Lists the zones.
    List(RemoteArgs),
    /// Shows a zone and its hosts.
    Show(One),
    /// Shows what is fixed for every zone and what to, under the names of Cloudflare's settings.
    Settings(One),
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The zone, by name or id; may be left out if there is only one.
    zone: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl ZoneCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::List(remote) => list(&remote).await,
            Self::Show(one) => one.show().await,
            Self::Settings(one) => one.settings().await,
        }
    }
}

async fn list(remote: &RemoteArgs) -> anyhow::Result<()> {
    let zones = Client::new(&remote.socket).zones().await?;
    if remote.json {
        return print::json(&zones);
    }
    let rows = zones.into_iter().map(|zone| {
        let mtls = zone.hosts.iter().filter(|host| host.mtls).count();
        [zone.id, zone.name, zone.hosts.len().to_string(), mtls.to_string()]
    });
    print::table(["ID", "NAME", "HOSTS", "WITH MTLS"], &rows.collect::<Vec<_>>())
}

impl One {
    async fn show(&self) -> anyhow::Result<()> {
        let client = Client::new(&self.remote.socket);
        let id = client.zone(self.zone.as_deref()).await?;
        let zone: Zone = client.get(&format!("/api/v1/zones/{}", segment(&id))).await?;
        if self.remote.json {
            return print::json(&zone);
        }
        print::record(&[("ID", &zone.id), ("NAME", &zone.name)])?;
        print::line(format_args!(""))?;
        super::host::print(zone.hosts.iter().map(|host| (zone.name.as_str(), host)))
    }

    async fn settings(&self) -> anyhow::Result<()> {
        let client = Client::new(&self.remote.socket);
        let id = client.zone(self.zone.as_deref()).await?;
        let settings: Vec<Setting> = client.get(&format!("/client/v4/zones/{}/settings", segment(&id))).await?;
        if self.remote.json {
            return print::json(&settings);
        }
        let rows: Result<Vec<_>, serde_json::Error> = settings
            .into_iter()
            .map(|setting| {
                let value = setting
                    .value
                    .as_str()
                    .map_or_else(|| serde_json::to_string(&setting.value), |text| Ok(text.to_owned()));
                Ok([setting.id, value?, if setting.editable { "yes" } else { "no" }.to_owned()])
            })
            .collect();
        print::table(["SETTING", "VALUE", "EDITABLE"], &rows.context("a setting cannot be shown")?)
    }
}
