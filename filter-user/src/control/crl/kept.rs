//! Where lists are kept between two runs: a directory beside the store, with a file for each authority.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::model::AuthorityId;
use crate::pki::{Authority, Crl, KeptError};

/// Name of the directory in the state directory.
const DIRECTORY: &str = "crl";

/// The lists of the last run.
#[derive(Debug)]
pub(super) struct Kept {
    directory: PathBuf,
}

impl Kept {
    /// Opens the directory; makes it if it is not there, for its owner only.
    pub(super) fn open(state: &Path) -> io::Result<Self> {
        let directory = state.join(DIRECTORY);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory })
    }

    /// The list of an authority, if one was kept.
    pub(super) fn read(&self, authority: &Authority) -> Result<Option<Crl>, KeptError> {
        match File::open(self.file(authority.id())) {
            Ok(file) => Crl::of_kept(&mut BufReader::new(file), authority).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a list in the place of the one before. Whenever the power goes, one of them is there, whole.
    pub(super) fn write(&self, authority: AuthorityId, crl: &Crl) -> io::Result<()> {
        let new = self.directory.join(format!("{authority}.new"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let mut writer = BufWriter::new(file);
        crl.keep(&mut writer)?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(&new, self.file(authority))?;
        File::open(&self.directory)?.sync_all()
    }

    /// Forgets the list of an authority.
    pub(super) fn remove(&self, authority: AuthorityId) -> io::Result<()> {
        match fs::remove_file(self.file(authority)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Forgets what belongs to no authority that has a list: one that was deleted while a kill came, or an unfinished file.
    pub(super) fn retain(&self, authorities: &BTreeSet<AuthorityId>) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if !authorities.iter().any(|authority| path == self.file(*authority)) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn file(&self, authority: AuthorityId) -> PathBuf {
        self.directory.join(format!("{authority}.crl"))
    }
}
