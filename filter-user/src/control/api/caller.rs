//! Who calls, and what he may do.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};

use super::error::{ApiError, code};
use super::v4::account;
use crate::config;
use crate::control::tokens::{self, Standing};
use crate::control::{Author, Control, Intent};
use crate::model::{Scope, Timestamp, TokenRecord, ZoneId};

/// A caller that is known. There is no other way to a zone, to the account or to a change than through its methods, so no handler can
/// forget to ask what the caller may.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    author: Author,
    powers: Powers,
    expected: Option<u64>,
}

#[derive(Clone, Debug)]
enum Powers {
    /// Whoever may open the control socket may do everything.
    Everything,
    /// What the token says.
    Token(Arc<TokenRecord>),
}

impl Caller {
    /// Somebody on the control socket.
    pub(super) fn local() -> Self {
        Self { author: Author::local(), powers: Powers::Everything, expected: None }
    }

    /// Somebody with a token that counts.
    pub(super) fn token(token: TokenRecord, origin: String) -> Self {
        let actor = format!("{} ({})", token.name, token.id);
        Self { author: Author { actor, origin }, powers: Powers::Token(Arc::new(token)), expected: None }
    }

    /// The same caller, who makes changes to one revision only: that of `If-Match`, if it is there.
    pub(super) fn expecting(self, headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::IF_MATCH) else { return Ok(self) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(self);
        }
        let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let expected = unquoted.parse().map_err(|_| {
            let message = "If-Match must be the ETag of an answer, such as \"42\"";
            ApiError::new(StatusCode::BAD_REQUEST, code::INVALID, message)
        })?;
        Ok(Self { expected: Some(expected), ..self })
    }

    /// The zone that a path names, by id or by name, if the caller may do `needed` there.
    pub(super) fn zone<'c>(
        &self,
        control: &'c Control,
        named: &str,
        needed: Scope,
    ) -> Result<(&'c config::Zone, ZoneId), ApiError> {
        let zones = control.config.zones.iter().map(|zone| (zone, ZoneId::of_name(zone.name.as_str())));
        let found = zones
            .into_iter()
            .find(|(zone, id)| zone.name.as_str() == named || id.to_string() == named)
            .ok_or_else(|| {
                let shown: String = named.chars().take(100).collect();
                ApiError::no_object(format!("there is no zone {shown:?}"))
            })?;
        self.scope(needed)?;
        if !self.sees(found.1) {
            return Err(ApiError::forbidden(format!("this token is not for the zone {}", found.0.name)));
        }
        Ok(found)
    }

    /// Whether the caller's token is for a zone.
    pub(super) fn sees(&self, zone: ZoneId) -> bool {
        match &self.powers {
            Powers::Everything => true,
            Powers::Token(token) => token.zones.as_ref().is_none_or(|zones| zones.contains(&zone)),
        }
    }

    /// The account that a path names, if the caller may do `needed` to what belongs to no zone.
    pub(super) fn account(&self, named: &str, needed: Scope) -> Result<(), ApiError> {
        if named != account::ID {
            let shown: String = named.chars().take(100).collect();
            return Err(ApiError::no_object(format!("there is no account {shown:?}; there is {}", account::ID)));
        }
        self.everywhere(needed)
    }

    /// Whether the caller may do `needed` everywhere.
    pub(super) fn everywhere(&self, needed: Scope) -> Result<(), ApiError> {
        self.scope(needed)?;
        match &self.powers {
            Powers::Token(token) if token.zones.is_some() => {
                Err(ApiError::forbidden("this token is for some zones only, and this belongs to all"))
            }
            Powers::Token(_) | Powers::Everything => Ok(()),
        }
    }

    fn scope(&self, needed: Scope) -> Result<(), ApiError> {
        match &self.powers {
            Powers::Token(token) if !tokens::allow(&token.scopes, needed) => {
                Err(ApiError::forbidden(format!("this token lacks the scope `{}`", needed.name())))
            }
            Powers::Token(_) | Powers::Everything => Ok(()),
        }
    }

    /// Whether what the caller showed still counts, for answers that go on for long.
    pub(super) async fn still_counts(&self, control: &Control) -> bool {
        let Powers::Token(token) = &self.powers else { return true };
        let (state, _) = control.state().await;
        state.token(token.id).is_some_and(|token| Standing::of(token, Timestamp::now()) == Standing::Active)
    }

    /// The token, if there is one.
    pub(super) fn credentials(&self) -> Option<&TokenRecord> {
        match &self.powers {
            Powers::Everything => None,
            Powers::Token(token) => Some(token),
        }
    }

    /// A change by this caller. `action` says in a few words what it is, for the audit.
    pub(super) fn intent(&self, action: &'static str) -> Intent {
        Intent { author: self.author.clone(), action, expected: self.expected, dry_run: false }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Put there by the gate. Without a gate nobody is known.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::new(StatusCode::UNAUTHORIZED, code::AUTHENTICATION, "Authentication error"))
    }
}
