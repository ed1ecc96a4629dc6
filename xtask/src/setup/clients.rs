//! The clients of the API that the tests run: Cloudflare's SDKs for Python and TypeScript, and Schemathesis.
//!
//! They are made in the tool cache from the lock files in `tests/sdk`, which name every package with its hash, and made anew when a lock
//! file changes. Nothing of them is installed on the developer's host but the interpreters, where those are missing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::apt;
use crate::run::{cache_dir, find, output, say, workspace_root};

/// The copy of the lock file that a directory was made from. Written last: without it the directory is not whole.
const MADE_FROM: &str = "made-from.lock";

/// Where each client is.
#[derive(Debug)]
pub(crate) struct Clients {
    /// A Python that has Cloudflare's SDK and Schemathesis.
    pub(crate) python: PathBuf,
    /// Node.
    pub(crate) node: PathBuf,
    /// The directory with Cloudflare's SDK for TypeScript.
    pub(crate) node_modules: PathBuf,
}

impl Clients {
    /// Environment variables that tell the tests where the clients are.
    pub(crate) fn environment(self) -> [(&'static str, PathBuf); 3] {
        [
            ("MTLS_FILTER_CLIENTS_PYTHON", self.python),
            ("MTLS_FILTER_CLIENTS_NODE", self.node),
            ("MTLS_FILTER_CLIENTS_NODE_MODULES", self.node_modules),
        ]
    }
}

/// Finds the clients, making those that are missing.
pub(crate) fn ensure() -> Result<Clients> {
    let (locks, cache) = (workspace_root().join("tests/sdk"), cache_dir()?.join("clients"));
    Ok(Clients {
        python: python(&locks, cache.join("python")).context("the clients in Python")?,
        node_modules: node_modules(&locks, cache.join("node")).context("the client in TypeScript")?,
        node: find("node").context("node was installed but is not in PATH")?,
    })
}

/// A virtual environment with what `requirements.txt` names.
fn python(locks: &Path, directory: PathBuf) -> Result<PathBuf> {
    let (lock, python) = (locks.join("requirements.txt"), directory.join("bin/python"));
    // An environment does not outlive the interpreter it was made with.
    if is_made_from(&directory, &lock) && output(Command::new(&python).arg("--version")).is_ok() {
        return Ok(python);
    }
    let has_venv = |python: &Path| output(Command::new(python).args(["-c", "import ensurepip, venv"])).is_ok();
    if !find("python3").is_some_and(|python| has_venv(&python)) {
        apt::install(&["python3", "python3-venv"])?;
    }
    say(format_args!("making a virtual environment of Python in {}; this takes a minute", directory.display()));
    start_anew(&directory)?;
    let interpreter = find("python3").context("python3 was installed but is not in PATH")?;
    output(Command::new(interpreter).args(["-m", "venv"]).arg(&directory))?;
    output(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--requirement"])
            .arg(&lock),
    )?;
    finish(&directory, &lock)?;
    Ok(python)
}

/// A directory with what `package-lock.json` names.
fn node_modules(locks: &Path, directory: PathBuf) -> Result<PathBuf> {
    let (lock, modules) = (locks.join("package-lock.json"), directory.join("node_modules"));
    let missing = ["node", "npm"].iter().any(|program| find(program).is_none());
    if missing {
        apt::install(&["nodejs", "npm"])?;
    }
    if is_made_from(&directory, &lock) {
        return Ok(modules);
    }
    say(format_args!("unpacking packages of npm into {}", directory.display()));
    start_anew(&directory)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(locks.join(file), directory.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let npm = find("npm").context("npm was installed but is not in PATH")?;
    output(Command::new(npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&directory))?;
    finish(&directory, &lock)?;
    Ok(modules)
}

fn is_made_from(directory: &Path, lock: &Path) -> bool {
    let (made, wanted) = (fs::read(directory.join(MADE_FROM)), fs::read(lock));
    matches!((made, wanted), (Ok(made), Ok(wanted)) if made == wanted)
}

fn start_anew(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn finish(directory: &Path, lock: &Path) -> Result<()> {
    fs::copy(lock, directory.join(MADE_FROM)).map(drop).with_context(|| format!("cannot mark {}", directory.display()))
}
