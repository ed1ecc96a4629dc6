//! What programs that run a lab need around them: where things are, and root.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build::Artifacts;
use crate::run::{find, output};
use crate::setup;

/// Environment variables that tell the lab where things are.
pub(crate) fn environment(artifacts: &Artifacts) -> Result<Vec<(&'static str, PathBuf)>> {
    let programs = setup::lab::ensure()?;
    let mut variables = vec![
        ("MTLS_FILTER_LAB_BINARY", artifacts.mtls_filter.clone()),
        ("MTLS_FILTER_LAB_OBJECT", artifacts.object.clone()),
        ("MTLS_FILTER_LAB_NGINX", programs.nginx),
    ];
    variables.extend(programs.libraries.map(|libraries| ("MTLS_FILTER_LAB_LIBRARIES", libraries)));
    Ok(variables)
}

/// What to put in front of a program so that it runs as root; nothing where this process is root already.
///
/// Only the program runs as root, never the build: files that root has built could not be built over by the user.
pub(crate) fn runner() -> Result<Option<&'static str>> {
    if setup::host::is_root() {
        return Ok(None);
    }
    if find("sudo").is_some() && output(Command::new("sudo").args(["-n", "true"])).is_ok() {
        return Ok(Some("sudo -n -E"));
    }
    bail!("it needs root, because it makes network namespaces and loads XDP programs: run this as root")
}
