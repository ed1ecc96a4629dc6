//! The expression the dashboard's *Create a mTLS rule* dialog and `rule create --host` write.

use std::fmt::Write as _;

/// The rule that blocks requests for `hosts` without a valid client certificate and, with `reject_revoked`, those whose
/// certificate is revoked.
///
/// The text is Cloudflare's, byte for byte, so that a rule written here and one pasted from there are the same rule. Hosts are
/// escaped as string literals; a host that cannot be one is for the caller to refuse.
#[must_use]
pub fn mtls_rule_expression(hosts: &[&str], reject_revoked: bool) -> String {
    let mut text = String::from("(http.host in {");
    for (position, host) in hosts.iter().enumerate() {
        let separator = if position == 0 { "" } else { " " };
        let host = host.replace('\\', "\\\\").replace('"', "\\\"");
        write!(text, "{separator}\"{host}\"").expect("writing to a string cannot fail");
    }
    text.push_str(if reject_revoked {
        "} and (not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked))"
    } else {
        "} and not cf.tls_client_auth.cert_verified)"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_writes_the_expressions_of_the_dialog() {
        assert_eq!(
            mtls_rule_expression(&["a", "b"], false),
            r#"(http.host in {"a" "b"} and not cf.tls_client_auth.cert_verified)"#
        );
        assert_eq!(
            mtls_rule_expression(&["a"], true),
            r#"(http.host in {"a"} and (not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked))"#
        );
    }

    #[test]
    fn template_escapes_what_would_end_the_literal() {
        let text = mtls_rule_expression(&[r#"a"} or ssl or http.host in {"\"#], false);
        assert_eq!(
            text,
            r#"(http.host in {"a\"} or ssl or http.host in {\"\\"} and not cf.tls_client_auth.cert_verified)"#
        );
    }
}
