//! What virtual machines are made and run with.

use anyhow::Result;

use super::apt;
use crate::run::find;

/// The emulator.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// The programs, each with the Debian package that it is in.
const PROGRAMS: [(&str, &str); 4] =
    [(QEMU, "qemu-system-x86"), ("xz", "xz-utils"), ("strip", "binutils"), ("ss", "iproute2")];

/// Finds the programs, installing those that are missing.
pub(crate) fn ensure() -> Result<()> {
    let missing = PROGRAMS.into_iter().filter(|(program, _)| find(program).is_none());
    let packages: Vec<&str> = missing.map(|(_, package)| package).collect();
    if packages.is_empty() { Ok(()) } else { apt::install(&packages) }
}
