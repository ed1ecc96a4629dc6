//! `mtls-filter store`.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};

use super::client::Client;
use super::{ConfigArgs, print};
use crate::config::Config;
use crate::control::Author;
use crate::snapshot::compile;
use crate::store::{MasterKey, RedbStore, Revision, Store, import, open_authority};

/// The state as a whole: rules, certificates, authorities, lists, tokens.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Writes the state of a running daemon out as JSON lines. Private keys stay sealed with the master key.
    Export(Export),
    /// Plays an export back into a store that is empty, while the daemon does not run.
    Import(Import),
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The file to write, which must not exist; standard output if none is given.
    file: Option<PathBuf>,
    /// The daemon's control socket.
    #[arg(long, value_name = "PATH", env = "MTLS_FILTER_SOCKET", default_value = "/run/mtls-filter/control.sock")]
    socket: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// What `store export` has written.
    file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Export {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let client = Client::new(&self.socket);
        let export = client.download("/api/v1/store/export").await?;
        // A daemon that ended in between leaves a part, which is no backup.
        import(&mut export.as_ref()).context("the export is not whole: try again")?;
        let Some(path) = &self.file else {
            return io::stdout().lock().write_all(&export).map_err(print::failed);
        };
        let written = || -> io::Result<()> {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(&export)?;
            file.sync_all()
        };
        written().with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Import {
    /// Everything is looked at before anything is written: a daemon that starts on the store serves what the export holds.
    pub(super) fn execute(&self) -> anyhow::Result<()> {
        let shown = self.file.display();
        let file = File::open(&self.file).with_context(|| format!("cannot read {shown}"))?;
        let (exported, state) = import(&mut BufReader::new(file)).with_context(|| shown.to_string())?;
        let config = Config::load(&self.config.config).map_err(|problems| anyhow!("{problems}"))?;
        compile(&config, &state, exported.number(), None)
            .with_context(|| format!("{shown} does not fit {}", self.config.config.display()))?;
        let master_key = MasterKey::load(&config.store.master_key)
            .context("an export is of use with the master key of its store only: put that in place first")?;
        for zone in &config.zones {
            let id = crate::model::ZoneId::of_name(zone.name.as_str());
            if let Some(authority) = state.issuing_authority(id) {
                open_authority(authority, &master_key)
                    .with_context(|| format!("the certificate authority of {} cannot issue", zone.name))?;
            }
        }
        let store = RedbStore::open(&config.store.directory)?;
        let (revision, present) = store.load()?;
        if revision != Revision::ZERO || present.records().next().is_some() {
            bail!(
                "the store in {} is not empty, it is at generation {revision}: move it away, or give the daemon another `store.directory`",
                config.store.directory.display()
            );
        }
        let records = state.records().count();
        store.restore(revision, state, Author::command().did("store import"))?;
        print::line(format_args!("{records} records of generation {exported} imported"))
    }
}
