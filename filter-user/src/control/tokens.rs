//! API tokens.
//!
//! A secret is 256 random bits. It is shown once and stored as its SHA-256: what a slow hash protects is a secret that can be guessed,
//! and this one cannot, while a slow hash would let anybody who can send a header spend the daemon's time.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Author;
use crate::model::{Change, Scope, State, Timestamp, TokenId, TokenRecord, ZoneId};
use crate::store::{Revision, Store, StoreError};

/// What every secret begins with, so that scanners for leaked secrets can know it.
pub const PREFIX: &str = "mtf_";

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Name of the token that the first start makes.
const FIRST: &str = "first token";

/// A token's secret, in the only moment in which it is known.
pub struct Secret(String);

impl Secret {
    /// A new one.
    pub fn generate() -> Self {
        let mut bytes = [0; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).expect("the generator of AWS-LC does not fail once the process started");
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The text that a client sends.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What a new token may do.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Name for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where; `None` is everywhere.
    pub zones: Option<Vec<ZoneId>>,
    /// When it stops being good.
    pub expires: Option<Timestamp>,
}

/// The record of a new token.
pub fn record(grant: Grant, secret: &Secret) -> TokenRecord {
    let Grant { name, scopes, zones, expires } = grant;
    TokenRecord {
        id: TokenId::generate(),
        name,
        secret_sha256: hash(secret.expose()),
        scopes,
        zones,
        created: Timestamp::now(),
        expires,
        disabled: false,
    }
}

/// The token of a secret, good or not. How long this takes says nothing of the secrets there are.
pub fn of_secret<'s>(state: &'s State, secret: &str) -> Option<&'s TokenRecord> {
    let sought = hash(secret);
    let mut found = None;
    for token in state.tokens() {
        // Every token is looked at, each in the same time.
        if verify_slices_are_equal(token.secret_sha256.as_bytes(), sought.as_bytes()).is_ok() {
            found = Some(&**token);
        }
    }
    found
}

/// Whether a token counts at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Active,
    /// An operator switched it off.
    Disabled,
    /// Its time is over.
    Expired,
}

impl Standing {
    /// Of a token, at a moment.
    pub fn of(token: &TokenRecord, now: Timestamp) -> Self {
        if token.disabled {
            Self::Disabled
        } else if token.expires.is_some_and(|expires| expires <= now) {
            Self::Expired
        } else {
            Self::Active
        }
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
        }
    }
}

/// Whether these scopes hold `needed`: `admin` holds all, and whoever may write may read.
pub fn allow(scopes: &[Scope], needed: Scope) -> bool {
    scopes.contains(&Scope::Admin) || scopes.contains(&needed) || (needed == Scope::Read && !scopes.is_empty())
}

/// Makes the first token of a store that was never used: somebody must be able to make the others.
///
/// # Errors
/// When it cannot be stored.
pub fn first(store: &dyn Store) -> Result<Option<Secret>, StoreError> {
    let (revision, _) = store.load()?;
    if revision != Revision::ZERO {
        return Ok(None);
    }
    let secret = Secret::generate();
    let grant = Grant { name: FIRST.to_owned(), scopes: vec![Scope::Admin], zones: None, expires: None };
    let change = Change::AddToken(record(grant, &secret));
    store.commit(revision, &[change], Author::start().did("token create"))?;
    Ok(Some(secret))
}

fn hash(secret: &str) -> String {
    digest(&SHA256, secret.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RedbStore;

    #[test]
    fn only_an_unused_store_gets_a_first_token_and_it_may_do_everything() {
        let store = RedbStore::in_memory().unwrap();
        let secret = first(&store).unwrap().expect("a first token");
        let (_, state) = store.load().unwrap();
        let token = of_secret(&state, secret.expose()).unwrap();
        assert!(allow(&token.scopes, Scope::Admin) && token.zones.is_none());
        assert!(first(&store).unwrap().is_none(), "a second start makes no token");
    }

    #[test]
    fn a_store_holds_no_secret() {
        let store = RedbStore::in_memory().unwrap();
        let secret = first(&store).unwrap().unwrap();
        let (_, state) = store.load().unwrap();
        assert!(!format!("{:?}", state.tokens().collect::<Vec<_>>()).contains(secret.expose()));
    }

    #[test]
    fn secrets_are_long_unlike_each_other_and_found_whole_only() {
        let (one, other) = (Secret::generate(), Secret::generate());
        assert_eq!(one.expose().len(), PREFIX.len() + 43);
        assert_ne!(one.expose(), other.expose());
        let grant = Grant { name: "t".to_owned(), scopes: vec![Scope::Read], zones: None, expires: None };
        let state = State::default().apply(&[Change::AddToken(record(grant, &one))]).unwrap().state;
        assert!(of_secret(&state, one.expose()).is_some());
        let all = one.expose();
        for wrong in ["", PREFIX, other.expose(), &all[..all.len() - 1], &format!("{all}A"), &all.to_uppercase()] {
            assert!(of_secret(&state, wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn scopes_hold_what_they_say() {
        use Scope::{Admin, Certificates, Read, Rules};
        for (scopes, needed, allowed) in [
            (&[Read][..], Read, true),
            (&[Rules], Read, true),
            (&[Admin], Certificates, true),
            (&[Read], Rules, false),
            (&[Rules], Certificates, false),
            (&[Certificates, Rules], Admin, false),
            (&[], Read, false),
        ] {
            assert_eq!(allow(scopes, needed), allowed, "{scopes:?} {needed:?}");
        }
    }

    #[test]
    fn a_token_counts_until_the_moment_it_expires() {
        let grant = |expires| Grant { name: String::new(), scopes: Vec::new(), zones: None, expires };
        let at = Timestamp::from_unix_seconds;
        let token = record(grant(Some(at(100))), &Secret::generate());
        assert_eq!(Standing::of(&token, at(99)), Standing::Active);
        assert_eq!(Standing::of(&token, at(100)), Standing::Expired);
        let disabled = TokenRecord { disabled: true, ..token };
        assert_eq!(Standing::of(&disabled, at(0)), Standing::Disabled);
        assert_eq!(Standing::of(&record(grant(None), &Secret::generate()), at(i64::MAX)), Standing::Active);
    }
}
