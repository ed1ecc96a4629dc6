//! The command line. Every command but `run`, `check`, `detach`, `expr` and `store import` is a request to the daemon over its control
//! socket.

mod audit;
mod ca;
mod ca_crl;
mod cert;
mod check;
mod client;
mod confirm;
mod detach;
mod events;
mod explain;
mod expr;
mod flows;
mod follow;
mod host;
mod list;
mod passed;
mod penalty;
mod print;
mod rule;
mod run;
mod status;
mod store;
mod token;
mod top;
mod zone;

pub use print::{Closed, mistake};

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};

use self::client::Client;
use crate::config::Datapath;

/// Lets only clients with a valid, unrevoked certificate reach the hosts that ask for one.
#[derive(Debug, Parser)]
#[command(name = "mtls-filter", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon in the foreground.
    Run(RunArgs),
    /// Checks a configuration file and the files it names, and changes nothing.
    Check(ConfigArgs),
    /// Shows what the daemon does: generation, workers, data path, counters.
    Status(RemoteArgs),
    /// Lists the connections that are passed on unopened.
    Flows(flows::FlowsArgs),
    /// Shows what happens now, by host and by reason, until `q` is pressed.
    Top(top::TopArgs),
    /// Removes the XDP program that a daemon which has ended has left, and ends the connections that it splices.
    Detach(detach::DetachArgs),
    /// Addresses that XDP drops for what they did before.
    #[command(subcommand)]
    Penalty(penalty::PenaltyCommand),
    /// Certificate authorities of the zones.
    /// Zones.
    #[command(subcommand)]
    Zone(zone::ZoneCommand),
    /// Hosts of the zones, and on which of them clients are asked for a certificate.
    #[command(subcommand)]
    Host(host::HostCommand),
    /// Certificate authorities: the managed ones of the zones, and those that you bring.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Client certificates.
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Rules.
    #[command(subcommand)]
    Rule(rule::RuleCommand),
    /// Lists of addresses, networks, host names or autonomous systems that rules can name.
    #[command(subcommand)]
    List(list::ListCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Shows who changed what, or who was not let in.
    Audit(audit::AuditArgs),
    /// The state as a whole: backup and restore.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Prints the OpenAPI document of the API.
    Openapi,
    /// Prints completions for a shell: bash, elvish, fish, powershell or zsh.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Writes a manual page for every command to a directory.
    Man {
        /// The directory; it must exist.
        directory: PathBuf,
    },
    /// Shows which requests were blocked or logged, or watches them happen.
    Events(events::EventsArgs),
    /// Says what each rule of a zone makes of a request, and why.
    Explain(explain::ExplainArgs),
    /// The rule language by itself: check, evaluate, explain expressions.
    #[command(subcommand)]
    Expr(expr::ExprCommand),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/mtls-filter/mtls-filter.toml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How packets reach the workers, in place of the file's `edge.datapath`: auto, native, generic or socket.
    #[arg(long)]
    datapath: Option<Datapath>,
}

/// How to reach the daemon, and how to print what it says.
#[derive(Debug, Args)]
struct RemoteArgs {
    /// The daemon's control socket.
    #[arg(long, value_name = "PATH", env = "MTLS_FILTER_SOCKET", default_value = "/run/mtls-filter/control.sock")]
    socket: PathBuf,
    /// Prints JSON for programs, not a table for people.
    #[arg(long)]
    json: bool,
}

/// [`RemoteArgs`] for commands about one zone.
#[derive(Debug, Args)]
struct ZoneArgs {
    /// The zone, by name or id; may be left out if there is only one.
    #[arg(long)]
    zone: Option<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl ZoneArgs {
    /// A client, and the id of the zone.
    async fn connect(&self) -> anyhow::Result<(Client, String)> {
        let client = Client::new(&self.remote.socket);
        let zone = client.zone(self.zone.as_deref()).await?;
        Ok((client, zone))
    }
}

impl Cli {
    /// Carries out the command.
    ///
    /// # Errors
    /// What went wrong, as one line for the operator.
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(args) => run::run(&args),
            Command::Check(args) => check::check(&args),
            Command::Status(args) => remote(status::status(&args)),
            Command::Flows(args) => remote(args.execute()),
            Command::Top(args) => remote(args.execute()),
            Command::Detach(args) => args.execute(),
            Command::Penalty(command) => remote(command.execute()),
            Command::Zone(command) => remote(command.execute()),
            Command::Host(command) => remote(command.execute()),
            Command::Ca(command) => remote(command.execute()),
            Command::Cert(command) => remote(command.execute()),
            Command::Rule(command) => remote(command.execute()),
            Command::List(command) => remote(command.execute()),
            Command::Token(command) => remote(command.execute()),
            Command::Audit(args) => remote(args.execute()),
            Command::Store(store::StoreCommand::Export(export)) => remote(export.execute()),
            Command::Store(store::StoreCommand::Import(import)) => import.execute().map(|()| ExitCode::SUCCESS),
            Command::Openapi => {
                print::text(format_args!("{}\n", crate::control::api::document().to_pretty_json()?))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "mtls-filter", &mut script);
                print::text(format_args!("{}", String::from_utf8_lossy(&script)))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Man { directory } => {
                std::fs::create_dir_all(&directory)
                    .and_then(|()| clap_mangen::generate_to(Self::command(), &directory))
                    .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Events(args) => remote(args.execute()),
            Command::Explain(args) => remote(args.execute()),
            Command::Expr(command) => command.execute(),
        }
    }
}

fn remote(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(command)?;
    Ok(ExitCode::SUCCESS)
}
