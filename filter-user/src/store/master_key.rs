//! The key that seals all other keys.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use thiserror::Error;

use crate::model::SealedKey;

/// Bytes of the key.
const KEY_BYTES: usize = 32;
/// Permissions of a new key file.
const MODE: u32 = 0o600;
/// Permissions that a key file must not have: anything for group and others.
const FORBIDDEN: u32 = 0o077;

/// Why there is no master key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// The file cannot be read or made.
    #[error("the master key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Other users could read the key.
    #[error("the master key file {path} has mode {mode:04o}: others than its owner may use it; run chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Not a key.
    #[error("the master key file {0} does not hold 64 hexadecimal digits: restore it from your backup")]
    Malformed(PathBuf),
    /// No randomness, or no cipher.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// Why a sealed key cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The file was replaced, or the state comes from another machine.
    #[error(
        "it was sealed with master key {sealed_with}, but the master key file holds key {present}: restore the file that belongs to this state"
    )]
    OtherMasterKey {
        /// Name of the key it was sealed with.
        sealed_with: String,
        /// Name of the key there is.
        present: String,
    },
    /// Changed since it was sealed, or moved here from another record.
    #[error("it is damaged, or does not belong to this record")]
    Damaged,
    /// The cipher failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// AES-256-GCM key in a file of its own. A backup of the state without this file opens nothing.
pub struct MasterKey {
    key: RandomizedNonceKey,
    id: String,
}

impl MasterKey {
    /// Reads the key file; makes it, for its owner only, if there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Self::create(path),
            outcome => outcome,
        }
    }

    /// Reads the key file. A file that others may read is refused.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // Of the opened file, so that nobody can swap it between the two questions.
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & FORBIDDEN != 0 {
            return Err(MasterKeyError::Exposed { path: path.to_owned(), mode });
        }
        let text = io::read_to_string(file).map_err(failed)?;
        let bytes = parse(text.trim_end()).ok_or_else(|| MasterKeyError::Malformed(path.to_owned()))?;
        Self::from_bytes(&bytes)
    }

    fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let mut bytes = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| MasterKeyError::Crypto)?;
        write_new(path, &bytes).map_err(|source| MasterKeyError::Io { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<Self, MasterKeyError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| MasterKeyError::Crypto)?;
        let name = digest(&SHA256, &[b"mtls-filter master key".as_slice(), bytes].concat());
        let id = name.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { key, id })
    }

    /// Its name, which tells nothing of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a secret for one record; it opens for no other.
    pub fn seal(&self, record: &str, secret: &[u8]) -> Result<SealedKey, SealError> {
        let mut sealed = secret.to_vec();
        let nonce =
            self.key.seal_in_place_append_tag(self.context(record), &mut sealed).map_err(|_| SealError::Crypto)?;
        Ok(SealedKey { master_key: self.id.clone(), sealed: [nonce.as_ref().as_slice(), &sealed].concat() })
    }

    /// Opens a secret that was sealed for this record.
    pub fn open(&self, record: &str, sealed: &SealedKey) -> Result<Vec<u8>, SealError> {
        if sealed.master_key != self.id {
            let sealed_with = sealed.master_key.clone();
            return Err(SealError::OtherMasterKey { sealed_with, present: self.id.clone() });
        }
        let (nonce, text) = sealed.sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let secret = self.key.open_in_place(nonce, self.context(record), &mut text).map_err(|_| SealError::Damaged)?;
        Ok(secret.to_vec())
    }

    /// What a sealed secret is bound to.
    fn context(&self, record: &str) -> Aad<Vec<u8>> {
        Aad::from([self.id.as_bytes(), b"\0", record.as_bytes()].concat())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MasterKey({})", self.id)
    }
}

/// Writes the file so that it is there, whole, after a power cut.
fn write_new(path: &Path, key: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    // Written beside and linked: a crash leaves no half key, and two first starts at once do not make two keys.
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let written = file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    linked?;
    File::open(directory)?.sync_all()
}

fn parse(text: &str) -> Option<[u8; KEY_BYTES]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut key = [0; KEY_BYTES];
    if pairs.len() != key.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub").join("master.key");
        (directory, path)
    }

    #[test]
    fn the_key_is_made_once_and_for_its_owner_only() {
        let (_directory, path) = file();
        let made = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(MasterKey::load_or_create(&path).unwrap().id(), made.id());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let (_directory, path) = file();
        MasterKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o610, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(MasterKey::load_or_create(&path), Err(MasterKeyError::Exposed { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(MasterKey::load_or_create(&path).is_ok());
    }

    #[test]
    fn a_damaged_key_file_is_not_replaced() {
        let (_directory, path) = file();
        MasterKey::load_or_create(&path).unwrap();
        for text in ["", "abc", &"0".repeat(63), &"g".repeat(64), &"+0".repeat(32), &"0".repeat(66)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(MasterKey::load_or_create(&path), Err(MasterKeyError::Malformed(_))), "{text:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_sealed_secret_opens_for_its_record_and_its_key_only() {
        let (one, two) = (MasterKey::from_bytes(&[1; 32]).unwrap(), MasterKey::from_bytes(&[2; 32]).unwrap());
        let sealed = one.seal("authority/a", b"secret").unwrap();
        assert_eq!(one.open("authority/a", &sealed).unwrap(), b"secret");
        assert_eq!(one.open("authority/b", &sealed), Err(SealError::Damaged));
        assert!(matches!(two.open("authority/a", &sealed), Err(SealError::OtherMasterKey { .. })));
        let renamed = SealedKey { master_key: two.id().to_owned(), ..sealed.clone() };
        assert_eq!(two.open("authority/a", &renamed), Err(SealError::Damaged));
        for length in [0, NONCE_LEN, sealed.sealed.len() - 1] {
            let cut = SealedKey { sealed: sealed.sealed[..length].to_vec(), ..sealed.clone() };
            assert_eq!(one.open("authority/a", &cut), Err(SealError::Damaged));
        }
        assert_ne!(one.seal("authority/a", b"secret").unwrap(), sealed, "a nonce is used once");
    }
}
