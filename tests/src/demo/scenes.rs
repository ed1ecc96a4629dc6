//! What the demo tries, in order.

use anyhow::{Result, ensure};

use super::table::Table;
use crate::lab::{API, ClientCertificate, EDGE_IPV6, Lab, Outcome, UNKNOWN, WWW};

const ALLOWED: Outcome = Outcome::Status(200);
const BLOCKED: Outcome = Outcome::Status(403);
const MISDIRECTED: Outcome = Outcome::Status(421);

/// Plays every scene.
pub(super) fn play(lab: &Lab, datapath: &str, expired: &ClientCertificate, table: &mut Table<'_>) -> Result<()> {
    plain_rule(lab, expired, table)?;
    revocation_rule(lab, table)?;
    open_connections(lab, table)?;
    other_hosts(lab, datapath, table);
    Ok(())
}

fn plain_rule(lab: &Lab, expired: &ClientCertificate, table: &mut Table<'_>) -> Result<()> {
    table.row("curl", "no rule yet, no certificate", &ALLOWED, || Ok(lab.curl(API).run()?.outcome));
    Table::operator(&format!("mtls-filter rule create --name plain --host {API} --allow-revoked"));
    let plain = lab.filter.protect_allowing_revoked(API)?;
    let alice = lab.filter.client_certificate("alice")?;
    let foreign = lab.foreign_certificate("mallory")?;
    table.row("curl", "no certificate", &BLOCKED, || Ok(lab.curl(API).run()?.outcome));
    table.row("curl", "valid certificate", &ALLOWED, || Ok(lab.curl(API).certificate(&alice).run()?.outcome));
    table.row("curl", "valid certificate, over IPv6", &ALLOWED, || {
        Ok(lab.curl(API).certificate(&alice).address(EDGE_IPV6).run()?.outcome)
    });
    table.row("curl", "certificate of another authority", &BLOCKED, || {
        Ok(lab.curl(API).certificate(&foreign).run()?.outcome)
    });
    table.row("curl", "certificate that expired an hour ago", &BLOCKED, || {
        Ok(lab.curl(API).certificate(expired).run()?.outcome)
    });
    Table::operator("mtls-filter cert revoke <alice>");
    lab.filter.revoke(&alice)?;
    table.row("curl", "revoked certificate, rule without revocation", &ALLOWED, || {
        Ok(lab.curl(API).certificate(&alice).run()?.outcome)
    });
    lab.filter.delete_rule(&plain)
}

fn revocation_rule(lab: &Lab, table: &mut Table<'_>) -> Result<()> {
    Table::operator(&format!("mtls-filter rule create --name mtls --host {API}"));
    lab.filter.protect(API)?;
    let carol = lab.filter.client_certificate("carol")?;
    table.row("curl", "valid certificate, rule with revocation", &ALLOWED, || {
        Ok(lab.curl(API).certificate(&carol).run()?.outcome)
    });
    Table::operator("mtls-filter cert revoke <carol>");
    lab.filter.revoke(&carol)?;
    table.row("curl", "revoked certificate, rule with revocation", &BLOCKED, || {
        Ok(lab.curl(API).certificate(&carol).run()?.outcome)
    });
    Ok(())
}

/// A certificate is revoked between two requests of one connection.
fn open_connections(lab: &Lab, table: &mut Table<'_>) -> Result<()> {
    let dave = lab.filter.client_certificate("dave")?;
    let mut second = None;
    table.row("curl", "open connection: first request", &ALLOWED, || {
        let [first, then] = lab.curl(API).certificate(&dave).two_requests(|| lab.filter.revoke(&dave))?;
        second = Some(then);
        Ok(first.outcome)
    });
    Table::operator("mtls-filter cert revoke <dave>      (while curl waits, its connection open)");
    table.row("curl", "the same connection: second request", &BLOCKED, || {
        let second = second.ok_or_else(|| anyhow::anyhow!("there was no second request"))?;
        ensure!(second.connects == 0, "curl opened another connection");
        Ok(second.outcome)
    });
    let erin = lab.filter.client_certificate("erin")?;
    let mut connection = lab.openssl(API).certificate(&erin).open()?;
    table.row("openssl", "open connection: first request", &ALLOWED, || {
        Ok(Outcome::Status(connection.get("/")?.status))
    });
    Table::operator("mtls-filter cert revoke <erin>");
    lab.filter.revoke(&erin)?;
    table.row("openssl", "the same connection: second request", &BLOCKED, || {
        Ok(Outcome::Status(connection.get("/")?.status))
    });
    Ok(())
}

fn other_hosts(lab: &Lab, datapath: &str, table: &mut Table<'_>) {
    table.row("curl", "host without a rule, no certificate", &ALLOWED, || Ok(lab.curl(WWW).run()?.outcome));
    table.row("curl", "that host in the SNI, the protected one in Host", &MISDIRECTED, || {
        Ok(lab.curl(WWW).header(&format!("Host: {API}")).run()?.outcome)
    });
    let (what, expected) = match datapath {
        "native" | "generic" => ("SNI of no host, reset by XDP", Outcome::Reset),
        _ => ("SNI of no host", Outcome::Alert("unrecognized_name".to_owned())),
    };
    table.row("curl", what, &expected, || Ok(lab.curl(UNKNOWN).run()?.outcome));
}
