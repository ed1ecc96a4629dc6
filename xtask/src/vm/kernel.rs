//! Kernels to test on: those of Debian's releases, unpacked into the tool cache.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result};

use crate::{
    run::{cache_dir, say},
    setup::archive::Archive,
};

/// A release of Debian, named by the kernel that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// What it is called on the command line and in tables.
    pub(crate) name: &'static str,
    debian: &'static str,
}

/// The oldest kernel that is supported, the one of Debian's stable release, and the newest there is.
pub(crate) const RELEASES: [Release; 3] =
    [OLDEST, Release { name: "6.12", debian: "trixie" }, Release { name: "sid", debian: "sid" }];

/// The oldest kernel that is supported.
pub(crate) const OLDEST: Release = Release { name: "6.1", debian: "bookworm" };

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        RELEASES.into_iter().find(|release| release.name == name || release.debian == name).ok_or_else(|| {
            let names: Vec<_> = RELEASES.iter().map(|release| release.name).collect();
            format!("there are {}", names.join(", "))
        })
    }
}

/// Small, and has what the lab uses.
const FLAVOUR: &str = "linux-image-cloud-amd64";

/// A kernel that was unpacked.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What it calls itself, `uname -r`.
    pub(crate) version: String,
    /// The kernel to boot.
    pub(crate) image: PathBuf,
    /// Its modules, in folders.
    pub(crate) modules: PathBuf,
}

impl Kernel {
    /// The kernel of `release`; fetched once, and again with `refresh`.
    pub(crate) fn ensure(release: Release, refresh: bool) -> Result<Self> {
        let root = cache_dir()?.join("kernels").join(release.debian);
        let unpacked = root.join("unpacked");
        if refresh || !unpacked.join("complete").is_file() {
            fetch(release, &root, &unpacked)?;
        }
        Self::find(&unpacked)
    }

    fn find(root: &Path) -> Result<Self> {
        // A package of before or after /lib became a link.
        let modules = ["usr/lib/modules", "lib/modules"].map(|path| root.join(path));
        let modules = modules.into_iter().find(|modules| modules.is_dir()).context("the kernel has no modules")?;
        let modules = only_entry(&modules)?;
        let version = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let images = [modules.join("vmlinuz"), root.join("boot").join(format!("vmlinuz-{version}"))];
        let image = images.into_iter().find(|image| image.is_file());
        Ok(Self { image: image.with_context(|| format!("there is no image of Linux {version}"))?, modules, version })
    }
}

fn fetch(release: Release, root: &Path, unpacked: &Path) -> Result<()> {
    let archive = Archive::open(release.debian, root.join("apt"))?;
    let packages = archive.with_dependencies(FLAVOUR, "linux-")?;
    if unpacked.exists() {
        fs::remove_dir_all(unpacked).with_context(|| format!("cannot remove {}", unpacked.display()))?;
    }
    archive.unpack(&packages, unpacked)?;
    let kernel = Kernel::find(unpacked)?;
    say(format_args!("{} is Linux {}", release.name, kernel.version));
    // Last, so that what was interrupted is done again.
    fs::write(unpacked.join("complete"), "")?;
    Ok(())
}

/// The one entry of a directory.
fn only_entry(directory: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let entry = entries.next().with_context(|| format!("{} is empty", directory.display()))??;
    anyhow::ensure!(entries.next().is_none(), "there is more than one kernel in {}", directory.display());
    Ok(entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_go_by_kernel_or_by_name() {
        for (name, expected) in [("6.1", Ok("6.1")), ("trixie", Ok("6.12")), ("5.10", Err("there are 6.1, 6.12, sid"))]
        {
            let release = name.parse::<Release>().map(|release| release.name);
            assert_eq!(release.as_ref().map_err(String::as_str), expected.as_ref().map_err(|text| *text), "{name}");
        }
    }
}
