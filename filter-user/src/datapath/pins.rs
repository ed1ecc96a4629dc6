//! The directory that keeps maps and programs for the next process. One process has it at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use thiserror::Error;

use crate::kernel::detach_pinned;

/// A directory of pins that nobody else uses as long as this lives.
#[derive(Debug)]
pub(super) struct PinDirectory {
    path: PathBuf,
    /// Holds the lock. The kernel takes it back from a process that is killed.
    _lock: File,
}

/// Why a directory cannot be used for pins.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PinError {
    /// Another process has it.
    #[error(
        "another process keeps its XDP program in {}: end it first, or give each daemon an `edge.pin` of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// Maps can be pinned elsewhere only.
    #[error("{} is in no BPF file system (mount -t bpf bpf /sys/fs/bpf)", .0.display())]
    NoBpf(PathBuf),
    /// It cannot be made or opened.
    #[error("the directory {} cannot be used", .0.display())]
    Unusable(PathBuf, #[source] io::Error),
}

impl PinDirectory {
    /// Takes the directory, which is made if it is not there.
    pub(super) fn take(path: &Path) -> Result<Self, PinError> {
        let unusable = |error| PinError::Unusable(path.to_owned(), error);
        let made = !path.exists();
        fs::create_dir_all(path).map_err(unusable)?;
        let taken = Self::open(path);
        if made && matches!(taken, Err(PinError::NoBpf(_))) {
            // What is not needed is not left behind; that it is there does no harm.
            let _ = fs::remove_dir(path);
        }
        taken
    }

    fn open(path: &Path) -> Result<Self, PinError> {
        let unusable = |error| PinError::Unusable(path.to_owned(), error);
        let lock = File::open(path).map_err(unusable)?;
        // Before anybody removes what is in there: it might be anything.
        let system = statfs(path).map_err(|errno| unusable(errno.into()))?;
        if system.filesystem_type() != BPF_FS_MAGIC {
            return Err(PinError::NoBpf(path.to_owned()));
        }
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PinError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Detaches what is pinned in it. False if there was nothing.
    pub(super) fn detach(self) -> bool {
        detach_pinned(&self.path)
    }
}

/// Detaches what a process that is gone has left in `path`: connections that it spliced end, and kernel settings that it changed are what
/// they were. False if there was nothing.
///
/// # Errors
/// When a process is at work with it, or it is no directory of pins.
pub fn detach(path: &Path) -> Result<bool, PinError> {
    match path.try_exists() {
        Ok(true) => Ok(PinDirectory::open(path)?.detach()),
        Ok(false) => Ok(false),
        Err(error) => Err(PinError::Unusable(path.to_owned(), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_elsewhere_is_refused_and_keeps_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(detach(directory.path()), Err(PinError::NoBpf(_))));
        assert!(matches!(PinDirectory::take(directory.path()), Err(PinError::NoBpf(_))));
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    }

    #[test]
    fn a_directory_that_is_of_no_use_is_not_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pins");
        assert!(matches!(PinDirectory::take(&path), Err(PinError::NoBpf(_))));
        assert!(!path.exists());
        assert!(!detach(&path).unwrap(), "nothing is there, so there is nothing to detach");
    }
}
