//! What the unit tests of several modules start from.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;

use crate::config::{
    AccessLog, Config, Control, Datapath, Edge, Events, Host, HostName, Log, OnRevoke, Passthrough,
    PassthroughSettings, Store, Termination, Upstream, Zone,
};
use crate::model::{Change, Position, RuleAction, RuleId, RuleRecord, State, Timestamp, ZoneId};
use crate::pki::ManagedAuthority;
use crate::store::{MasterKey, seal_authority};

/// The zone of all hosts.
pub(crate) const ZONE: &str = "example.com";

/// A host with a self-signed certificate and an upstream on a port where nobody listens.
pub(crate) fn host(name: &str, mtls: bool) -> Host {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let certificate = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &aws_lc_rs::default_provider());
    Host {
        name: HostName::parse(name).unwrap(),
        mtls,
        termination: Some(Termination {
            certificate: Arc::new(certificate.unwrap()),
            upstream: Upstream { address: SocketAddr::from(([127, 0, 0, 1], 8080)) },
            forward_client_cert: false,
            on_revoke: OnRevoke::Block,
        }),
        passthrough: None,
    }
}

/// A host that is passed through to these origins and has no certificate.
pub(crate) fn passed(name: &str, origins: &[SocketAddr]) -> Host {
    let passthrough = Passthrough { origins: origins.into(), proxy_protocol: false, shared: None };
    Host { name: HostName::parse(name).unwrap(), mtls: false, termination: None, passthrough: Some(passthrough) }
}

/// The host, passed through to these origins while no rule can touch it.
pub(crate) fn also_passed(host: Host, origins: &[SocketAddr]) -> Host {
    Host { passthrough: passed("a.example", origins).passthrough, ..host }
}

/// A configuration of one zone.
pub(crate) fn config(hosts: Vec<Host>) -> Config {
    Config {
        edge: Edge {
            listen: Vec::new(),
            interface: None,
            datapath: Datapath::Socket,
            syn_cookies: true,
            pin: "unused".into(),
            workers: None,
            penalty: None,
        },
        control: Control { socket: "unused".into(), admin: None },
        store: Store { directory: "unused".into(), master_key: "unused".into() },
        log: Log { access: AccessLog::Off, packets: 0 },
        events: Events { memory: 1024 * 1024, file: None },
        geo: Arc::default(),
        passthrough: PassthroughSettings::default(),
        zones: vec![Zone { name: HostName::parse(ZONE).unwrap(), hosts }],
    }
}

/// An authority of the zone.
pub(crate) fn managed_authority() -> ManagedAuthority {
    ManagedAuthority::generate(ZoneId::of_name(ZONE), ZONE, Timestamp::now().unix_time()).unwrap()
}

/// Makes `managed` an authority of the zone.
pub(crate) fn add_authority(managed: &ManagedAuthority) -> Change {
    Change::AddAuthority(seal_authority(managed, &MasterKey::from_bytes(&[7; 32]).unwrap()).unwrap())
}

/// A rule that blocks when `expression` is true.
pub(crate) fn rule(expression: &str) -> Change {
    let (id, now) = (RuleId::generate(), Timestamp::now());
    let rule = RuleRecord {
        id,
        reference: id.to_string(),
        version: 1,
        description: "a rule".to_owned(),
        expression: expression.to_owned(),
        action: RuleAction::BLOCK,
        enabled: true,
        created: now,
        modified: now,
        legacy: None,
    };
    Change::AddRule { zone: ZoneId::of_name(ZONE), rule, position: Position::Last }
}

/// The state after these changes.
pub(crate) fn state(changes: &[Change]) -> State {
    State::default().apply(changes).unwrap().state
}
