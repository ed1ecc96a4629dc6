//! A request, from its head to the head of its response.

use std::time::{Instant, SystemTime};

use filter_rules::{BlockResponse, FactSet};
use http::request::Parts;
use http::{Method, Request, Response, Uri, Version, header};
use http_body_util::Either;
use hyper::body::Incoming;
use rustls_pki_types::UnixTime;

use super::context::Context;
use super::facts::{Computed, RequestFacts};
use super::headers::{self, Forwarded};
use super::refusal::Refusal;
use super::respond::{self, Body, Ticket};
use super::session::{Binding, Session};
use super::verdict::{self, Action, Permit, Verdict};
use crate::snapshot::HostPolicy;
use crate::telemetry::{AccessRecord, ClientCertificate, Reason};

/// What was found out about a request before anything was sent anywhere.
struct Examined {
    outcome: Result<(Permit, std::sync::Arc<HostPolicy>), Rejected>,
    binding: Option<Binding>,
    verified: bool,
    revoked: bool,
    rule: Option<String>,
    logged: Vec<String>,
    /// What a blocking verdict was made from, if it is to be written down.
    facts: Option<FactSet>,
    generation: u64,
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
    let examined = examine(context, session, &head, &ticket);
    // The head goes to the upstream; what the access record says of it must be taken before.
    let noted = context.access.is_on().then(|| (head.method.to_string(), head.uri.path().to_owned()));

    let (response, reason) = match examined.outcome {
        Ok((permit, ref host)) => {
            let accept = head.headers.get(header::ACCEPT).cloned();
            let certificate = examined.binding.as_ref().filter(|_| examined.verified && !examined.revoked);
            let certificate =
                certificate.filter(|_| host.forward_client_cert).and_then(|binding| binding.identity.details());
            let forwarded = Forwarded {
                client: session.client.ip(),
                ray_id: &ray_id,
                client_cert: certificate.map(|details| details.rfc9440.as_str()).filter(|value| !value.is_empty()),
            };
            let request = outgoing(head, body, &forwarded);
            match context.upstreams.forward(permit, host.upstream.address, request).await {
                Ok(mut response) => {
                    headers::prepare_response(response.headers_mut());
                    (response.map(Either::Right), Reason::Proxied)
                }
                Err(error) => {
                    tracing::debug!(ray_id, %error, "no answer from an upstream");
                    let request_headers = accept.map(|accept| (header::ACCEPT, accept)).into_iter().collect();
                    let face = Refusal::Upstream(error).face();
                    (respond::refusal(&face, &ticket, &request_headers), face.reason)
                }
            }
        }
        Err(Rejected::Page(ref refusal)) => {
            let face = refusal.face();
            (respond::refusal(&face, &ticket, &head.headers), face.reason)
        }
        Err(Rejected::Custom(ref custom)) => (respond::custom(custom, &ticket), Reason::Blocked),
    };
    context.counters.count(reason);
    if let Some((method, path)) = noted {
        let record = AccessRecord {
            time,
            duration: started.elapsed(),
            ray_id,
            worker: context.index,
            generation: examined.generation,
            client: session.client,
            host: session.server_name.clone(),
            method,
            path,
            status: response.status().as_u16(),
            reason,
            rule: examined.rule,
            logged: examined.logged,
            facts: examined.facts.map(|facts| facts.to_json()),
            certificate: examined
                .binding
                .and_then(|binding| certificate(&binding, examined.verified, examined.revoked)),
        };
        context.access.write(record);
    }
    response
}

/// Everything that is decided about a request. No await in here: an acknowledged command of the control plane finds no verdict half made.
fn examine(context: &Context, session: &Session, head: &Parts, ticket: &Ticket<'_>) -> Examined {
    let rejected = |refusal: Refusal| Examined {
        outcome: Err(refusal.into()),
        binding: None,
        verified: false,
        revoked: false,
        rule: None,
        logged: Vec::new(),
        facts: None,
        generation: context.in_force.borrow().snapshot.generation,
    };
    if let Err(refusal) = check_framing(head).and_then(|()| check_host(head, &session.server_name)) {
        return rejected(refusal);
    }
    let in_force = context.in_force.borrow();
    let binding = session.bind(context, &in_force.snapshot);
    let Some(host) = binding.host.clone() else {
        return rejected(Refusal::Misdirected);
    };
    let (Some(zone), Some(rules)) = (in_force.snapshot.zones.get(host.zone), in_force.rules(host.zone)) else {
        // A host without its rules cannot be: compile puts both in. If it were, nothing would be known of whom to let in.
        return rejected(Refusal::Blocked);
    };
    let now = UnixTime::now();
    let verified = binding.identity.verified(now);
    let revoked = verified && binding.identity.revoked(|key| context.revocations.contains(key));
    let facts = RequestFacts {
        head,
        session,
        zone: &zone.name,
        identity: &binding.identity,
        verified,
        revoked,
        geo: &context.geo,
        ray_id: ticket.ray_id,
        time: ticket.time,
        computed: Computed::default(),
    };
    let Verdict { action, rule, logged } = verdict::decide(&rules.rules, &facts);
    let blocked = matches!(action, Action::Block(_));
    let facts = (blocked && context.access.is_on()).then(|| FactSet::capture(&facts, &rules.fields));
    let outcome = match action {
        Action::Permit(permit) => Ok((permit, host)),
        Action::Block(None) => Err(Refusal::Blocked.into()),
        Action::Block(Some(custom)) => Err(Rejected::Custom(custom)),
    };
    let generation = in_force.snapshot.generation;
    Examined { outcome, binding: Some(binding), verified, revoked, rule, logged, facts, generation }
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

/// What the access record says of the certificate.
fn certificate(binding: &Binding, verified: bool, revoked: bool) -> Option<ClientCertificate> {
    let details = binding.identity.details()?;
    Some(ClientCertificate {
        verified,
        revoked,
        failure: binding.identity.failure(UnixTime::now()).map(|failure| failure.to_string()),
        serial: details.serial.clone(),
        fingerprint_sha256: details.fingerprint_sha256.clone(),
        subject: details.subject_dn.clone(),
    })
}
