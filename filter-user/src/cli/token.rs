//! `mtls-filter token`.

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};

use super::client::Client;
use super::confirm::Confirmation;
use super::{RemoteArgs, print};
use crate::control::api::dto::{CreateToken, CreatedToken, Id, Token, Written};

/// API tokens, for callers on the admin listener.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and prints its secret, which is kept nowhere.
    Create(Create),
    /// Lists the tokens, without their secrets.
    List(RemoteArgs),
    /// Forgets a token: it counts no more.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// A name by which people know who has it.
    #[arg(long)]
    name: String,
    /// What it may do: read, certificates, rules or admin. May be given several times.
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// A zone that it is for, by name or id; all if none is given. May be given several times.
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// Days until it expires; never if not given.
    #[arg(long)]
    days: Option<u32>,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The id, as `token list` shows it.
    id: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl TokenCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => args.execute().await,
            Self::List(remote) => list(&remote).await,
            Self::Revoke(args) => args.execute().await,
        }
    }
}

impl Create {
    async fn execute(self) -> anyhow::Result<()> {
        let Self { name, scopes, zones, days, remote } = self;
        let zones = (!zones.is_empty()).then_some(zones);
        let asked = CreateToken { name, scopes, zones, days };
        let made: CreatedToken = Client::new(&remote.socket).post("/api/v1/tokens", &asked).await?;
        if remote.json {
            return print::json(&made);
        }
        eprintln!("token {} is made; its secret is shown this once:", made.token.id);
        print::line(format_args!("{}", made.secret))
    }
}

async fn list(remote: &RemoteArgs) -> anyhow::Result<()> {
    let tokens: Vec<Token> = Client::new(&remote.socket).get("/api/v1/tokens").await?;
    if remote.json {
        return print::json(&tokens);
    }
    let rows = tokens.into_iter().map(|token| {
        let zones = token.zones.map_or_else(|| "all".to_owned(), |zones| zones.join(" "));
        [
            token.id,
            token.name,
            token.scopes.join(" "),
            zones,
            token.status,
            token.expires.unwrap_or_else(|| "never".to_owned()),
        ]
    });
    print::table(["ID", "NAME", "SCOPES", "ZONES", "STATUS", "EXPIRES"], &rows.collect::<Vec<_>>())
}

impl Revoke {
    async fn execute(self) -> anyhow::Result<()> {
        if self.id.len() != 32 || !self.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            bail!("`{}` is no token id: `token list` shows them", self.id);
        }
        let client = Client::new(&self.remote.socket);
        let tokens: Vec<Token> = client.get("/api/v1/tokens").await?;
        let known = tokens.into_iter().find(|token| token.id == self.id);
        let known = known.ok_or_else(|| anyhow!("there is no token {}: `token list` shows them", self.id))?;
        self.confirmation.ask(format_args!("revoking the token {:?}", known.name))?;
        let written: Written<Id> = client.delete(&format!("/api/v1/tokens/{}", self.id)).await?;
        if self.remote.json {
            return print::json(&written);
        }
        print::line(format_args!("{}  revoked (generation {})", written.value.id, written.generation))
    }
}
