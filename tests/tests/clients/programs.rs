//! Where the clients are, and how they are run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use filter_tests::lab::Lab;

/// Where the admin listener is, in the namespace `edge`, unless the configuration says otherwise.
pub(crate) const API: &str = "http://127.0.0.1:8080";

/// The path that `cargo xtask test` puts into the environment.
pub(crate) fn path(variable: &str) -> Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is not set: `cargo xtask test` sets it"))
}

/// A file of `tests/sdk`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(name)
}

/// A new token of this scope.
pub(crate) fn token(lab: &Lab, scope: &str) -> Result<String> {
    let secret = lab.filter.command(&["token", "create", "--name", scope, "--scope", scope])?;
    Ok(secret.trim_end().to_owned())
}

/// A command on the edge host without the environment of whoever runs the tests: SDKs take settings from there.
pub(crate) fn command(lab: &Lab, program: &Path) -> Result<Command> {
    let mut command = lab.network.edge.command(program)?;
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default()).env("HOME", lab.directory());
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(lab.directory());
    Ok(command)
}

/// Runs a client to its end. If it fails, what it said is the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{}\n{said}\n{errors}", output.status);
    }
    Ok(said.into_owned())
}
