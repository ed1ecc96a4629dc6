//! `cargo xtask demo`: builds everything and plays the main job on real traffic.

use std::process::Command;

use anyhow::Result;

use crate::build::{self, Profile};
use crate::lab;
use crate::run::{loudly, say};

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How packets reach the workers: auto, native, generic or socket.
    #[arg(long, default_value = "native")]
    datapath: String,
    /// Leave the lab running when the table is done, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// The verb.
pub(crate) fn run(args: &Args) -> Result<()> {
    // A release build takes minutes longer and shows the same table.
    let artifacts = build::build(Profile::Dev)?;
    say("building the demo");
    loudly(artifacts.cargo("build").args(["--bin", "mtls-filter-demo"]))?;
    let program = artifacts.mtls_filter.with_file_name("mtls-filter-demo");
    let mut demo = match lab::runner()? {
        None => Command::new(program),
        Some(runner) => {
            let mut words = runner.split(' ');
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words).arg(program);
            command
        }
    };
    demo.args(["--datapath", &args.datapath]).args(args.keep.then_some("--keep"));
    demo.envs(lab::environment(&artifacts)?);
    loudly(&mut demo)
}
