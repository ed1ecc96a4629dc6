//! Who a client is, as far as its certificate tells.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls_pki_types::{CertificateDer, UnixTime};

use super::details::{CertificateDetails, Others};
use super::path::{self, Path, TrustAnchors, VerifyFailure};
use crate::model::{AuthorityId, Timestamp};
use crate::revocation::{CrlFreshness, RevocationKey, RevocationReader};

/// The identity of one connection: computed when the handshake is over, resumed or not, asked at every request.
///
/// A clone shares everything, the [details](Self::details) that are read at first use included.
#[derive(Clone, Default)]
pub struct ClientIdentity {
    presented: Option<Arc<Presented>>,
}

struct Presented {
    leaf: CertificateDer<'static>,
    /// `None` when there was more than anybody would pass on.
    others: Option<Vec<CertificateDer<'static>>>,
    path: Result<Path, VerifyFailure>,
    details: OnceLock<CertificateDetails>,
}

/// What a request is told of the client's certificate: the three Booleans of `cf.tls_client_auth`, and the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertStatus {
    /// `cert_presented`.
    pub presented: bool,
    /// `cert_verified`; true for a revoked certificate too, as Cloudflare has it.
    pub verified: bool,
    /// `cert_revoked`; only a verified certificate is.
    pub revoked: bool,
    /// Why a presented certificate is not verified.
    pub failure: Option<VerifyFailure>,
}

impl ClientIdentity {
    /// The identity of a client that presented nothing.
    pub const fn none() -> Self {
        Self { presented: None }
    }

    /// Verifies what a client presented, leaf first, against the authorities of the host it asked for.
    pub fn from_chain(chain: &[CertificateDer<'_>], anchors: &TrustAnchors, now: UnixTime) -> Self {
        let Some((leaf, others)) = chain.split_first() else { return Self::none() };
        let others = others.iter().map(|der| der.clone().into_owned());
        let presented = Presented {
            leaf: leaf.clone().into_owned(),
            others: (!path::is_too_large(chain)).then(|| others.collect()),
            path: path::verify(chain, anchors, now),
            details: OnceLock::new(),
        };
        Self { presented: Some(Arc::new(presented)) }
    }

    /// What this request is told: asked anew for each, so that expiry, a revocation and a CRL that got too old count from
    /// the next request of an open connection on.
    pub fn status(&self, now: UnixTime, revocations: &RevocationReader) -> CertStatus {
        let failure = self.failure(now).or_else(|| self.crl_failure(now, revocations));
        let verified = self.presented() && failure.is_none();
        let revoked = verified && self.revoked(|key| revocations.contains(key));
        CertStatus { presented: self.presented(), verified, revoked, failure }
    }

    /// What stands in the way of judging a verified path: a CRL that must be there and is not, or is too old.
    fn crl_failure(&self, now: UnixTime, revocations: &RevocationReader) -> Option<VerifyFailure> {
        let issuers = self.path().map(|path| path.issuers.as_slice()).unwrap_or_default();
        issuers.iter().find_map(|issuer| match revocations.freshness(issuer)? {
            CrlFreshness::Missing => Some(VerifyFailure::CrlMissing),
            fresh if fresh.is_current(now) => None,
            CrlFreshness::Until(_) => Some(VerifyFailure::CrlExpired),
        })
    }

    /// Whether a certificate was presented, good or not.
    pub fn presented(&self) -> bool {
        self.presented.is_some()
    }

    /// Whether a certificate was presented whose path was valid at the handshake, and every certificate of that path is
    /// still within its validity. A revoked certificate is verified as well: that is another question.
    pub fn verified(&self, now: UnixTime) -> bool {
        self.path().is_some_and(|path| failure_at(path, now).is_none())
    }

    /// Why a presented certificate does not count; `None` when it does, and when there is none.
    pub fn failure(&self, now: UnixTime) -> Option<VerifyFailure> {
        match &self.presented.as_ref()?.path {
            Ok(path) => failure_at(path, now),
            Err(failure) => Some(*failure),
        }
    }

    /// The name of the leaf in the revocation set; only a verified path has one.
    pub fn revocation_key(&self) -> Option<RevocationKey> {
        self.revocation_keys().first().copied()
    }

    /// The names of all certificates of the path in the revocation set, leaf first: one of them revoked is all of them
    /// revoked. Empty without a verified path.
    pub fn revocation_keys(&self) -> &[RevocationKey] {
        self.path().map(|path| path.revocation_keys.as_slice()).unwrap_or_default()
    }

    /// Whether the leaf or an intermediate of a verified path is revoked, by the answer of the revocation set.
    pub fn revoked(&self, contains: impl FnMut(&RevocationKey) -> bool) -> bool {
        self.revocation_keys().iter().any(contains)
    }

    /// The authority at the end of a verified path.
    pub fn authority(&self) -> Option<AuthorityId> {
        self.path().map(|path| path.authority)
    }

    /// The leaf that was presented.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.presented.as_ref().map(|presented| &presented.leaf)
    }

    /// What rules, headers and logs say of the presented certificate; read once, at first use.
    pub fn details(&self) -> Option<&CertificateDetails> {
        let presented = self.presented.as_ref()?;
        Some(presented.details.get_or_init(|| {
            let others = presented.others.as_deref().map_or(Others::Dropped, Others::Kept);
            let issuer = presented.path.as_ref().ok().map(|path| &path.issuer);
            CertificateDetails::read(&presented.leaf, &others, issuer)
        }))
    }

    fn path(&self) -> Option<&Path> {
        self.presented.as_ref()?.path.as_ref().ok()
    }
}

fn failure_at(path: &Path, now: UnixTime) -> Option<VerifyFailure> {
    let now = Timestamp::from(now);
    if now < path.not_before {
        Some(VerifyFailure::NotYetValid)
    } else if now > path.not_after {
        Some(VerifyFailure::Expired)
    } else {
        None
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.presented {
            None => formatter.write_str("ClientIdentity(none)"),
            Some(presented) => formatter.debug_tuple("ClientIdentity").field(&presented.path).finish(),
        }
    }
}
