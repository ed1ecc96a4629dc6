//! API tokens.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named};
use crate::control::Control;
use crate::control::tokens::{Grant, Secret, Standing, record};
use crate::model::{self, Change, Scope, Timestamp, TokenId, TokenRecord, ZoneId};

/// Most days until a token expires: ten years.
const MAX_DAYS: u32 = 3_650;

const SECONDS_PER_DAY: i64 = 86_400;

/// Lists the API tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, body = Envelope<Vec<dto::Token>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
) -> Result<Answer<Vec<dto::Token>>, ApiError> {
    caller.everywhere(Scope::Admin)?;
    let (state, _) = control.state().await;
    Ok(Answer(state.tokens().map(|token| shown(token)).collect()))
}

/// Makes an API token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = dto::CreateToken,
    responses((status = 200, body = Envelope<dto::CreatedToken>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Body(wanted): Body<dto::CreateToken>,
) -> Result<Answer<dto::CreatedToken>, ApiError> {
    caller.everywhere(Scope::Admin)?;
    let grant = grant(&control, &caller, wanted)?;
    let secret = Secret::generate();
    let token = record(grant, &secret);
    let plan = move |state: &model::State| {
        if let Some(same) = state.tokens().find(|known| known.name == token.name) {
            let message = format!("there is a token named {:?} already: {}", same.name, same.id);
            return Err(ApiError::conflict(message).at("/name"));
        }
        Ok((vec![Change::AddToken(token.clone())], token))
    };
    let changed = control.change(caller.intent("token create"), plan).await?;
    Ok(Answer(dto::CreatedToken { token: shown(&changed.value), secret: secret.expose().to_owned() }))
}

/// Forgets an API token: it counts no more.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "tokens",
    responses((status = 200, body = Envelope<dto::Written<dto::Id>>)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(token): Named<String>,
) -> Result<Answer<dto::Written<dto::Id>>, ApiError> {
    caller.everywhere(Scope::Admin)?;
    let id: TokenId = token.parse()?;
    let plan = move |state: &model::State| match state.token(id) {
        Some(_) => Ok((vec![Change::RemoveToken(id)], ())),
        None => Err(ApiError::no_object(format!("there is no token {id}"))),
    };
    let generation = control.change(caller.intent("token revoke"), plan).await?.generation;
    Ok(Answer(dto::Written { value: dto::Id { id: token }, generation, warnings: Vec::new() }))
}

fn grant(control: &Control, caller: &Caller, wanted: dto::CreateToken) -> Result<Grant, ApiError> {
    if wanted.name.trim().is_empty() {
        return Err(ApiError::invalid("/name", "give the token a name by which people know who has it"));
    }
    if wanted.scopes.is_empty() {
        return Err(ApiError::invalid("/scopes", "say what the token may do: read, certificates, rules, admin"));
    }
    let mut scopes = Vec::new();
    for (place, name) in wanted.scopes.iter().enumerate() {
        let scope = Scope::of_name(name).ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            let message = format!("there is no scope {shown:?}; there are read, certificates, rules and admin");
            ApiError::invalid(format!("/scopes/{place}"), message)
        })?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let zones = match wanted.zones {
        None => None,
        Some(named) if named.is_empty() => {
            return Err(ApiError::invalid("/zones", "name at least one zone, or leave `zones` out for all"));
        }
        Some(named) => {
            let ids: Result<Vec<ZoneId>, _> =
                named.iter().map(|name| caller.zone(control, name, Scope::Admin).map(|(_, id)| id)).collect();
            Some(ids?)
        }
    };
    let expires = match wanted.days {
        None => None,
        Some(days @ 1..=MAX_DAYS) => {
            let seconds = i64::from(days).saturating_mul(SECONDS_PER_DAY);
            Some(Timestamp::from_unix_seconds(Timestamp::now().unix_seconds().saturating_add(seconds)))
        }
        Some(_) => return Err(ApiError::invalid("/days", format!("a token lives 1 to {MAX_DAYS} days, or for ever"))),
    };
    Ok(Grant { name: wanted.name, scopes, zones, expires })
}

fn shown(token: &TokenRecord) -> dto::Token {
    dto::Token {
        id: token.id.to_string(),
        name: token.name.clone(),
        scopes: token.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        zones: token.zones.as_ref().map(|zones| zones.iter().map(ZoneId::to_string).collect()),
        status: Standing::of(token, Timestamp::now()).name().to_owned(),
        created: token.created.rfc3339_seconds(),
        expires: token.expires.map(Timestamp::rfc3339_seconds),
    }
}
