//! Debian packages: installed, or unpacked into the tool cache so that no service starts on the developer's host.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::run::{find, output, say};

/// Installs packages with apt, as root or by a `sudo` that asks for nothing.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    require()?;
    refresh_for(packages)?;
    say(format_args!("installing {} with apt", packages.join(" ")));
    output(
        privileged("apt-get")?
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
    .map(drop)
}

/// Unpacks packages, and the libraries they need, directly or not, that the host lacks, below `root`.
pub(crate) fn unpack(packages: &[&str], root: &Path) -> Result<()> {
    require()?;
    refresh_for(packages)?;
    let mut wanted: Vec<String> = packages.iter().map(|&package| package.to_owned()).collect();
    let mut looked_at = 0;
    while let Some(package) = wanted.get(looked_at) {
        for library in libraries_of(package)? {
            if !wanted.contains(&library) && !installed(&library) {
                wanted.push(library);
            }
        }
        looked_at += 1;
    }
    say(format_args!("unpacking {} into {} (nothing is installed)", wanted.join(" "), root.display()));
    let downloads = root.join("downloads");
    std::fs::create_dir_all(&downloads).with_context(|| format!("cannot create {}", downloads.display()))?;
    output(Command::new("apt-get").args(["download", "-q"]).args(&wanted).current_dir(&downloads))?;
    for file in std::fs::read_dir(&downloads)? {
        output(Command::new("dpkg").arg("-x").arg(file?.path()).arg(root))?;
    }
    std::fs::remove_dir_all(&downloads).with_context(|| format!("cannot remove {}", downloads.display()))
}

pub(super) fn require() -> Result<()> {
    match find("apt-get").is_some() && find("dpkg").is_some() {
        true => Ok(()),
        false => bail!("this system has no apt, so packages must be installed by hand"),
    }
}

/// Fetches the package lists if they do not know one of `packages` (a fresh image has none).
fn refresh_for(packages: &[&str]) -> Result<()> {
    if packages.iter().all(|package| candidate(package)) {
        return Ok(());
    }
    say("fetching apt's package lists");
    output(privileged("apt-get")?.args(["update", "-q"]))?;
    match packages.iter().find(|package| !candidate(package)) {
        Some(unknown) => bail!("apt knows no package {unknown} on this release"),
        None => Ok(()),
    }
}

fn candidate(package: &str) -> bool {
    output(Command::new("apt-cache").args(["show", "--no-all-versions", package])).is_ok_and(|out| !out.is_empty())
}

fn installed(package: &str) -> bool {
    output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

fn libraries_of(package: &str) -> Result<Vec<String>> {
    let depends = output(Command::new("apt-cache").args(["depends", "--important", package]))?;
    Ok(depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("lib"))
        .map(str::to_owned)
        .collect())
}

fn privileged(program: &str) -> Result<Command> {
    if super::host::is_root() {
        return Ok(Command::new(program));
    }
    let sudo_is_free = || output(Command::new("sudo").args(["-n", "true"])).is_ok();
    if find("sudo").is_some() && sudo_is_free() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "DEBIAN_FRONTEND=noninteractive", program]);
        return Ok(sudo);
    }
    bail!("packages are missing and this user may not install them: run `cargo xtask setup` as root once")
}
