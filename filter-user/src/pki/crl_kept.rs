//! A verified list in the form in which it is kept between two runs.
//!
//! Not the list as it was signed: what a complete list and its deltas came to is kept, so that the next run decides by the same,
//! and it is there in a moment, without a signature over 40 MB and a sort. Whoever could write this file could write the store.

use std::io::{self, BufRead, Read as _, Write};

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::authority::Authority;
use super::crl::{Crl, CrlNumber};
use super::details::lower_hex;
use super::limits::CRL_ENTRIES;
use crate::model::Timestamp;
use crate::revocation::RevocationKey;

/// What the first line says the file is.
const FORMAT: &str = "mtls-filter CRL 1";

/// Bytes of a header that is read.
const HEADER_BYTES: u64 = 4_096;

/// Keys that are written or read at once.
const CHUNK: usize = 4_096;

/// Bytes of a key.
const KEY: usize = size_of::<RevocationKey>();

/// Why a kept list cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeptError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not one of ours, cut off, or changed since.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Of another authority.
    #[error("it belongs to another authority")]
    OtherAuthority,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    issuer: String,
    number: CrlNumber,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    digest: String,
    complete: String,
    entries: usize,
}

impl Crl {
    /// Writes a complete list.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, to: &mut impl Write) -> io::Result<()> {
        let header = Header {
            format: FORMAT.to_owned(),
            issuer: lower_hex(self.issuer().as_bytes()),
            number: self.number().clone(),
            this_update: self.this_update(),
            next_update: self.next_update(),
            digest: lower_hex(self.digest()),
            complete: lower_hex(self.complete_digest()),
            entries: self.revoked().len(),
        };
        let mut context = Context::new(&SHA256);
        let mut write = |bytes: &[u8]| {
            context.update(bytes);
            to.write_all(bytes)
        };
        write(&[serde_json::to_vec(&header)?, b"\n".to_vec()].concat())?;
        for keys in self.revoked().chunks(CHUNK) {
            let bytes: Vec<u8> = keys.iter().flat_map(|key| *key.as_bytes()).collect();
            write(&bytes)?;
        }
        to.write_all(context.finish().as_ref())?;
        to.flush()
    }

    /// Reads a list of this authority that was kept.
    ///
    /// # Errors
    /// When it cannot be read, is not whole, or is not of this authority.
    pub fn of_kept(from: &mut impl BufRead, authority: &Authority) -> Result<Self, KeptError> {
        let mut line = Vec::new();
        from.take(HEADER_BYTES).read_until(b'\n', &mut line)?;
        let header: Header = serde_json::from_slice(&line).map_err(|_| KeptError::Damaged("its header"))?;
        if header.format != FORMAT {
            return Err(KeptError::Damaged("its format"));
        }
        if header.issuer != lower_hex(authority.key_hash().as_bytes()) {
            return Err(KeptError::OtherAuthority);
        }
        if header.entries > CRL_ENTRIES {
            return Err(KeptError::Damaged("its number of entries"));
        }
        let mut context = Context::new(&SHA256);
        context.update(&line);
        let revoked = keys(from, header.entries, &mut context)?;
        let mut checksum = Vec::new();
        from.read_to_end(&mut checksum)?;
        if checksum != context.finish().as_ref() {
            return Err(KeptError::Damaged("its checksum"));
        }
        let [Some(digest), Some(complete)] = [&header.digest, &header.complete].map(|hex| digest(hex)) else {
            return Err(KeptError::Damaged("its header"));
        };
        if !revoked.is_sorted() {
            return Err(KeptError::Damaged("the order of its entries"));
        }
        let issuer = *authority.key_hash();
        let Header { number, this_update, next_update, .. } = header;
        Ok(Self::of_parts(issuer, number, this_update, next_update, revoked, [digest, complete]))
    }
}

fn keys(from: &mut impl BufRead, entries: usize, context: &mut Context) -> Result<Vec<RevocationKey>, KeptError> {
    let mut keys = Vec::new();
    let mut bytes = vec![0; CHUNK.saturating_mul(KEY)];
    let mut missing = entries;
    while missing > 0 {
        let now = missing.min(CHUNK);
        let chunk = bytes.get_mut(..now.saturating_mul(KEY)).unwrap_or_default();
        from.read_exact(chunk).map_err(|_| KeptError::Damaged("its end is missing"))?;
        context.update(chunk);
        keys.extend(chunk.as_chunks::<KEY>().0.iter().map(|key| RevocationKey::from_bytes(*key)));
        missing = missing.saturating_sub(now);
    }
    Ok(keys)
}

fn digest(hex: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let mut digest = [0; SHA256_OUTPUT_LEN];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::crl::tests::{complete, now};
    use crate::pki::test_support::{authority, ca};

    fn kept(crl: &Crl) -> Vec<u8> {
        let mut bytes = Vec::new();
        crl.keep(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_list_is_the_same_after_it_was_kept() {
        let root = ca("root");
        for serials in [&[][..], &[1], &[3, 1, 2, 200]] {
            let crl = Crl::parse(&complete(&root, 7, serials), &authority(&root), now()).unwrap();
            assert_eq!(Crl::of_kept(&mut kept(&crl).as_slice(), &authority(&root)).unwrap(), crl, "{serials:?}");
        }
    }

    #[test]
    fn a_kept_list_that_was_cut_off_or_changed_anywhere_is_refused() {
        let root = ca("root");
        let crl = Crl::parse(&complete(&root, 7, &[1, 2, 3]), &authority(&root), now()).unwrap();
        let whole = kept(&crl);
        let read = |bytes: &[u8]| Crl::of_kept(&mut &*bytes, &authority(&root));
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "cut after {end} of {} bytes", whole.len());
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(read(&changed).is_err(), "byte {place} was changed");
        }
        assert!(read(&[whole.as_slice(), b"x"].concat()).is_err(), "something behind its end");
        let other = authority(&ca("root"));
        assert!(matches!(Crl::of_kept(&mut whole.as_slice(), &other), Err(KeptError::OtherAuthority)));
    }
}
