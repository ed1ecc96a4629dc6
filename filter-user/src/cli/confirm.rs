//! Questions before what cannot be taken back.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail};
use clap::Args;

/// Whether to ask.
#[derive(Debug, Args)]
pub(super) struct Confirmation {
    /// Does it without asking.
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Goes on only if the operator wants it: says what will happen, and waits for a `y`. Where nobody can answer, `--yes` must say so.
    pub(super) fn ask(&self, what: fmt::Arguments<'_>) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            bail!("{what} cannot be taken back, and there is no terminal to ask at: say --yes");
        }
        let mut terminal = io::stderr();
        write!(terminal, "{what} cannot be taken back. Go on? [y/N] ").and_then(|()| terminal.flush())?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).context("cannot read the answer")?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => bail!("nothing was changed"),
        }
    }
}
