//! The modules that a guest loads, in the order in which they need each other.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// What the lab uses of the kernel that may be a module: interfaces, packet loss, programs at ingress before there were links for them (Linux
/// 6.6), and what `ss` asks.
const WANTED: [&str; 8] = ["veth", "bridge", "8021q", "sch_netem", "sch_ingress", "cls_bpf", "tcp_diag", "inet_diag"];

/// A module to load.
#[derive(Debug)]
pub(crate) struct Module {
    /// Its name.
    pub(crate) name: String,
    /// Its object, not compressed.
    pub(crate) object: Vec<u8>,
}

/// The wanted modules below `root`, each after those it depends on. What is not there is built into the kernel, or the tests say that it
/// is missing.
pub(crate) fn collect(root: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    index(root, &mut files)?;
    let mut loaded = Vec::new();
    for name in WANTED {
        add(name, &files, &mut loaded)?;
    }
    Ok(loaded)
}

fn add(name: &str, files: &BTreeMap<String, PathBuf>, loaded: &mut Vec<Module>) -> Result<()> {
    let Some(file) = files.get(name).filter(|_| loaded.iter().all(|module| module.name != name)) else {
        return Ok(());
    };
    let object = read(file)?;
    for needed in dependencies(&object) {
        add(&needed, files, loaded)?;
    }
    loaded.push(Module { name: name.to_owned(), object });
    Ok(())
}

/// Modules by name. In the name, though not in the file's, `-` is `_`.
fn index(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, files)?;
        } else if let Some((name, _)) = path.file_name().and_then(|name| name.to_str()?.split_once(".ko")) {
            files.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let read = || format!("cannot read {}", file.display());
    if file.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(file).with_context(read);
    }
    let out = Command::new("xz").arg("-dc").arg(file).output().context("cannot start xz, of the package xz-utils")?;
    anyhow::ensure!(out.status.success(), "{}: {}", read(), String::from_utf8_lossy(&out.stderr));
    Ok(out.stdout)
}

/// What a module says it depends on: `depends=a,b` among the zero-terminated strings of its `.modinfo`.
fn dependencies(object: &[u8]) -> Vec<String> {
    let Some(depends) = object.split(|&byte| byte == 0).find_map(|text| text.strip_prefix(b"depends=")) else {
        return Vec::new();
    };
    let depends = String::from_utf8_lossy(depends);
    depends.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_the_module() {
        for (object, expected) in [
            (&b"\x7fELF\0license=GPL\0depends=stp,llc\0name=bridge\0"[..], &["stp", "llc"][..]),
            (b"\0depends=\0", &[]),
            (b"\0vermagic=6.1\0", &[]),
            (b"\0depends=nf-nat\0", &["nf_nat"]),
        ] {
            assert_eq!(dependencies(object), expected);
        }
    }

    #[test]
    fn modules_come_after_what_they_need() {
        let root = std::env::temp_dir().join(format!("mtls-filter-modules-{}", std::process::id()));
        fs::create_dir_all(root.join("net")).unwrap();
        for (name, depends) in [("bridge", "stp,llc"), ("stp", "llc"), ("llc", ""), ("veth", ""), ("tls", "")] {
            fs::write(root.join(format!("net/{name}.ko")), format!("\0depends={depends}\0")).unwrap();
        }
        let names: Vec<_> = collect(&root).unwrap().into_iter().map(|module| module.name).collect();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(names, ["veth", "llc", "stp", "bridge"]);
    }
}
