//! Lets callers in: who they are, and that no web page speaks in their name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::caller::Caller;
use super::error::{ApiError, code};
use super::openapi;
use crate::control::Control;
use crate::control::attempts::{Attempts, Failure};
use crate::control::tokens::{self, Standing};
use crate::model::Timestamp;
use crate::store::Refusal;

const EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const KEY: HeaderName = HeaderName::from_static("x-auth-key");
const SERVICE_KEY: HeaderName = HeaderName::from_static("x-auth-user-service-key");

/// Most characters of a request that the audit repeats.
const SHOWN: usize = 200;

/// Where callers come in.
#[derive(Clone, Debug)]
pub enum Door {
    /// The control socket: its mode says who may.
    Socket,
    /// The admin listener: callers need a token. These are its names beside `localhost` and addresses.
    Network(Arc<[String]>),
}

/// What the gate needs to know.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) control: Arc<Control>,
    pub(super) door: Door,
    pub(super) attempts: Arc<Attempts>,
}

/// Finds out who calls, and passes him on as a [`Caller`]; whoever is not known goes no further.
pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    if is_read && openapi::is_public(parts.uri.path()) {
        let allowed = match &gate.door {
            Door::Socket => Ok(()),
            Door::Network(names) => own_page(&parts.headers, names),
        };
        return hardened(match allowed {
            Ok(()) => next.run(Request::from_parts(parts, body)).await,
            Err(error) => error.into_response(),
        });
    }
    let caller = match gate.caller(&parts).await.and_then(|caller| caller.expecting(&parts.headers)) {
        Ok(caller) => caller,
        Err(error) => return hardened(error.into_response()),
    };
    // Before the handler looks: a change that happens meanwhile makes the tag stale, which is safe.
    let (_, generation) = gate.control.state().await;
    parts.extensions.insert(caller);
    let mut response = hardened(next.run(Request::from_parts(parts, body)).await);
    if is_read && response.status().is_success() {
        let tag = HeaderValue::from_str(&format!("\"{generation}\"")).expect("digits and quotes are visible ASCII");
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Nothing of the API belongs into a cache or a frame.
fn hardened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

impl Gate {
    async fn caller(&self, request: &Parts) -> Result<Caller, ApiError> {
        let Door::Network(names) = &self.door else { return Ok(Caller::local()) };
        own_page(&request.headers, names)?;
        let address = request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        // A listener that does not say who calls is a defect; it must not be a way in.
        let address = address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        match self.token(&request.headers, address).await {
            Ok(caller) => Ok(caller),
            Err(error) => Err(self.failed(request, address, error).await),
        }
    }

    async fn token(&self, headers: &HeaderMap, address: IpAddr) -> Result<Caller, ApiError> {
        let secret = secret(headers)?;
        let (state, _) = self.control.state().await;
        let wrong = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, code::AUTHENTICATION, message);
        let token = tokens::of_secret(&state, secret).ok_or_else(|| wrong("Authentication error"))?;
        match Standing::of(token, Timestamp::now()) {
            Standing::Active => Ok(Caller::token(token.clone(), address.to_string())),
            Standing::Disabled => Err(wrong("Authentication error: this token is disabled")),
            Standing::Expired => Err(wrong("Authentication error: this token has expired")),
        }
    }

    /// Counts a failure, keeps it for the audit unless there are too many, and says what to answer.
    async fn failed(&self, request: &Parts, address: IpAddr, error: ApiError) -> ApiError {
        let shown = format!("{} {}", request.method, request.uri.path()).chars().take(SHOWN).collect();
        let refusal = |reason| Refusal { at: Timestamp::now(), origin: address.to_string(), request: shown, reason };
        match self.attempts.failed(address, std::time::Instant::now()) {
            Failure::Within => {
                self.control.refused(refusal(error.reason())).await;
                error
            }
            Failure::LastKept(wait) => {
                let reason = "too many attempts; further ones of the same minute are not kept".to_owned();
                self.control.refused(refusal(reason)).await;
                ApiError::too_many_attempts(wait)
            }
            Failure::Beyond(wait) => ApiError::too_many_attempts(wait),
        }
    }
}

/// The secret of a request, by any of the three ways that Cloudflare's clients have.
fn secret(headers: &HeaderMap) -> Result<&str, ApiError> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let missing = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, code::NO_CREDENTIALS, message);
    if let Some(authorization) = text(&header::AUTHORIZATION) {
        let (scheme, secret) = authorization.split_once(' ').unwrap_or((authorization, ""));
        return if scheme.eq_ignore_ascii_case("bearer") {
            Ok(secret.trim())
        } else {
            Err(missing("the Authorization header must be `Bearer` with an API token"))
        };
    }
    match (text(&KEY), text(&EMAIL), text(&SERVICE_KEY)) {
        (Some(key), _, _) | (None, _, Some(key)) => Ok(key),
        (None, Some(_), None) => Err(missing(
            "X-Auth-Email came without X-Auth-Key: send the token as `Authorization: Bearer`, and do not set an e-mail address beside it",
        )),
        (None, None, None) => Err(missing(
            "Missing X-Auth-Key, X-Auth-Email or Authorization headers: send an API token as `Authorization: Bearer`",
        )),
    }
}

/// Refuses what a page of another site makes a browser send: requests under a name that is not ours, which is what DNS rebinding
/// looks like, and requests of another origin.
fn own_page(headers: &HeaderMap, names: &[String]) -> Result<(), ApiError> {
    let refused = |message: String| ApiError::new(StatusCode::FORBIDDEN, code::FOREIGN_ORIGIN, message);
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authority: Authority = host.parse().map_err(|_| refused("the Host header is missing or broken".to_owned()))?;
    if !is_own(authority.host(), names) {
        let message = format!(
            "{:?} is no name of this API: use its address, or add the name to `control.names`",
            authority.host()
        );
        return Err(refused(message));
    }
    match headers.get(header::ORIGIN).map(|value| value.to_str().unwrap_or_default()) {
        None => Ok(()),
        Some(origin) if origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host)) => Ok(()),
        Some(_) => Err(refused("the request comes from a web page of another origin".to_owned())),
    }
}

fn is_own(host: &str, names: &[String]) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_secret_is_read_from_each_of_the_three_places_and_a_lone_email_is_named() {
        for (pairs, expected) in [
            (&[("authorization", "Bearer s")][..], Ok("s")),
            (&[("authorization", "bearer s")], Ok("s")),
            (&[("x-auth-email", "a@b"), ("x-auth-key", "s")], Ok("s")),
            (&[("x-auth-user-service-key", "s")], Ok("s")),
            (&[("x-auth-email", "a@b")], Err("without X-Auth-Key")),
            (&[("authorization", "Basic s")], Err("must be `Bearer`")),
            (&[], Err("Missing X-Auth-Key")),
        ] {
            let (headers, found) = (headers(pairs), expected.map(str::to_owned));
            match (secret(&headers), found) {
                (Ok(secret), Ok(expected)) => assert_eq!(secret, expected),
                (Err(error), Err(expected)) => assert!(error.reason().contains(expected), "{}", error.reason()),
                (found, expected) => panic!("{pairs:?}: {found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn only_own_names_and_own_pages_are_let_in() {
        let names = ["control.example.com".to_owned()];
        for (pairs, allowed) in [
            (&[("host", "127.0.0.1:8080")][..], true),
            (&[("host", "[::1]:8080")], true),
            (&[("host", "localhost:8080")], true),
            (&[("host", "Control.example.com")], true),
            (&[("host", "evil.example.com")], false),
            (&[("host", "127.0.0.1.evil.example.com")], false),
            (&[("host", "")], false),
            (&[], false),
            (&[("host", "localhost:8080"), ("origin", "http://localhost:8080")], true),
            (&[("host", "localhost:8080"), ("origin", "http://localhost:9090")], false),
            (&[("host", "localhost:8080"), ("origin", "https://evil.example.com")], false),
            (&[("host", "localhost:8080"), ("origin", "null")], false),
        ] {
            assert_eq!(own_page(&headers(pairs), &names).is_ok(), allowed, "{pairs:?}");
        }
    }
}
