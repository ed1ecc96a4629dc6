//! From the configuration and the desired state to a snapshot. Pure: no I/O, no clock.

use std::collections::HashMap;
use std::sync::Arc;

use filter_rules::{Action, ActionError, BlockResponse, Lists, RuleSet, RuleSpec};
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, version};
use thiserror::Error;

use super::{HostPolicy, Snapshot, ZonePolicy, lists, trust};
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
    for (position, zone) in config.zones.iter().enumerate() {
        let id = ZoneId::of_name(zone.name.as_str());
        let rules = rules(zone, id, state, &lists)?;
        zones.push(ZonePolicy { id, name: zone.name.as_str().into(), rules });
        for host in &zone.hosts {
            let policy = host_policy(&provider, (position, zone, id), host, state, previous)?;
            hosts.insert(host.name.as_str().into(), Arc::new(policy));
        }
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

fn host_policy(
    provider: &Arc<CryptoProvider>,
    (position, zone, id): (usize, &Zone, ZoneId),
    host: &Host,
    state: &State,
    previous: Option<&Snapshot>,
) -> Result<HostPolicy, CompileError> {
    let authorities = trust::authorities(host, zone, id, state)?;
    let ids: Box<[AuthorityId]> = authorities.iter().map(|authority| authority.id()).collect();
    let same = previous
        .and_then(|previous| previous.hosts.get(host.name.as_str()))
        .filter(|previous| previous.authorities == ids && Arc::ptr_eq(&previous.certificate, &host.certificate));
    let (tls, anchors) = match same {
        Some(previous) => (previous.tls.clone(), previous.anchors.clone()),
        None => {
            let anchors = (!authorities.is_empty()).then(|| TrustAnchors::new(&authorities));
            let tls = server_config(provider, &host.certificate, anchors.as_ref())
                .map_err(|error| CompileError::Tls { host: host.name.to_string(), error })?;
            (Arc::new(tls), anchors)
        }
    };
    Ok(HostPolicy {
        zone: position,
        tls,
        anchors,
        authorities: ids,
        certificate: host.certificate.clone(),
        upstream: host.upstream.clone(),
        forward_client_cert: host.forward_client_cert,
    })
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
