//! The programs of the lab: `ip`, `ethtool`, `nginx`, `openssl`, `curl`, `python3`.
//!
//! nginx is unpacked into the tool cache unless the system has one: installing the package would start a web server on the
//! developer's host.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::apt;
use crate::run::{cache_dir, find};

/// Where each program of the lab is.
#[derive(Debug)]
pub(crate) struct Programs {
    /// iproute2's `ip`.
    pub(crate) ip: PathBuf,
    /// `ethtool`, which turns offloads of the lab's interfaces off.
    pub(crate) ethtool: PathBuf,
    /// A real origin.
    pub(crate) nginx: PathBuf,
    /// A real client.
    pub(crate) openssl: PathBuf,
    /// The other real client.
    pub(crate) curl: PathBuf,
    /// Runs what the daemon tells Python programmers to write.
    pub(crate) python: PathBuf,
    /// Shared libraries that came with nginx when it was unpacked; belongs in its `LD_LIBRARY_PATH`.
    pub(crate) libraries: Option<PathBuf>,
}

impl Programs {
    /// Name and path of each program.
    pub(crate) fn each(&self) -> [(&'static str, &Path); 6] {
        [
            ("ip", &self.ip),
            ("ethtool", &self.ethtool),
            ("nginx", &self.nginx),
            ("openssl", &self.openssl),
            ("curl", &self.curl),
            ("python3", &self.python),
        ]
    }
}

/// Finds the programs, installing those that are missing.
pub(crate) fn ensure() -> Result<Programs> {
    let packages =
        [("ip", "iproute2"), ("ethtool", "ethtool"), ("openssl", "openssl"), ("curl", "curl"), ("python3", "python3")];
    let missing: Vec<&str> =
        packages.into_iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| package).collect();
    if !missing.is_empty() {
        apt::install(&missing)?;
    }
    let (nginx, libraries) = unpacked("nginx")?;
    Ok(Programs {
        ip: found("ip")?,
        ethtool: found("ethtool")?,
        openssl: found("openssl")?,
        curl: found("curl")?,
        python: found("python3")?,
        nginx,
        libraries,
    })
}

/// The system's `program`, or one unpacked from the Debian package of the same name, with its library directory.
pub(super) fn unpacked(program: &str) -> Result<(PathBuf, Option<PathBuf>)> {
    if let Some(system) = find(program) {
        return Ok((system, None));
    }
    let root = cache_dir()?.join("programs").join(program);
    let file = root.join("usr/sbin").join(program);
    if !file.is_file() {
        apt::unpack(&[program], &root)?;
    }
    let libraries = root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    Ok((file, libraries.is_dir().then_some(libraries)))
}

fn found(program: &str) -> Result<PathBuf> {
    find(program).with_context(|| format!("{program} was installed but is not in PATH"))
}
