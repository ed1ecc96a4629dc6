//! Reads where the API is served over TCP, and how it is protected there.

use std::net::SocketAddr;

use super::read::Reader;
use super::table::{Located, Table};
use super::{Admin, AdminTls, HostName, MAX_ADMIN_NAMES, server_identity};

/// Default of `control.listen`.
const LISTEN: &str = "127.0.0.1:8080";

/// Every key of the admin listener in `[control]`.
pub(super) const KEYS: [&str; 5] = ["listen", "names", "certificate", "private_key", "self_signed"];

impl Reader<'_> {
    /// Takes the keys of the admin listener; `None` for `listen = "off"`, and after a problem was noted.
    pub(super) fn admin(&mut self, table: &mut Table<'_>) -> Option<Admin> {
        let given = table.string(&mut self.problems, "listen");
        let span = given.as_ref().map_or(0..0, |given| given.span.clone());
        let listen = given.unwrap_or_else(|| Located { value: LISTEN.to_owned(), span: span.clone() });
        let names = self.admin_names(table);
        let self_signed = table.boolean(&mut self.problems, "self_signed").unwrap_or(false);
        let certificate = self.admin_certificate(table);
        if listen.value == "off" {
            return None;
        }
        let listen = listen.parse_with(&mut self.problems, |text| admin_address(text))?;
        let tls = match (certificate, self_signed) {
            (Some(_), true) => {
                self.problems.push(span, "`self_signed` makes a certificate, and one is given: leave one of them out");
                return None;
            }
            (Some(certificate), false) => AdminTls::Given(certificate?),
            (None, true) => AdminTls::SelfSigned,
            (None, false) if listen.ip().is_loopback() => AdminTls::Plain,
            (None, false) => {
                let message = format!(
                    "`listen`: {listen} can be reached from elsewhere, and tokens would go in plain text: give it \
                     `certificate` and `private_key`, or set `self_signed = true`"
                );
                self.problems.push(span, message);
                return None;
            }
        };
        Some(Admin { listen, names, tls })
    }

    fn admin_names(&mut self, table: &mut Table<'_>) -> Vec<String> {
        let Some(given) = table.strings(&mut self.problems, "names") else { return Vec::new() };
        if given.value.len() > MAX_ADMIN_NAMES {
            self.problems.push(given.span, format!("`names` must have no more than {MAX_ADMIN_NAMES} names"));
            return Vec::new();
        }
        let names = given.value.into_iter();
        names
            .filter_map(|name| name.parse_with(&mut self.problems, |text| HostName::parse(text)))
            .map(|name| name.to_string())
            .collect()
    }

    /// `None` when neither file is named; `Some(None)` after a problem was noted.
    fn admin_certificate(
        &mut self,
        table: &mut Table<'_>,
    ) -> Option<Option<std::sync::Arc<rustls::sign::CertifiedKey>>> {
        let (certificate, key) = (self.path(table, "certificate"), self.path(table, "private_key"));
        let span = certificate.as_ref().or(key.as_ref()).map(|path| path.span.clone())?;
        let (Some(certificate), Some(key)) = (certificate, key) else {
            self.problems.push(span, "`certificate` and `private_key` of the admin listener go together");
            return Some(None);
        };
        let chain = certificate.parse_with(&mut self.problems, |path| server_identity::read_chain(path));
        let key = key.parse_with(&mut self.problems, |path| server_identity::read_private_key(path));
        let (Some(chain), Some(key)) = (chain, key) else { return Some(None) };
        let made = server_identity::certified(chain, key, "the admin listener");
        Some(made.map_err(|message| self.problems.push(span, message)).ok())
    }
}

fn admin_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is no address with a port, like \"127.0.0.1:8080\"; \"off\" serves the control socket alone")
    })
}
