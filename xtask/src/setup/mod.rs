//! `cargo xtask setup`: finds what building and testing need, installs what is missing, explains what it cannot do.
//!
//! Every verb that needs a part calls that part ([`ensure`], [`lab::ensure`], [`host::check`]), so nothing has to be done by
//! hand on a fresh machine. All of it is idempotent, and quick when there is nothing to do.

mod apt;
pub(crate) mod archive;
pub(crate) mod clients;
pub(crate) mod guests;
pub(crate) mod host;
pub(crate) mod lab;
mod linker;
pub(crate) mod peers;
mod toolchain;

use anyhow::Result;

pub(crate) use toolchain::Toolchain;

use crate::run::say;

/// The verb: everything, and a line for each thing found.
pub(crate) fn run() -> Result<()> {
    let toolchain = ensure()?;
    say(format_args!("eBPF compiler: {} ({})", toolchain.name, toolchain.rustc.display()));
    say(format_args!("eBPF linker: {}", toolchain.linker.display()));
    match lab::ensure() {
        Ok(programs) => {
            for (name, path) in programs.each() {
                say(format_args!("lab program {name}: {}", path.display()));
            }
            if let Some(libraries) = programs.libraries {
                say(format_args!("libraries of nginx: {}", libraries.display()));
            }
        }
        Err(error) => say(format_args!("the lab cannot run: {error:#}")),
    }
    if let Err(error) = guests::ensure() {
        say(format_args!("virtual machines cannot run: {error:#}"));
    }
    if let Err(error) = clients::ensure() {
        say(format_args!("the clients of the API cannot run: {error:#}"));
    }
    let problems = host::check();
    if problems.is_empty() {
        say("this host can run XDP, the demo and all tests");
    }
    for problem in &problems {
        say(format_args!("this host: {problem}"));
    }
    say("ready: `cargo xtask build` builds the daemon with its XDP program");
    Ok(())
}

/// Finds, or installs, a compiler and a linker for the eBPF crate.
pub(crate) fn ensure() -> Result<Toolchain> {
    toolchain::ensure()
}
