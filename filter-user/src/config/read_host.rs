//! From TOML text to zones and hosts.

use super::passthrough;
use super::read::Reader;
use super::table::{Located, Table};
use super::{Host, HostName, MAX_HOSTS, OnRevoke, Termination, Upstream, Zone, server_identity};

impl Reader<'_> {
    pub(super) fn zone(&mut self, mut table: Table<'_>) -> Option<Zone> {
        let name = self.host_name(&mut table, "it names the domain, like \"example.com\"");
        table.require(&mut self.problems, "host", "write at least one [[zone.host]]");
        let on_revoke = self.on_revoke(&mut table).unwrap_or_default();
        let hosts = table.tables(&mut self.problems, "host", "[[zone.host]]");
        let hosts = hosts.into_iter().filter_map(|host| self.host(host, name.as_ref(), on_revoke)).collect();
        table.finish(&mut self.problems, &["name", "on_revoke", "host"]);
        Some(Zone { name: name?.value, hosts })
    }

    fn on_revoke(&mut self, table: &mut Table<'_>) -> Option<OnRevoke> {
        let text = table.string(&mut self.problems, "on_revoke")?;
        text.parse_with(&mut self.problems, |text| text.parse())
    }

    /// `on_revoke` is what the zone says.
    fn host(&mut self, mut table: Table<'_>, zone: Option<&Located<HostName>>, on_revoke: OnRevoke) -> Option<Host> {
        let name = self.host_name(&mut table, "it is what clients send in SNI and Host");
        if let (Some(name), Some(zone)) = (&name, zone) {
            self.place(name, &zone.value);
        }
        let (terminated, passed) = (is_terminated(&table), table.has("passthrough"));
        if !terminated {
            table.refuse(
                &mut self.problems,
                "mtls",
                "workers that ask for certificates need a `certificate` themselves",
            );
            let why = "nobody but workers asks for certificates, and they need a `certificate` themselves";
            table.refuse(&mut self.problems, "on_revoke", why);
        }
        if passed {
            let why = "with `passthrough`, workers do not see every request, and the others would lack the header";
            table.refuse(&mut self.problems, "forward_client_cert", why);
        }
        let mtls = table.boolean(&mut self.problems, "mtls").unwrap_or(false);
        let termination = terminated.then(|| self.termination(&mut table, name.as_ref(), on_revoke));
        let passthrough = passthrough::host(&mut table, &mut self.problems);
        let known = [
            "name",
            "mtls",
            "on_revoke",
            "forward_client_cert",
            "upstream",
            "certificate",
            "private_key",
            "passthrough",
            "proxy_protocol",
            "allow_shared_origin",
        ];
        table.finish(&mut self.problems, &known);
        let name = name?.value;
        let passthrough = passthrough.map(|(passthrough, written)| {
            self.passed.add(&name, written);
            passthrough
        });
        // `None` inside stands for problems that were noted.
        let termination = termination.map_or(Some(None), |termination| termination.map(Some))?;
        Some(Host { name, mtls, termination, passthrough })
    }

    /// What workers need of a host whose TLS they can terminate.
    fn termination(
        &mut self,
        table: &mut Table<'_>,
        name: Option<&Located<HostName>>,
        on_revoke: OnRevoke,
    ) -> Option<Termination> {
        let on_revoke = self.on_revoke(table).unwrap_or(on_revoke);
        let forward_client_cert = table.boolean(&mut self.problems, "forward_client_cert").unwrap_or(false);
        table.require(&mut self.problems, "upstream", "write where requests go, like \"http://10.0.0.2:8080\"");
        let upstream = table.string(&mut self.problems, "upstream");
        let upstream = upstream.and_then(|text| text.parse_with(&mut self.problems, |text| parse_upstream(text)));
        let chain = self.file(table, "certificate", server_identity::read_chain);
        let key = self.file(table, "private_key", server_identity::read_private_key);
        let (name, chain, key) = (name?, chain?, key?.value);
        let certificate = server_identity::certified_key(&name.value, chain.value, key)
            .map_err(|message| self.problems.push(chain.span, message))
            .ok()?;
        Some(Termination { certificate, upstream: upstream?, forward_client_cert, on_revoke })
    }

    /// Notes a host that stands outside its zone or twice.
    fn place(&mut self, name: &Located<HostName>, zone: &HostName) {
        if !name.value.is_within(zone) {
            let message = format!("{} is not in the zone {zone}: its name must end in .{zone}", name.value);
            self.problems.push(name.span.clone(), message);
        }
        if let Some(other) = self.hosts.insert(name.value.clone(), zone.clone()) {
            let message = format!("{} stands twice; the first one is in the zone {other}", name.value);
            self.problems.push(name.span.clone(), message);
        }
        if self.hosts.len() > MAX_HOSTS {
            self.problems.push(name.span.clone(), format!("there are more than {MAX_HOSTS} hosts"));
        }
    }
}

/// A host without `passthrough` must be terminated, and one that says something about it wants to be.
fn is_terminated(table: &Table<'_>) -> bool {
    !table.has("passthrough") || ["upstream", "certificate", "private_key"].iter().any(|key| table.has(key))
}

fn parse_upstream(text: &str) -> Result<Upstream, String> {
    let expected = "an upstream is written \"http://ADDRESS:PORT\"";
    let authority = text.strip_prefix("http://").ok_or_else(|| format!("`{text}`: {expected}"))?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let address = authority.parse().map_err(|_| format!("`{text}`: {expected}, with an IP address and a port"))?;
    Ok(Upstream { address })
}
