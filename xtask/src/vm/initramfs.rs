//! The file system of a guest: the tests and all they run, in one archive that the kernel unpacks into memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use cpio::newc::{Builder, ModeFileType, trailer};

use crate::run::output;

const EXECUTABLE: u32 = 0o755;
const READABLE: u32 = 0o644;

/// A file system in the making: paths without a leading slash.
#[derive(Default)]
pub(crate) struct Initramfs {
    files: BTreeMap<String, (u32, Content)>,
}

enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Initramfs {
    /// Adds a text or another file's bytes.
    pub(crate) fn bytes(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(relative(path), (READABLE, Content::Bytes(bytes.into())));
    }

    /// Adds a file as it is.
    pub(crate) fn file(&mut self, path: &str, source: &Path) {
        self.files.insert(relative(path), (READABLE, Content::File(source.to_owned())));
    }

    /// Adds a program without what a debugger wants of it, and the shared libraries that it loads, where this host has them.
    pub(crate) fn program(&mut self, path: &str, source: &Path, libraries: Option<&Path>) -> Result<()> {
        for library in shared_libraries(source, libraries)? {
            self.files.insert(relative(&library.to_string_lossy()), (EXECUTABLE, Content::File(library.clone())));
        }
        self.files.insert(relative(path), (EXECUTABLE, Content::Bytes(stripped(source)?)));
        Ok(())
    }

    /// Writes the archive. Not compressed: unpacking takes an emulated CPU longer than reading.
    pub(crate) fn write(&self, archive: &Path) -> Result<()> {
        let cannot = || format!("cannot write {}", archive.display());
        let mut out = BufWriter::new(File::create(archive).with_context(cannot)?);
        let mut inode = 0;
        let mut builder = |path: &str, kind: ModeFileType, mode: u32| {
            inode += 1;
            Builder::new(path).ino(inode).nlink(1).mode(mode).set_mode_file_type(kind)
        };
        for directory in self.directories() {
            out =
                builder(&directory, ModeFileType::Directory, EXECUTABLE).write(out, 0).finish().with_context(cannot)?;
        }
        for (path, (mode, content)) in &self.files {
            let bytes = match content {
                Content::Bytes(bytes) => bytes,
                Content::File(file) => &fs::read(file).with_context(|| format!("cannot read {}", file.display()))?,
            };
            let size = u32::try_from(bytes.len()).with_context(|| format!("{path} is too large for an initramfs"))?;
            let mut entry = builder(path, ModeFileType::Regular, *mode).write(out, size);
            entry.write_all(bytes).with_context(cannot)?;
            out = entry.finish().with_context(cannot)?;
        }
        trailer(out).and_then(|mut out| out.flush()).with_context(cannot)
    }

    /// Every directory that a file is in, those that contain others first.
    fn directories(&self) -> BTreeSet<String> {
        let parents = self.files.keys().flat_map(|path| Path::new(path).ancestors().skip(1));
        parents.map(|path| path.to_string_lossy().into_owned()).filter(|path| !path.is_empty()).collect()
    }
}

fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

fn stripped(program: &Path) -> Result<Vec<u8>> {
    let out = std::env::temp_dir().join(format!("mtls-filter-stripped-{}", std::process::id()));
    let stripped = output(Command::new("strip").arg("--strip-all").arg("-o").arg(&out).arg(program));
    let bytes = stripped.and_then(|_| Ok(fs::read(&out)?));
    let _ = fs::remove_file(&out);
    bytes.with_context(|| format!("cannot strip {}", program.display()))
}

/// The libraries that the dynamic linker would load for a program, itself among them.
fn shared_libraries(program: &Path, extra: Option<&Path>) -> Result<Vec<PathBuf>> {
    let mut ldd = Command::new("ldd");
    ldd.arg(program);
    if let Some(extra) = extra {
        ldd.env("LD_LIBRARY_PATH", extra);
    }
    Ok(parse_ldd(&output(&mut ldd)?))
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`, `linux-vdso.so.1 (0x…)`.
fn parse_ldd(printed: &str) -> Vec<PathBuf> {
    let place = |line: &str| {
        let path = line.rsplit("=> ").next()?.split(" (").next()?.trim();
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    printed.lines().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(parse_ldd(printed), expected);
        assert!(parse_ldd("\tstatically linked\n").is_empty());
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let mut initramfs = Initramfs::default();
        initramfs.bytes("/a/b/c", "text");
        initramfs.bytes("a/d", "text");
        let directories: Vec<_> = initramfs.directories().into_iter().collect();
        assert_eq!(directories, ["a", "a/b"]);
    }
}
