//! The demo; `cargo xtask demo` builds the daemon and starts this.
#![forbid(unsafe_code)]

use clap::Parser;
use filter_tests::demo::{Options, run};

fn main() -> anyhow::Result<()> {
    run(&Options::parse())
}
