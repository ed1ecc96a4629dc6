//! Packages of a Debian release other than this host's: fetched and unpacked with a state of apt of their own, so that nothing on the host
//! knows of them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::apt;
use crate::run::{output, say};

/// Debian's own mirror, for a host whose apt uses none.
const MIRROR: &str = "http://deb.debian.org/debian/";

/// A release of Debian, and where its packages are kept.
pub(crate) struct Archive {
    release: &'static str,
    root: PathBuf,
}

impl Archive {
    /// The release, with its package lists fetched anew.
    pub(crate) fn open(release: &'static str, root: PathBuf) -> Result<Self> {
        apt::require()?;
        for directory in ["lists/partial", "archives/partial"] {
            let directory = root.join(directory);
            fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        }
        let archive = Self { release, root };
        fs::write(archive.sources(), format!("deb {} {release} main\n", mirror()))?;
        // Nothing is installed, as far as this apt knows.
        fs::write(archive.root.join("status"), "")?;
        say(format_args!("fetching the package lists of Debian {release}"));
        output(archive.apt("apt-get").args(["update", "-q"]))?;
        Ok(archive)
    }

    /// The packages that `package` depends on, directly or not, with names that begin with `prefix`; itself among them.
    pub(crate) fn with_dependencies(&self, package: &str, prefix: &str) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut open = vec![package.to_owned()];
        while let Some(package) = open.pop() {
            if !found.insert(package.clone()) {
                continue;
            }
            let depends = output(self.apt("apt-cache").args(["depends", "--important", &package]))?;
            let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
            open.extend(names.filter(|name| name.starts_with(prefix)).map(str::to_owned));
        }
        Ok(found)
    }

    /// Unpacks packages below `target`.
    pub(crate) fn unpack(&self, packages: &BTreeSet<String>, target: &Path) -> Result<()> {
        say(format_args!("unpacking {} of Debian {} (nothing is installed)", join(packages), self.release));
        let downloads = self.root.join("downloads");
        fs::create_dir_all(&downloads).with_context(|| format!("cannot create {}", downloads.display()))?;
        output(self.apt("apt-get").args(["download", "-q"]).args(packages).current_dir(&downloads))?;
        fs::create_dir_all(target).with_context(|| format!("cannot create {}", target.display()))?;
        for file in fs::read_dir(&downloads)? {
            output(Command::new("dpkg").arg("-x").arg(file?.path()).arg(target))?;
        }
        fs::remove_dir_all(&downloads).with_context(|| format!("cannot remove {}", downloads.display()))
    }

    fn sources(&self) -> PathBuf {
        self.root.join("sources.list")
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut option = |name: &str, value: &Path| {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        };
        option("Dir::Etc::SourceList", &self.sources());
        option("Dir::Etc::SourceParts", Path::new("/dev/null"));
        option("Dir::State::Lists", &self.root.join("lists"));
        option("Dir::State::Status", &self.root.join("status"));
        option("Dir::Cache::Archives", &self.root.join("archives"));
        option("Dir::Cache::PkgCache", Path::new(""));
        option("Dir::Cache::SrcPkgCache", Path::new(""));
        // apt would become a user that may not write here.
        command.args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]);
        command
    }
}

/// The mirror that this host's apt fetches Debian from: it is near, and reached where others are not.
fn mirror() -> String {
    let targets = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
    let uris = output(Command::new("apt-get").args(targets)).unwrap_or_default();
    uris.lines().find(|uri| uri.ends_with("/debian/")).unwrap_or(MIRROR).to_owned()
}

fn join(packages: &BTreeSet<String>) -> String {
    packages.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}
