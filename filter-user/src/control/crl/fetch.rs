//! Gets the bytes of a list: from a file, or from a server.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use http::Uri;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;

use super::http::{Http, HttpError, Validators};
use crate::model::CrlSource;
use crate::pki::CRL_BYTES;

/// How a source looked when its list was taken, so that the same list is not read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was not looked at yet.
    #[default]
    Nothing,
    /// A file.
    File(FileMark),
    /// What a server said of its answer.
    Url(Validators),
}

/// What tells one content of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMark {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What came of a look at a source.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The list is the one that was taken.
    Unchanged,
    /// A list, and how to know it again.
    Bytes(Vec<u8>, Seen),
}

/// Why there is no list.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    /// The file cannot be read.
    #[error("cannot read the file: {0}")]
    File(#[from] io::Error),
    /// A directory, a pipe, a device.
    #[error("it is no regular file")]
    NotAFile,
    /// More bytes than anybody reads.
    #[error("it has more than {CRL_BYTES} bytes")]
    TooLarge,
    /// The server did not give it.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// Gets the list of a source, unless it is the one that was seen.
pub(super) async fn fetch(http: &Http, source: &CrlSource, seen: &Seen) -> Result<Fetched, FetchError> {
    match source {
        CrlSource::File(path) => file(path, seen).await,
        CrlSource::Url(url) => of_server(http, url, seen).await,
    }
}

async fn of_server(http: &Http, url: &Uri, seen: &Seen) -> Result<Fetched, FetchError> {
    let nothing = Validators::default();
    let known = if let Seen::Url(validators) = seen { validators } else { &nothing };
    Ok(match http.get(url, known).await? {
        None => Fetched::Unchanged,
        Some((bytes, validators)) => Fetched::Bytes(bytes, Seen::Url(validators)),
    })
}

/// Reads a file that was written or replaced since it was seen. One that is replaced by a rename is another file, and is always
/// seen whole; of one that is written in place, the half may be read, which is no list, so that it is read again.
async fn file(path: &Path, seen: &Seen) -> Result<Fetched, FetchError> {
    // Opening a pipe would wait for whoever writes to it.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(FetchError::NotAFile);
    }
    let opened = tokio::fs::File::open(path).await?;
    let metadata = opened.metadata().await?;
    if !metadata.is_file() {
        return Err(FetchError::NotAFile);
    }
    let mark = FileMark {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    };
    if *seen == Seen::File(mark) {
        return Ok(Fetched::Unchanged);
    }
    let limit = u64::try_from(CRL_BYTES).unwrap_or(u64::MAX);
    if mark.bytes > limit {
        return Err(FetchError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(mark.bytes).unwrap_or(0).saturating_add(1));
    opened.take(limit.saturating_add(1)).read_to_end(&mut bytes).await?;
    if bytes.len() > CRL_BYTES {
        return Err(FetchError::TooLarge);
    }
    // A write in the same tick of the file system's clock would leave the same times behind.
    let is_settled = crate::model::Timestamp::now().unix_seconds().saturating_sub(metadata.ctime()) > SETTLED_SECONDS;
    Ok(Fetched::Bytes(bytes, if is_settled { Seen::File(mark) } else { Seen::Nothing }))
}

/// How long a file must have been left alone for its times to tell it from the next one.
const SETTLED_SECONDS: i64 = 2;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn look(path: &Path, seen: &Seen) -> Result<Fetched, FetchError> {
        fetch(&Http::without_roots(), &CrlSource::File(path.to_owned()), seen).await
    }

    /// Makes a file look as if it had been left alone for a while; `ctime` cannot be set, so the mark is made by hand.
    fn mark(path: &Path) -> Seen {
        let metadata = fs::metadata(path).unwrap();
        Seen::File(FileMark {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    #[tokio::test]
    async fn a_file_is_read_when_it_was_replaced_and_not_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.crl");
        fs::write(&path, "one").unwrap();
        assert!(matches!(look(&path, &Seen::Nothing).await, Ok(Fetched::Bytes(bytes, _)) if bytes == b"one"));
        let seen = mark(&path);
        assert!(matches!(look(&path, &seen).await, Ok(Fetched::Unchanged)));
        fs::write(directory.path().join("new"), "two").unwrap();
        fs::rename(directory.path().join("new"), &path).unwrap();
        assert!(matches!(look(&path, &seen).await, Ok(Fetched::Bytes(bytes, _)) if bytes == b"two"));
    }

    #[tokio::test]
    async fn a_file_that_was_just_written_is_not_trusted_to_be_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.crl");
        fs::write(&path, "one").unwrap();
        assert!(matches!(look(&path, &Seen::Nothing).await, Ok(Fetched::Bytes(_, Seen::Nothing))));
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(matches!(look(path, &Seen::Nothing).await, Err(FetchError::NotAFile)));
        assert!(matches!(look(&path.join("missing"), &Seen::Nothing).await, Err(FetchError::File(_))));
        let pipe = path.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(look(&pipe, &Seen::Nothing).await, Err(FetchError::NotAFile)));
        assert!(matches!(look(Path::new("/dev/zero"), &Seen::Nothing).await, Err(FetchError::NotAFile)));
    }

    #[tokio::test]
    async fn a_file_past_the_limit_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("big");
        let file = fs::File::create(&path).unwrap();
        file.set_len(CRL_BYTES as u64 + 1).unwrap();
        assert!(matches!(look(&path, &Seen::Nothing).await, Err(FetchError::TooLarge)));
        // At the limit it is read: it holds nothing, so it costs address space only until it is.
        file.set_len(CRL_BYTES as u64).unwrap();
        assert!(matches!(look(&path, &Seen::Nothing).await, Ok(Fetched::Bytes(bytes, _)) if bytes.len() == CRL_BYTES));
    }
}
