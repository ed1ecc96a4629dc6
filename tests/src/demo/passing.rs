//! A host that no rule can reach is passed on, unopened; what the demo shows of it.

use anyhow::{Result, ensure};

use super::table::Table;
use crate::lab::{Connection, Lab, Outcome};

/// A host whose origin terminates TLS itself. Workers could too, so that rules can protect it.
pub(super) const SHOP: &str = "shop.example.com";

const SERVED: Outcome = Outcome::Status(200);
const BLOCKED: Outcome = Outcome::Status(403);

/// Plays the scene.
pub(super) fn play(lab: &Lab, datapath: &str, table: &mut Table<'_>) -> Result<()> {
    let (way, how) = match datapath {
        "native" | "generic" => ("spliced", "spliced in XDP"),
        _ => ("relayed", "relayed by a worker"),
    };
    table.row("curl", &format!("host without a rule, {how}"), &SERVED, || by_origin(lab, way));
    let mut open = None;
    table.row("openssl", "the same over a connection that stays open", &SERVED, || {
        let connection = open.insert(lab.openssl(SHOP).open()?);
        request(connection)
    });
    Table::operator("mtls-filter flows");
    Table::output(&lab.filter.command(&["flows"])?);

    Table::operator(&format!("mtls-filter rule create --name shop --host {SHOP}"));
    let rule = lab.filter.protect(SHOP)?;
    table.row("openssl", "the open connection, when the command has returned", &Outcome::Closed, || {
        let connection = open.as_mut().ok_or_else(|| anyhow::anyhow!("there was no open connection"))?;
        // openssl ends when it is reset; what is seen of it depends on whether it already has.
        Ok(match request(connection).unwrap_or_else(|error| Outcome::of_error(&error)) {
            Outcome::Reset => Outcome::Closed,
            other => other,
        })
    });
    table.row("curl", "a new one, without a certificate", &BLOCKED, || Ok(lab.curl(SHOP).run()?.outcome));
    let frank = lab.filter.client_certificate("frank")?;
    table.row("curl", "and with a valid certificate, by a worker", &SERVED, || {
        ensure!(lab.filter.status()?.passed(SHOP)? == "terminated", "status says otherwise");
        Ok(lab.curl(SHOP).certificate(&frank).run()?.outcome)
    });
    Table::operator("mtls-filter rule delete <shop>");
    lab.filter.delete_rule(&rule)?;
    table.row("curl", &format!("without the rule: {how} again"), &SERVED, || by_origin(lab, way));
    Ok(())
}

/// A request that the origin itself answers, while `status` says that the host goes this way.
fn by_origin(lab: &Lab, way: &str) -> Result<Outcome> {
    let now = lab.filter.status()?.passed(SHOP)?;
    ensure!(now == way, "status says {now}");
    let answer = lab.curl(SHOP).run()?;
    if let Some(response) = &answer.response {
        ensure!(response.text().starts_with("tls origin"), "the origin did not answer: {}", response.text());
    }
    Ok(answer.outcome)
}

fn request(connection: &mut Connection) -> Result<Outcome> {
    Ok(Outcome::Status(connection.get("/")?.status))
}
