//! Certificates: making them, and finding out what one that a client presented is worth.
//!
//! **Trust** is decided by `rustls-webpki` over AWS-LC alone ([`ClientIdentity`]); `x509-parser` reads what is shown to
//! people and rules, and what a request for a certificate asks for.
//!
//! **Invariants.** A [`ClientIdentity`] is verified only against the authorities bound to the host that was asked for; an
//! answer never outlives the validity of any certificate on the path; the handshake refuses nobody
//! ([`OptionalClientAuth`]) but lets nobody present a certificate whose key he does not hold.
//!
//! Revocation is not decided here: a path has [`RevocationKey`](crate::revocation::RevocationKey)s, and the revocation set
//! knows them or not, per request.

mod authority;
mod cache;
mod client_auth;
mod crl;
mod crl_export;
mod crl_kept;
mod der;
mod details;
mod identity;
mod issue;
mod limits;
mod managed;
mod name;
mod path;
mod pkcs12;
mod request;
mod signature;
mod upload;

pub use authority::{Authority, AuthorityError};
pub use cache::ChainCache;
pub use client_auth::OptionalClientAuth;
pub use crl::{Crl, CrlError, CrlNumber};
pub use crl_kept::KeptError;
pub use details::CertificateDetails;
pub use identity::{CertStatus, ClientIdentity};
pub use issue::{IssueError, Validity};
pub use limits::{
    CHAIN_BYTES, CHAIN_CERTIFICATES, CRL_BYTES, CRL_ENTRIES, CSR_BYTES, MAX_VALIDITY_DAYS, MIN_RSA_BITS,
    MIN_VALIDITY_DAYS, RFC9440_CHAIN_BYTES, RFC9440_LEAF_BYTES, SUBJECT_VALUE_BYTES, UPLOAD_BYTES, UPLOAD_CERTIFICATES,
};
pub use managed::ManagedAuthority;
pub use path::{TrustAnchors, VerifyFailure};
pub use pkcs12::{Pkcs12FileError, Pkcs12Form, pkcs12};
pub use request::{CertificateRequest, NewKey, RequestError};
pub use upload::{UploadError, UploadedAuthority, uploaded_authorities};

#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
mod issue_tests;
#[cfg(test)]
mod test_support;
