//! The one account there is, and the token that asks.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::{Answer, Noted, Page, Paging};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::{ApiError, code};
use super::super::request::{Named, Search};
use crate::control::Control;
use crate::control::tokens::Standing;
use crate::model::{Scope, Timestamp};

/// Its id. A daemon has one account, so the id need not tell one from another: the first half of the SHA-256 of `mtls-filter`.
pub(in super::super) const ID: &str = "471c93909f8902396c0411723f59a846";

/// Its name.
pub(super) const NAME: &str = "mtls-filter";

/// Number of the note that says a token is good.
const TOKEN_IS_VALID: u32 = 10_000;

/// Lists the accounts: there is one.
#[utoipa::path(get, path = "/client/v4/accounts", tag = "accounts", params(Paging),
    responses((status = 200, body = Envelope<Vec<dto::Account>>)))]
pub(super) async fn list(
    _: State<Arc<Control>>,
    caller: Caller,
    Search(paging): Search<Paging>,
) -> Result<Page<dto::Account>, ApiError> {
    let _ = caller;
    paging.page(std::iter::once(()), |()| account())
}

/// Shows the account.
#[utoipa::path(get, path = "/client/v4/accounts/{account}", tag = "accounts",
    responses((status = 200, body = Envelope<dto::Account>)))]
pub(super) async fn show(caller: Caller, Named(account_id): Named<String>) -> Result<Answer<dto::Account>, ApiError> {
    caller.account(&account_id, Scope::Read)?;
    Ok(Answer(account()))
}

fn account() -> dto::Account {
    dto::Account { id: ID.to_owned(), name: NAME.to_owned(), kind: "standard".to_owned(), created_on: None }
}

/// Shows whose token it is.
#[utoipa::path(get, path = "/client/v4/user", tag = "accounts", responses((status = 200, body = Envelope<dto::User>)))]
pub(super) async fn user(caller: Caller) -> Answer<dto::User> {
    let token = caller.credentials();
    Answer(dto::User {
        id: token.map_or_else(|| ID.to_owned(), |token| token.id.to_string()),
        email: None,
        first_name: Some(token.map_or_else(|| "local".to_owned(), |token| token.name.clone())),
        last_name: None,
        suspended: false,
    })
}

/// Says whether the token that asks is good.
#[utoipa::path(get, path = "/client/v4/user/tokens/verify", tag = "accounts",
    responses((status = 200, body = Envelope<dto::VerifiedToken>)))]
pub(super) async fn verify(caller: Caller) -> Result<Noted<dto::VerifiedToken>, ApiError> {
    verified(&caller)
}

/// Says whether the token that asks is good.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/tokens/verify", tag = "accounts",
    responses((status = 200, body = Envelope<dto::VerifiedToken>)))]
pub(super) async fn verify_in_account(
    caller: Caller,
    Named(account_id): Named<String>,
) -> Result<Noted<dto::VerifiedToken>, ApiError> {
    if account_id != ID {
        return Err(ApiError::no_object("there is no such account"));
    }
    verified(&caller)
}

fn verified(caller: &Caller) -> Result<Noted<dto::VerifiedToken>, ApiError> {
    let token = caller.credentials().ok_or_else(|| {
        ApiError::invalid("/authorization", "no token was sent: the control socket needs none")
            .with_code(code::NO_CREDENTIALS)
    })?;
    let result = dto::VerifiedToken {
        id: token.id.to_string(),
        status: Standing::of(token, Timestamp::now()).name().to_owned(),
        expires_on: token.expires.map(Timestamp::rfc3339_seconds),
        not_before: None,
    };
    let message = "This API Token is valid and active".to_owned();
    Ok(Noted(result, dto::Note { code: TOKEN_IS_VALID, message, kind: None }))
}
