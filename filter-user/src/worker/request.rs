//! A request, from its head to the head of its response.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use filter_rules::{BlockResponse, FactSet};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body_util::Either;
use hyper::body::Incoming;
use rustls_pki_types::UnixTime;

use super::context::Context;
use super::facts::{Computed, RequestFacts};
use super::headers::{self, Forwarded};
use super::refusal::Refusal;
use super::respond::{self, Body, Ticket};
use super::session::{Binding, Session};
use super::upstream::{PooledBody, UpstreamError};
use super::verdict::{self, Action, Permit, Verdict};
use crate::pki::{CertStatus, ClientIdentity};
use crate::snapshot::Termination;
use crate::telemetry::{AccessRecord, ClientCertificate, EventAction, Reason};

/// What was found out about a request before anything was sent anywhere.
struct Examined {
    outcome: Result<(Permit, Arc<Termination>), Rejected>,
    findings: Findings,
}

/// What the access record says of a verdict, and what the upstream may be told.
#[derive(Default)]
struct Findings {
    identity: ClientIdentity,
    status: CertStatus,
    rule: Option<String>,
    logged: Vec<String>,
    /// What the verdict on an event was made from, if it is to be written down.
    facts: Option<FactSet>,
    generation: u64,
    /// Position of the zone in the snapshot.
    zone: Option<usize>,
    /// Why the request is an event, if it is one.
    action: Option<EventAction>,
    /// Whether a record is wanted.
    recorded: bool,
}

/// What a record says of a request's head.
struct Noted {
    method: String,
    path: String,
    user_agent: Option<String>,
}

impl Noted {
    fn of(head: &Parts) -> Self {
        let user_agent = head.headers.get(header::USER_AGENT);
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            user_agent: user_agent.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        }
    }
}

/// A request that is not passed on.
enum Rejected {
    /// With the page of this refusal.
    Page(Refusal),
    /// With the response that the blocking rule defines.
    Custom(BlockResponse),
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self::Page(refusal)
    }
}

/// Decides one request, and answers it: from its upstream if it is permitted, else ourselves.
pub(super) async fn serve(context: &Context, session: &Session, request: Request<Incoming>) -> Response<Body> {
    let (started, time) = (Instant::now(), SystemTime::now());
    let ray_id = context.rays.next();
    let ticket = Ticket { ray_id: &ray_id, client: session.client.ip(), time };
    let (head, body) = request.into_parts();
    let Examined { outcome, findings } = examine(context, session, &head, &ticket);
    // The head goes to the upstream; what the record says of it must be taken before.
    let noted = findings.recorded.then(|| Noted::of(&head));
    let (response, reason) = match outcome {
        Ok((permit, host)) => {
            let accept = head.headers.get(header::ACCEPT).cloned();
            let request = outgoing(head, body, &forwarded(&host, &findings, &ticket));
            let answer = context.upstreams.forward(permit, host.upstream.address, request).await;
            from_upstream(answer, &ticket, accept)
        }
        Err(Rejected::Page(refusal)) => {
            let face = refusal.face();
            (respond::refusal(&face, &ticket, &head.headers), face.reason)
        }
        Err(Rejected::Custom(custom)) => (respond::custom(&custom, &ticket), Reason::Blocked),
    };
    context.counters.count(reason);
    if reason == Reason::Blocked {
        context.offences.report(session.client.ip());
    }
    if let Some(Noted { method, path, user_agent }) = noted {
        context.recorder.write(AccessRecord {
            time,
            ray_id,
            client: session.client,
            zone: findings.zone(context),
            host: session.server_name.clone(),
            method,
            path,
            user_agent,
            status: response.status().as_u16(),
            reason,
            action: findings.action,
            certificate: findings.certificate(),
            rule: findings.rule,
            logged: findings.logged,
            facts: findings.facts.map(|facts| facts.to_json()),
            duration: started.elapsed(),
            worker: context.index,
            generation: findings.generation,
        });
    }
    response
}

/// What the upstream is told of the client.
fn forwarded<'a>(host: &Termination, findings: &'a Findings, ticket: &'a Ticket<'_>) -> Forwarded<'a> {
    let CertStatus { verified, revoked, .. } = findings.status;
    let certificate = (host.forward_client_cert && verified && !revoked).then(|| findings.identity.details()).flatten();
    Forwarded {
        client: ticket.client,
        ray_id: ticket.ray_id,
        client_cert: certificate.map(|details| details.rfc9440.as_str()).filter(|value| !value.is_empty()),
    }
}

fn from_upstream(
    answer: Result<Response<PooledBody>, UpstreamError>,
    ticket: &Ticket<'_>,
    accept: Option<HeaderValue>,
) -> (Response<Body>, Reason) {
    match answer {
        Ok(mut response) => {
            headers::prepare_response(response.headers_mut());
            (response.map(Either::Right), Reason::Proxied)
        }
        Err(error) => {
            tracing::debug!(ray_id = ticket.ray_id, %error, "no answer from an upstream");
            let request = accept.map(|accept| (header::ACCEPT, accept)).into_iter().collect();
            let face = Refusal::Upstream(error).face();
            (respond::refusal(&face, ticket, &request), face.reason)
        }
    }
}

/// Everything that is decided about a request. No await in here: an acknowledged command of the control plane finds no verdict half made.
fn examine(context: &Context, session: &Session, head: &Parts, ticket: &Ticket<'_>) -> Examined {
    let in_force = context.in_force.borrow();
    let Binding { host, identity, .. } = session.bind(context, &in_force.snapshot);
    let status = identity.status(UnixTime::now(), &context.revocations);
    let (zone, generation) = (host.as_ref().map(|(zone, _)| *zone), in_force.snapshot.generation);
    let findings = Findings { identity, status, generation, zone, ..Findings::default() };
    let rejected = |refusal: Refusal, findings| {
        let action = Some(EventAction::Block);
        let recorded = context.recorder.wants(action);
        Examined { outcome: Err(refusal.into()), findings: Findings { action, recorded, ..findings } }
    };
    if let Err(refusal) = check_framing(head).and_then(|()| check_host(head, &session.server_name)) {
        return rejected(refusal, findings);
    }
    let Some((zone, termination)) = host else {
        return rejected(Refusal::Misdirected, findings);
    };
    let (Some(zone), Some(rules)) = (in_force.snapshot.zones.get(zone), in_force.rules(zone)) else {
        // A host without its rules cannot be: compile puts both in. If it were, nothing would be known of whom to let in.
        return rejected(Refusal::Blocked, findings);
    };
    let facts = RequestFacts {
        head,
        session,
        zone: &zone.name,
        identity: &findings.identity,
        status,
        geo: &context.geo,
        ray_id: ticket.ray_id,
        time: ticket.time,
        computed: Computed::default(),
    };
    let Verdict { action, rule, logged } = verdict::decide(&rules.rules, &facts);
    let event = match action {
        Action::Block(_) => Some(EventAction::Block),
        Action::Permit(_) if logged.is_empty() => None,
        Action::Permit(_) => Some(EventAction::Log),
    };
    let recorded = context.recorder.wants(event);
    let facts = (recorded && event.is_some()).then(|| FactSet::capture(&facts, &rules.fields));
    let outcome = match action {
        Action::Permit(permit) => Ok((permit, termination)),
        Action::Block(None) => Err(Refusal::Blocked.into()),
        Action::Block(Some(custom)) => Err(Rejected::Custom(custom)),
    };
    Examined { outcome, findings: Findings { rule, logged, facts, action: event, recorded, ..findings } }
}

/// Refuses what servers behind us might read in another way than we do (RFC 9112 §6, §11.2). The HTTP library has refused broken
/// lengths already, and whatever passes is written anew for the upstream, never copied.
fn check_framing(head: &Parts) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err(Refusal::Tunnel);
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::AmbiguousFraming),
    }
}

/// The host of a request must be that of its connection: certificate, CAs and rules were chosen by the SNI.
fn check_host(head: &Parts, server_name: &str) -> Result<(), Refusal> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::BadHost);
    };
    let host = filter_rules::normalise_host(host.to_str().map_err(|_| Refusal::BadHost)?);
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'[' | b']' | b':');
    if host.is_empty() || !host.bytes().all(possible) {
        return Err(Refusal::BadHost);
    }
    // RFC 9112 §3.2.2: the authority of an absolute form stands above Host; two that differ are an attack or a mistake.
    let agrees = |authority: &str| filter_rules::normalise_host(authority) == host;
    if head.uri.authority().is_some_and(|authority| !agrees(authority.as_str())) {
        return Err(Refusal::BadHost);
    }
    if host == server_name { Ok(()) } else { Err(Refusal::Misdirected) }
}

/// The request as the upstream gets it.
fn outgoing(mut head: Parts, body: Incoming, forwarded: &Forwarded<'_>) -> Request<Incoming> {
    headers::prepare_request(&mut head.headers, forwarded);
    if head.uri.scheme().is_some() {
        let path_and_query = head.uri.path_and_query().cloned();
        head.uri = path_and_query.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Request::from_parts(head, body)
}

impl Findings {
    /// The name of the zone. Zones come from the configuration, so their positions are the same in every snapshot.
    fn zone(&self, context: &Context) -> Option<String> {
        let in_force = context.in_force.borrow();
        in_force.snapshot.zones.get(self.zone?).map(|zone| zone.name.as_ref().to_owned())
    }

    /// What the record says of the certificate.
    fn certificate(&self) -> Option<ClientCertificate> {
        let details = self.identity.details()?;
        Some(ClientCertificate {
            verified: self.status.verified,
            revoked: self.status.revoked,
            failure: self.status.failure.map(|failure| failure.to_string()),
            serial: details.serial.clone(),
            fingerprint_sha256: details.fingerprint_sha256.clone(),
            subject: details.subject_dn.clone(),
        })
    }
}
