//! `mtls-filter ca crl`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::client::Client;
use super::confirm::Confirmation;
use super::{RemoteArgs, ZoneArgs, print};
use crate::control::api::dto::{Crl, Id, SetCrl, UploadedAuthority, Written};

/// Revocation lists (CRLs).
#[derive(Debug, Subcommand)]
pub(super) enum CrlCommand {
    /// Lists the uploaded authorities, and what is known of their CRLs.
    List(RemoteArgs),
    /// Shows the CRL of an uploaded authority: what is loaded, and what came of the last looks at its sources.
    Show(One),
    /// Has the CRL of an uploaded authority loaded from a file or a server, and watched; what is not given stays.
    Set(Set),
    /// Puts a list in force that is in a file here: complete or delta, DER or PEM.
    Upload(Upload),
    /// Looks at the sources of a CRL now.
    Refresh(One),
    /// Takes the CRL of an uploaded authority away: its certificates are judged without one.
    Delete(Delete),
    /// Prints the CRL of the zone's managed CA, for other systems.
    Export(Export),
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The uploaded authority, by id or name; `ca crl list` shows both.
    authority: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    #[command(flatten)]
    one: One,
    /// Where complete lists come from: the absolute path of a file on the daemon's host, or an http or https URL.
    #[arg(long, value_name = "PATH-OR-URL")]
    source: Option<String>,
    /// Where delta lists come from.
    #[arg(long, value_name = "PATH-OR-URL")]
    delta_source: Option<String>,
    /// How often a server is asked, in seconds: 60 to 604800, 3600 at first. A file is looked at every two seconds.
    #[arg(long, value_name = "SECONDS")]
    refresh: Option<u32>,
    /// What becomes of the authority's certificates while there is no current list.
    #[arg(long, value_name = "POLICY")]
    when_stale: Option<Policy>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// They are not verified.
    Deny,
    /// They count; what was listed last stays revoked.
    Allow,
}

#[derive(Debug, Args)]
pub(super) struct Upload {
    #[command(flatten)]
    one: One,
    /// The list.
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    zone: ZoneArgs,
    /// DER in place of PEM; to a file only.
    #[arg(long, requires = "out")]
    der: bool,
    /// Writes the list to a file, in place of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A managed authority that was retired, by id.
    #[arg(long, value_name = "ID")]
    authority: Option<String>,
}

impl CrlCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::List(args) => list(&args).await,
            Self::Show(one) => {
                let (client, path) = one.connect().await?;
                show(&one.remote, &client.get(&path).await?)
            }
            Self::Set(args) => args.execute().await,
            Self::Upload(args) => {
                let (client, path) = args.one.connect().await?;
                let bytes = fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
                let written: Written<Crl> = client.upload(&format!("{path}/upload"), bytes).await?;
                show(&args.one.remote, &written.value)
            }
            Self::Refresh(one) => {
                let (client, path) = one.connect().await?;
                show(&one.remote, &client.post(&format!("{path}/refresh"), &serde_json::json!({})).await?)
            }
            Self::Delete(Delete { one, confirmation }) => {
                let (client, path) = one.connect().await?;
                confirmation.ask(format_args!("removing the CRL of {}", one.authority))?;
                let written: Written<Id> = client.delete(&path).await?;
                if one.remote.json { print::json(&written) } else { print::line(format_args!("{}", written.value.id)) }
            }
            Self::Export(args) => args.execute().await,
        }
    }
}

impl One {
    /// A client, and the path of the authority's CRL.
    async fn connect(&self) -> anyhow::Result<(Client, String)> {
        let client = Client::new(&self.remote.socket);
        let all: Vec<UploadedAuthority> = client.get("/api/v1/cas").await?;
        let mut found = all.iter().filter(|known| known.id == self.authority || known.name == self.authority);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok((client, format!("/api/v1/cas/{}/crl", one.id))),
            (Some(_), Some(_)) => {
                bail!("several uploaded authorities are called {}: name one by its id", self.authority)
            }
            (None, _) => Err(anyhow!("there is no uploaded authority {}: `ca crl list` shows them", self.authority)),
        }
    }
}

impl Set {
    async fn execute(self) -> anyhow::Result<()> {
        let (client, path) = self.one.connect().await?;
        let all: Vec<UploadedAuthority> = client.get("/api/v1/cas").await?;
        let before = all.into_iter().filter(|known| path.contains(&known.id)).find_map(|known| known.crl);
        let policy = self.when_stale.map(|policy| match policy {
            Policy::Deny => "deny".to_owned(),
            Policy::Allow => "allow".to_owned(),
        });
        let wanted = SetCrl {
            source: self.source.or_else(|| before.as_ref()?.source.clone()),
            delta_source: self.delta_source.or_else(|| before.as_ref()?.delta_source.clone()),
            refresh_seconds: self.refresh.or_else(|| Some(before.as_ref()?.refresh_seconds)),
            when_stale: policy.or_else(|| Some(before.as_ref()?.when_stale.clone())),
        };
        let written: Written<Crl> = client.put(&path, &wanted).await?;
        show(&self.one.remote, &written.value)
    }
}

impl Export {
    async fn execute(self) -> anyhow::Result<()> {
        let (client, zone) = self.zone.connect().await?;
        let form = if self.der { "der" } else { "pem" };
        let query = self.authority.map(|id| format!("?authority={id}")).unwrap_or_default();
        if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("an id of an authority is a UUID: the API lists those of a zone under /api/v1/zones/{zone}/cas");
        }
        let list = client.download(&format!("/api/v1/zones/{zone}/crl.{form}{query}")).await?;
        match &self.out {
            Some(path) => fs::write(path, &list).with_context(|| format!("cannot write {}", path.display())),
            None => print::text(format_args!("{}", String::from_utf8_lossy(&list))),
        }
    }
}

async fn list(args: &RemoteArgs) -> anyhow::Result<()> {
    let all: Vec<UploadedAuthority> = Client::new(&args.socket).get("/api/v1/cas").await?;
    if args.json {
        return print::json(&all);
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|authority| {
            let crl = authority.crl.map_or_else(|| "none".to_owned(), |crl| state(&crl));
            [authority.id, authority.name, authority.subject, crl]
        })
        .collect();
    print::table(["ID", "NAME", "SUBJECT", "CRL"], &rows)
}

fn show(args: &RemoteArgs, crl: &Crl) -> anyhow::Result<()> {
    if args.json {
        return print::json(crl);
    }
    table(std::slice::from_ref(crl))
}

/// Prints lists for people, and below what is wrong with any.
pub(super) fn table(crls: &[Crl]) -> anyhow::Result<()> {
    let rows: Vec<_> = crls.iter().map(row).collect();
    print::table(["AUTHORITY", "CRL", "NUMBER", "ENTRIES", "NEXT UPDATE", "WHEN STALE", "SOURCE"], &rows)?;
    for crl in crls {
        for check in crl.checks.iter().filter(|check| check.problem.is_some()) {
            let (at, problem) = (check.at.as_deref().unwrap_or_default(), check.problem.as_deref().unwrap_or_default());
            print::line(format_args!("{}: {} not taken at {at}: {problem}", crl.name, check.way))?;
        }
    }
    Ok(())
}

fn row(crl: &Crl) -> [String; 7] {
    let loaded = crl.loaded.as_ref();
    let next = loaded.map(|loaded| loaded.next_update.clone().unwrap_or_else(|| "none".to_owned()));
    [
        crl.name.clone(),
        state(crl),
        loaded.map(|loaded| loaded.number.clone()).unwrap_or_default(),
        loaded.map(|loaded| loaded.entries.to_string()).unwrap_or_default(),
        next.unwrap_or_default(),
        crl.when_stale.clone(),
        crl.source.clone().unwrap_or_else(|| "uploaded".to_owned()),
    ]
}

fn state(crl: &Crl) -> String {
    if crl.refuses { format!("{} (certificates refused)", crl.state) } else { crl.state.clone() }
}
