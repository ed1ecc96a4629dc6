//! The responses that we make ourselves.

use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use filter_rules::BlockResponse;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::headers::RAY_ID;
use super::refusal::Face;
use super::upstream::PooledBody;

/// The body of every response: our own, or the upstream's as it comes.
pub(super) type Body = Either<Full<Bytes>, PooledBody>;

/// What a refused client is told beside the reason: what support staff need to find the request in the access log.
#[derive(Debug, Serialize)]
pub(super) struct Ticket<'a> {
    pub(super) ray_id: &'a str,
    pub(super) client: IpAddr,
    #[serde(serialize_with = "rfc3339")]
    pub(super) time: SystemTime,
}

/// The JSON form of a refusal.
#[derive(Serialize)]
struct Document<'a> {
    status: u16,
    error: &'a str,
    message: &'a str,
    #[serde(flatten)]
    ticket: &'a Ticket<'a>,
}

/// The page for a refusal: JSON for clients that ask for it, HTML for the others.
pub(super) fn refusal(face: &Face, ticket: &Ticket<'_>, request: &HeaderMap) -> Response<Body> {
    let (content_type, content) = if wants_json(request) {
        let error = face.reason.name();
        let document = Document { status: face.status.as_u16(), error, message: face.message, ticket };
        ("application/json", serde_json::to_vec(&document).unwrap_or_default())
    } else {
        ("text/html; charset=utf-8", html(face, ticket).into_bytes())
    };
    let mut response = own(face.status, content_type, content.into(), ticket);
    if face.close {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The response that a rule defines in place of the page.
pub(super) fn custom(response: &BlockResponse, ticket: &Ticket<'_>) -> Response<Body> {
    let status = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::FORBIDDEN);
    let content = Bytes::copy_from_slice(response.body().as_bytes());
    own(status, response.content_type().as_str(), content, ticket)
}

fn own(status: StatusCode, content_type: &'static str, content: Bytes, ticket: &Ticket<'_>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(content)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // The answer depends on the certificate of this connection: no cache may give it to somebody else.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    if let Ok(ray_id) = HeaderValue::from_str(ticket.ray_id) {
        headers.insert(RAY_ID, ray_id);
    }
    response
}

/// Whether JSON is named in `Accept` and HTML is not before it.
fn wants_json(request: &HeaderMap) -> bool {
    let accept = request.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim()).find_map(|range| {
        let json = range == "application/json" || (range.starts_with("application/") && range.ends_with("+json"));
        if json { Some(true) } else { (range == "text/html").then_some(false) }
    });
    first.unwrap_or(false)
}

/// Nothing in the page comes from the request, so there is nothing to escape.
fn html(face: &Face, ticket: &Ticket<'_>) -> String {
    let status = face.status.as_u16();
    let title = face.status.canonical_reason().unwrap_or("Error");
    let time = OffsetDateTime::from(ticket.time)
        .format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC"))
        .unwrap_or_default();
    let Ticket { ray_id, client, .. } = ticket;
    let message = face.message;
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{status} {title}</title>\n\
         <style>\n\
         body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 15vh auto; padding: 0 1.5rem; }}\n\
         dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; color: GrayText; }}\n\
         dd {{ margin: 0; font-family: ui-monospace, monospace; }}\n\
         </style>\n\
         </head>\n\
         <body>\n\
         <h1>{status} {title}</h1>\n\
         <p>{message}</p>\n\
         <dl>\n\
         <dt>Ray ID</dt><dd>{ray_id}</dd>\n\
         <dt>Time</dt><dd>{time}</dd>\n\
         <dt>Your address</dt><dd>{client}</dd>\n\
         </dl>\n\
         </body>\n\
         </html>\n"
    )
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = OffsetDateTime::from(*time).format(&Rfc3339).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&text)
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, HeaderMap, HeaderValue};

    use super::wants_json;

    #[test]
    fn json_is_for_those_who_ask_for_it_before_html() {
        for (accept, json) in [
            ("application/json", true),
            ("application/problem+json;q=0.9, text/html", true),
            ("text/html,application/xhtml+xml,application/json;q=0.1", false),
            ("*/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(wants_json(&headers), json, "{accept}");
        }
        assert!(!wants_json(&HeaderMap::new()));
    }
}
