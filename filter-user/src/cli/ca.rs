//! `mtls-filter ca`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::ca_crl::CrlCommand;
use super::client::{Client, segment};
use super::confirm::Confirmation;
use super::{RemoteArgs, ZoneArgs, print};
use crate::control::api::dto::{
    AccessCertificate, Authority, CreateMtlsCertificate, HostnameAssociation, Id, MtlsCertificate, Written,
};

/// Certificate authorities: the managed ones of the zones, and those that you bring.
#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Prints the certificate of the zone's managed CA, as PEM.
    Show(ZoneArgs),
    /// Lists the managed CAs of all zones or of one, and the uploaded ones.
    List(ZoneArgs),
    /// Uploads the certificate of a CA of your own. Its certificates count on the hosts that it is associated with.
    Upload(Upload),
    /// Makes a new CA issue for the zone. Certificates of the one before count on, until it is deleted.
    Rotate(ZoneArgs),
    /// Forgets a retired or an uploaded CA: its certificates count no more.
    Delete(Delete),
    /// Says on which hosts of the zone the certificates of an uploaded CA count, in place of those before.
    Associate(Associate),
    /// Revocation lists: those of uploaded authorities, and the one that the zone's own publishes.
    #[command(subcommand)]
    Crl(CrlCommand),
}

#[derive(Debug, Args)]
pub(super) struct Upload {
    /// The certificate, PEM. The private key stays where it is.
    file: PathBuf,
    /// A name by which people know it.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The id, as `ca list` shows it.
    id: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Args)]
pub(super) struct Associate {
    /// The id, as `ca list` shows it.
    id: String,
    /// A host on which its certificates count. May be given several times.
    #[arg(long = "host", value_name = "HOST", required_unless_present = "none")]
    hosts: Vec<String>,
    /// No host of the zone.
    #[arg(long, conflicts_with = "hosts")]
    none: bool,
    #[command(flatten)]
    zone: ZoneArgs,
}

/// A CA, as `ca list` shows it.
#[derive(Debug, serde::Serialize)]
struct Listed {
    id: String,
    name: String,
    /// The zone of a managed one.
    zone: Option<String>,
    /// `issuing`, `retired` or `uploaded`.
    state: String,
    expires_on: String,
    /// The hosts on which an uploaded one counts; a managed one counts on all with mTLS.
    hosts: Option<Vec<String>>,
}

impl CaCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Show(args) => show(&args).await,
            Self::List(args) => list(&args).await,
            Self::Upload(args) => args.execute().await,
            Self::Rotate(args) => rotate(&args).await,
            Self::Delete(args) => args.execute().await,
            Self::Associate(args) => args.execute().await,
            Self::Crl(command) => command.execute().await,
        }
    }
}

async fn show(args: &ZoneArgs) -> anyhow::Result<()> {
    let (client, zone) = args.connect().await?;
    let authority: Authority = client.get(&format!("/api/v1/zones/{zone}/ca")).await?;
    if args.remote.json {
        return print::json(&authority);
    }
    print::text(format_args!("{}", authority.certificate))
}

async fn list(args: &ZoneArgs) -> anyhow::Result<()> {
    let client = Client::new(&args.remote.socket);
    let authorities = listed(&client, args.zone.as_deref()).await?;
    if args.remote.json {
        return print::json(&authorities);
    }
    let rows = authorities.into_iter().map(|authority| {
        let scope = match (authority.zone, authority.hosts) {
            (Some(zone), _) => format!("zone {zone}"),
            (None, Some(hosts)) if !hosts.is_empty() => hosts.join(" "),
            (None, _) => "no host".to_owned(),
        };
        [authority.id, authority.name, authority.state, authority.expires_on, scope]
    });
    print::table(["ID", "NAME", "STATE", "EXPIRES", "COUNTS ON"], &rows.collect::<Vec<_>>())
}

/// The managed CAs of a zone, or of all, and the uploaded ones.
async fn listed(client: &Client, zone: Option<&str>) -> anyhow::Result<Vec<Listed>> {
    let wanted = match zone {
        Some(named) => Some(client.zone(Some(named)).await?),
        None => None,
    };
    let mut found = Vec::new();
    for zone in client.zones().await?.into_iter().filter(|zone| wanted.as_ref().is_none_or(|id| zone.id == *id)) {
        let managed: Vec<Authority> = client.get(&format!("/api/v1/zones/{}/cas", zone.id)).await?;
        found.extend(managed.into_iter().map(|Authority { id, name, state, expires_on, .. }| {
            let zone = Some(zone.name.clone());
            Listed { id, name, zone, state, expires_on, hosts: None }
        }));
    }
    let path = format!("/client/v4/accounts/{}/access/certificates?per_page=1000", client.account().await?);
    let uploaded: Vec<AccessCertificate> = client.all_pages(&path).await?;
    found.extend(uploaded.into_iter().map(
        |AccessCertificate { id, name, expires_on, associated_hostnames, .. }| {
            let state = "uploaded".to_owned();
            Listed { id, name, zone: None, state, expires_on, hosts: Some(associated_hostnames) }
        },
    ));
    Ok(found)
}

async fn rotate(args: &ZoneArgs) -> anyhow::Result<()> {
    let (client, zone) = args.connect().await?;
    let written: Written<Authority> =
        client.post(&format!("/api/v1/zones/{zone}/ca/rotate"), &serde_json::json!({})).await?;
    if args.remote.json {
        return print::json(&written);
    }
    let Written { value: authority, generation, .. } = written;
    print::line(format_args!("{}  issues from now on (generation {generation})", authority.id))
}

impl Upload {
    async fn execute(self) -> anyhow::Result<()> {
        let certificates =
            fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let client = Client::new(&self.remote.socket);
        let path = format!("/client/v4/accounts/{}/mtls_certificates", client.account().await?);
        let request = CreateMtlsCertificate { ca: true, certificates, name: Some(self.name), private_key: None };
        let uploaded: MtlsCertificate = client.post(&path, &request).await?;
        if self.remote.json {
            return print::json(&uploaded);
        }
        print::line(format_args!(
            "{}  {}, until {}; `ca associate` says where it counts",
            uploaded.id, uploaded.name, uploaded.expires_on
        ))
    }
}

impl Delete {
    async fn execute(self) -> anyhow::Result<()> {
        let client = Client::new(&self.remote.socket);
        let known = listed(&client, None).await?.into_iter().find(|known| known.id == self.id);
        let known = known.ok_or_else(|| anyhow!("there is no CA {}: `ca list` shows them", self.id))?;
        self.confirmation.ask(format_args!("deleting the CA {:?}", known.name))?;
        match known.zone {
            Some(zone) => {
                let path = format!("/api/v1/zones/{}/cas/{}", segment(&zone), segment(&self.id));
                let _: Written<Id> = client.delete(&path).await?;
            }
            None => {
                let account = client.account().await?;
                let path = format!("/client/v4/accounts/{account}/mtls_certificates/{}", segment(&self.id));
                let _: MtlsCertificate = client.delete(&path).await?;
            }
        }
        if self.remote.json {
            return print::json(&Id { id: known.id });
        }
        print::line(format_args!("{}  deleted", known.id))
    }
}

impl Associate {
    async fn execute(self) -> anyhow::Result<()> {
        let (client, zone) = self.zone.connect().await?;
        let path = format!("/client/v4/zones/{zone}/certificate_authorities/hostname_associations");
        let request = HostnameAssociation { hostnames: self.hosts, mtls_certificate_id: Some(self.id.clone()) };
        let set: HostnameAssociation = client.put(&path, &request).await?;
        if self.zone.remote.json {
            return print::json(&set);
        }
        let hosts = if set.hostnames.is_empty() { "no host".to_owned() } else { set.hostnames.join(", ") };
        print::line(format_args!("{}  counts on {hosts}", self.id))
    }
}
