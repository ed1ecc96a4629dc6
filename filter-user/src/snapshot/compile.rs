//! From the configuration and the desired state to a snapshot. Pure: no I/O, no clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use filter_rules::{Action, ActionError, BlockResponse, Lists, RuleSet, RuleSpec};
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, version};
use thiserror::Error;

use super::reach::{Reach, ZoneReach};
use super::{HostPolicy, Passthrough, Snapshot, Termination, ZonePolicy, lists, trust};
use crate::config::{Config, Host, Zone};
use crate::model::{AuthorityId, RuleAction, RuleRecord, State, ZoneId};
use crate::pki::{OptionalClientAuth, TrustAnchors};

/// Why a desired state cannot be put in force. Nothing was changed.
#[derive(Debug, Error)]
pub enum CompileError {
    /// The rules of a zone do not compile.
    #[error("the rules of {zone} cannot be deployed:\n{problems}")]
    Rules {
        /// The zone.
        zone: String,
        /// What is wrong with each rule, and with all together.
        problems: filter_rules::CompileError,
    },
    /// A rule has an action that this filter does not have, or one with a response that cannot be.
    #[error("rule {rule} of {zone}: {error}")]
    Action {
        /// The zone.
        zone: String,
        /// The rule.
        rule: String,
        /// What is wrong.
        error: ActionError,
    },
    /// A list cannot be used by rules.
    #[error("list ${list} cannot be used: {message}")]
    List {
        /// Its name.
        list: String,
        /// What is wrong.
        message: String,
    },
    /// A CA of a zone is no CA certificate.
    #[error("authority {authority} of {zone} cannot be used: {message}")]
    Authority {
        /// The zone.
        zone: String,
        /// The authority.
        authority: AuthorityId,
        /// What is wrong.
        message: String,
    },
    /// Only a worker could carry out a rule, and a host has no certificate that a worker could show.
    #[error(
        "rule {rule} ({name}) of {zone} may concern requests for {host}, which is passed through unopened and has no certificate to be \
         terminated with: give the host `certificate`, `private_key` and `upstream` in the configuration, or restrict the rule to \
         other hosts"
    )]
    NoCertificate {
        /// The zone.
        zone: String,
        /// The rule.
        rule: String,
        /// The name of the rule.
        name: String,
        /// The host.
        host: String,
    },
    /// TLS cannot be set up for a host.
    #[error("TLS of {host} cannot be set up: {error}")]
    Tls {
        /// The host.
        host: String,
        /// What rustls says.
        error: rustls::Error,
    },
}

/// Compiles what the workers decide by. What did not change since `previous` is shared with it, so that open connections need not judge
/// their certificates again.
///
/// # Errors
/// When the rules, an authority or a host cannot be put in force.
pub fn compile(
    config: &Config,
    state: &State,
    generation: u64,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, CompileError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let lists = lists::lists(config, state)?;
    let mut zones = Vec::with_capacity(config.zones.len());
    let mut hosts = HashMap::new();
    let names: HashSet<&str> = config.hosts().map(|(_, host)| host.name.as_str()).collect();
    for (position, zone) in config.zones.iter().enumerate() {
        let id = ZoneId::of_name(zone.name.as_str());
        let rules = rules(zone, id, state, &lists)?;
        let mut reach = ZoneReach::new(&rules);
        for host in &zone.hosts {
            let passthrough = passthrough(zone, host, &mut reach, &names)?;
            let termination = termination(&provider, (zone, id), host, state, previous)?;
            let policy = HostPolicy { zone: position, termination, passthrough };
            hosts.insert(host.name.as_str().into(), Arc::new(policy));
        }
        zones.push(ZonePolicy { id, name: zone.name.as_str().into(), rules });
    }
    Ok(Snapshot { generation, zones, hosts })
}

fn rules(zone: &Zone, id: ZoneId, state: &State, lists: &Lists) -> Result<RuleSet, CompileError> {
    let records = state.ruleset(id).map(|ruleset| ruleset.rules.as_slice()).unwrap_or_default();
    let specs = records.iter().map(|record| rule_spec(zone, record)).collect::<Result<_, _>>()?;
    RuleSet::compile(specs, lists).map_err(|problems| CompileError::Rules { zone: zone.name.to_string(), problems })
}

fn rule_spec(zone: &Zone, record: &RuleRecord) -> Result<RuleSpec, CompileError> {
    let failed = |error| CompileError::Action { zone: zone.name.to_string(), rule: record.id.to_string(), error };
    let response = match &record.action {
        RuleAction::Block { response: Some(response) } => {
            let content_type = response.content_type.parse().map_err(failed)?;
            Some(BlockResponse::new(response.status_code, content_type, &response.content).map_err(failed)?)
        }
        RuleAction::Block { response: None } | RuleAction::Log | RuleAction::Skip => None,
    };
    Ok(RuleSpec {
        id: record.id.to_string(),
        name: record.description.clone(),
        expression: record.expression.clone(),
        action: Action::from_name(record.action.name(), response).map_err(failed)?,
        enabled: record.enabled,
    })
}

/// How the host is passed through; `None` if its connections need a worker.
fn passthrough(
    zone: &Zone,
    host: &Host,
    reach: &mut ZoneReach<'_>,
    names: &HashSet<&str>,
) -> Result<Option<Arc<Passthrough>>, CompileError> {
    let Some(passthrough) = &host.passthrough else { return Ok(None) };
    match reach.of(host.name.as_str(), |name| names.contains(name)) {
        Reach::Networks(blocked) => Ok(Some(Arc::new(Passthrough {
            host: host.name.as_str().into(),
            origins: passthrough.origins.clone(),
            proxy_protocol: passthrough.proxy_protocol,
            blocked,
        }))),
        Reach::Requests(_) if host.termination.is_some() => Ok(None),
        Reach::Requests(rule) => Err(CompileError::NoCertificate {
            zone: zone.name.to_string(),
            rule: rule.id().to_owned(),
            name: rule.name().to_owned(),
            host: host.name.to_string(),
        }),
    }
}

fn termination(
    provider: &Arc<CryptoProvider>,
    (zone, id): (&Zone, ZoneId),
    host: &Host,
    state: &State,
    previous: Option<&Snapshot>,
) -> Result<Option<Arc<Termination>>, CompileError> {
    let Some(wanted) = &host.termination else { return Ok(None) };
    let authorities = trust::authorities(host, zone, id, state)?;
    let ids: Box<[AuthorityId]> = authorities.iter().map(|authority| authority.id()).collect();
    let same = previous
        .and_then(|previous| previous.hosts.get(host.name.as_str())?.termination.as_ref())
        .filter(|previous| previous.authorities == ids && Arc::ptr_eq(&previous.certificate, &wanted.certificate));
    let (tls, anchors) = match same {
        Some(previous) => (previous.tls.clone(), previous.anchors.clone()),
        None => {
            let anchors = (!authorities.is_empty()).then(|| TrustAnchors::new(&authorities));
            let tls = server_config(provider, &wanted.certificate, anchors.as_ref())
                .map_err(|error| CompileError::Tls { host: host.name.to_string(), error })?;
            (Arc::new(tls), anchors)
        }
    };
    Ok(Some(Arc::new(Termination {
        tls,
        anchors,
        authorities: ids,
        certificate: wanted.certificate.clone(),
        upstream: wanted.upstream.clone(),
        forward_client_cert: wanted.forward_client_cert,
        on_revoke: wanted.on_revoke,
    })))
}

/// TLS of one host.
///
/// There is no resumption: a session would carry the client's certificate past the CertificateVerify, and rustls keeps sessions behind a
/// lock that all workers share. (CVE-2025-23419 and its kin are about what a resumed session is taken to prove.)
fn server_config(
    provider: &Arc<CryptoProvider>,
    certificate: &Arc<CertifiedKey>,
    anchors: Option<&TrustAnchors>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
    let builder = match anchors {
        Some(anchors) => builder.with_client_cert_verifier(OptionalClientAuth::new(anchors)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(certificate))));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
