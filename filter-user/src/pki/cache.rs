//! Verdicts that were reached before.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::identity::ClientIdentity;
use super::path::{TrustAnchors, is_too_large};

/// One worker's memory of verified chains, so that a client that connects again costs a hash instead of a signature
/// check or two (65 µs each with P-256).
///
/// The key covers every byte of the chain and of the authorities: another intermediate, or another set of authorities, is
/// another question. Only verified chains are kept, since a failure may be over soon and costs its client a handshake
/// each time anyway. When the cache is full, the oldest verdict goes.
pub struct ChainCache {
    capacity: usize,
    verdicts: HashMap<[u8; 32], ClientIdentity>,
    order: VecDeque<[u8; 32]>,
}

impl ChainCache {
    /// A cache of this many chains; none means that every chain is verified anew.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, verdicts: HashMap::new(), order: VecDeque::new() }
    }

    /// The identity a chain gives its client.
    pub fn identify(&mut self, chain: &[CertificateDer<'_>], anchors: &TrustAnchors, now: UnixTime) -> ClientIdentity {
        if chain.is_empty() {
            return ClientIdentity::none();
        }
        if self.capacity == 0 || is_too_large(chain) {
            return ClientIdentity::from_chain(chain, anchors, now);
        }
        let key = key(chain, anchors);
        if let Some(known) = self.verdicts.get(&key).filter(|known| known.verified(now)) {
            return known.clone();
        }
        let identity = ClientIdentity::from_chain(chain, anchors, now);
        if identity.verified(now) {
            self.remember(key, identity.clone());
        }
        identity
    }

    /// How many verdicts are remembered.
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }

    fn remember(&mut self, key: [u8; 32], identity: ClientIdentity) {
        if self.verdicts.insert(key, identity).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }
}

fn key(chain: &[CertificateDer<'_>], anchors: &TrustAnchors) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(anchors.digest());
    for certificate in chain {
        context.update(&u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(certificate);
    }
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
