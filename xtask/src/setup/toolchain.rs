//! The compiler of the eBPF crate.
//!
//! `core` has to be compiled for the BPF target, so the compiler needs its own library source (`rust-src`), unstable options,
//! and an LLVM that `bpf-linker` can read. Candidates, in order:
//!
//! 1. rustup's `nightly`;
//! 2. rustup's `stable`, with the unstable options unlocked;
//! 3. Debian's `rustc-web` with its source and LLVM, through apt.
//!
//! A rustup toolchain brings its own LLVM as a shared library, which the linker loads: no LLVM is installed for those.
//! Everything else in the workspace is built by whatever `cargo` the developer uses.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{apt, linker};
use crate::run::{find, output, say};

/// What the Debian candidate consists of; the development packages are what `bpf-linker` is linked with.
const DEBIAN_PACKAGES: [&str; 8] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
    "libxml2-dev",
];

/// A compiler and a linker that can build the eBPF crate.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// What to call it.
    pub(crate) name: String,
    /// Its `cargo`, called directly: rustup's proxy would follow the checkout's `rust-toolchain.toml`.
    pub(crate) cargo: PathBuf,
    /// Its `rustc`.
    pub(crate) rustc: PathBuf,
    /// Where its libraries are; the linker loads LLVM from there.
    pub(crate) library_dir: PathBuf,
    /// `bpf-linker`.
    pub(crate) linker: PathBuf,
}

/// Finds the first candidate that works, installing what it lacks.
pub(crate) fn ensure() -> Result<Toolchain> {
    let mut failures = Vec::new();
    let candidates: [&dyn Fn() -> Result<Toolchain>; 3] = [&|| rustup("nightly"), &|| rustup("stable"), &debian];
    for candidate in candidates {
        match candidate() {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    bail!(
        "no toolchain can build the eBPF crate:\n  - {}\nInstall rustup (https://rustup.rs) and run \
         `rustup toolchain install nightly --component rust-src`, or on Debian or Ubuntu run this as root once: \
         apt-get install {}",
        failures.join("\n  - "),
        DEBIAN_PACKAGES.join(" ")
    )
}

fn rustup(channel: &str) -> Result<Toolchain> {
    let rustup = find("rustup").with_context(|| format!("rustup {channel}: rustup is not installed"))?;
    let which = || output(Command::new(&rustup).args(["which", "rustc", "--toolchain", channel]));
    // `rustup which` would install a missing toolchain silently: ask the list first, to say so.
    if !output(Command::new(&rustup).args(["toolchain", "list"]))?.lines().any(|line| line.starts_with(channel)) {
        say(format_args!("installing rustup's {channel} toolchain"));
        output(Command::new(&rustup).args(["toolchain", "install", channel, "--profile", "minimal"]))?;
    }
    let rustc = PathBuf::from(which()?.trim());
    let sysroot = rustc.parent().and_then(Path::parent).context("rustc is not inside a toolchain")?.to_path_buf();
    if !library_source(&sysroot).is_dir() {
        say(format_args!("adding rust-src to rustup's {channel} toolchain"));
        output(Command::new(&rustup).args(["component", "add", "rust-src", "--toolchain", channel]))?;
    }
    if !library_source(&sysroot).is_dir() {
        bail!("rustup {channel}: rust-src was added, but {} is missing", library_source(&sysroot).display());
    }
    let llvm = llvm_major(&rustc)?;
    Ok(Toolchain {
        name: format!("rustup {channel}, LLVM {llvm}"),
        cargo: sysroot.join("bin/cargo"),
        linker: linker::for_rustup(llvm).with_context(|| format!("rustup {channel}"))?,
        library_dir: sysroot.join("lib"),
        rustc,
    })
}

fn debian() -> Result<Toolchain> {
    let (rustc, cargo) = (PathBuf::from("/usr/bin/rustc"), PathBuf::from("/usr/bin/cargo"));
    if !rustc.is_file() || !cargo.is_file() || !library_source(Path::new("/usr")).exists() || !linker::debian_llvm() {
        apt::install(&DEBIAN_PACKAGES).context("Debian toolchain")?;
    }
    let llvm = llvm_major(&rustc)?;
    Ok(Toolchain {
        name: format!("Debian rustc-web, LLVM {llvm}"),
        linker: linker::for_debian(llvm).context("Debian toolchain")?,
        library_dir: PathBuf::from(linker::DEBIAN_LLVM_PREFIX).join("lib"),
        cargo,
        rustc,
    })
}

/// Where `-Z build-std` looks for the source of `core`.
fn library_source(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

fn llvm_major(rustc: &Path) -> Result<u32> {
    let version = output(Command::new(rustc).arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))
        .and_then(|version| version.split('.').next())
        .and_then(|major| major.parse().ok())
        .with_context(|| format!("`{} -vV` does not tell its LLVM version", rustc.display()))
}
