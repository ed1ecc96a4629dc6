//! The real programs that the lab runs, and what to do where one is missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Programs of the lab and the Debian package each comes with. `cargo xtask setup` installs them.
const PACKAGES: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
];

/// Environment variable that names the nginx to run as origin.
const NGINX_VARIABLE: &str = "MTLS_FILTER_LAB_NGINX";

/// Finds `program` on the path or where administration programs live. Where it is not installed, the error names the package.
pub(super) fn find(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    for folder in folders {
        let candidate = folder.join(program);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    let package = PACKAGES.iter().find(|(name, _)| *name == program).map_or(program, |(_, package)| package);
    bail!("the lab needs `{program}`, which is not installed: `cargo xtask setup`, or apt-get install {package}")
}

/// Finds the nginx to use as origin: the one that `MTLS_FILTER_LAB_NGINX` names, else the installed one.
///
/// # Errors
/// If there is none.
pub fn find_nginx() -> Result<PathBuf> {
    if let Some(path) = env::var_os(NGINX_VARIABLE) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{NGINX_VARIABLE} names {}, which is not a file", path.display());
        }
        return Ok(path);
    }
    find("nginx")
}

/// Refuses by name to go on without root.
pub(super) fn require_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "the lab needs root, because it makes network namespaces and loads XDP programs: run it by \
             `cargo xtask test` or `cargo xtask demo` as root"
        );
    }
    Ok(())
}

/// Runs `ip` with `arguments` and returns what it printed.
pub(super) fn ip(arguments: &[&str]) -> Result<String> {
    run(Command::new(find("ip")?).args(arguments))
}

/// Runs a command to its end; a failure carries the command line and what it said.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end, whatever its exit code.
pub(super) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot run {command:?}"))
}

/// Reads the last `lines` lines of a file, for a report; empty where there is none.
pub(super) fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.iter().skip(all.len().saturating_sub(lines)).map(|line| format!("{line}\n")).collect()
}
