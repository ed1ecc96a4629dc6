//! A mistake on the command line gets one line, with its cause and the way out, and changes nothing.

use std::fs;

use anyhow::Result;
use filter_tests::in_socket_mode;
use filter_tests::lab::Setup;

in_socket_mode!(
    a_mistake_gets_one_line_with_cause_and_fix_and_changes_nothing,
    a_verb_that_cannot_be_taken_back_asks_first,
);

/// Arguments, cause, and what to do.
type Row<'a> = (&'a [&'a str], &'a str, &'a str);

const NO_ID: &str = "023e105f-4ece-48ad-9ca3-1a8372d0c353";

#[rustfmt::skip]
const ZONES_AND_RULES: &[Row<'_>] = &[
    (&["zone", "show", "nowhere.example"], "there is no zone nowhere.example", "there is example.com"),
    (&["rule", "list", "--zone", "nowhere.example"], "there is no zone nowhere.example", "there is example.com"),
    (&["host", "enable-mtls", "nope.example.com"], "there is no host nope.example.com", "`host list` shows"),
    (&["host", "disable-mtls", "api.example.com"], "the configuration file enables mTLS", "take `mtls = true` out of the file"),
    (&["rule", "create", "--name", "x", "--host", "www.example.com"], "www.example.com is no host of example.com with mTLS enabled", "enabled: api.example.com, other.example.com"),
    (&["rule", "create", "--name", "", "--host", "api.example.com"], "give the rule a name", "what it protects"),
    (&["rule", "create", "--name", "there"], "there is a rule named \"there\" already", "already: "),
    (&["rule", "create", "--name", "x", "--expression", "ssl", "--action", "allow"], "unknown variant for action: allow", "it has `block`, `log` and `skip`"),
    (&["rule", "create", "--name", "x", "--expression", ""], "the expression cannot be blank", "expression"),
    (&["rule", "create", "--name", "x", "--expression", "ip.src in $nope"], "there is no list named \"nope\"", "cannot be deployed"),
    (&["rule", "create", "--name", "x", "--response-status", "404", "--response-body", "junk"], "a response of its own", "--expression"),
    (&["rule", "show", "nope"], "there is no rule \"nope\"", "`rule list` shows them"),
    (&["rule", "show", "twice"], "2 rules are named \"twice\"", "say which by its id"),
    (&["rule", "move", "there"], "say where to", "--first"),
    (&["rule", "move", "there", "--before", "nope"], "an id has 32 lower-case hexadecimal digits", "\"nope\""),
    (&["rule", "edit", "there"], "say what to change", "--expression"),
    (&["rule", "delete", "there"], "deleting the rule \"there\" cannot be taken back", "say --yes"),
    (&["explain", "--facts", "nowhere.json"], "cannot read nowhere.json", "No such file"),
    (&["explain", "--facts", "junk"], "junk", "expected"),
];

#[rustfmt::skip]
const THE_REST: &[Row<'_>] = &[
    (&["list", "show", "nope"], "there is no list nope", "`list list` shows them"),
    (&["list", "create", "office", "--kind", "ip"], "the list name \"office\" is used", "office"),
    (&["list", "create", "x", "--kind", "redirect"], "this filter does not redirect", "`ip`, `hostname` and `asn`"),
    (&["list", "add", "office", "300.1.2.3"], "\"300.1.2.3\" is no address and no network", "invalid IP address syntax"),
    (&["list", "add", "carriers", "x"], "x is no autonomous system", "write AS64500"),
    (&["list", "remove", "office", "203.0.113.9"], "203.0.113.9 is not in $office", "`list show office`"),
    (&["list", "replace", "office", "192.0.2.1"], "replacing the 0 items of $office by 1 cannot be taken back", "say --yes"),
    (&["list", "delete", "office"], "deleting the list $office with 0 items cannot be taken back", "say --yes"),
    (&["ca", "upload", "nowhere.pem", "--name", "x"], "cannot read nowhere.pem", "No such file"),
    (&["ca", "upload", "junk", "--name", "x"], "the upload holds no certificate", "expected -----BEGIN CERTIFICATE-----"),
    (&["ca", "upload", "leaf.crt", "--name", "x"], "this certificate must not issue others", "CA:TRUE"),
    (&["ca", "delete", NO_ID], "there is no CA 023e105f", "`ca list` shows them"),
    (&["ca", "associate", NO_ID, "--host", "api.example.com"], "there is no uploaded certificate authority 023e105f", "for this zone"),
    (&["cert", "show", "x/../y"], "`x/../y` is no certificate id", "`cert list` shows them"),
    (&["cert", "revoke", NO_ID], "there is no client certificate 023e105f", "in this zone"),
    (&["cert", "create", "--csr", "nowhere.csr"], "cannot read nowhere.csr", "No such file"),
    (&["cert", "create", "--csr", "junk"], "the certificate request is not PEM", "expected -----BEGIN CERTIFICATE REQUEST-----"),
    (&["cert", "create", "--common-name", "x", "--days", "0"], "a validity of 0 days is not accepted", "it must be 1 to 3650 days"),
    (&["token", "create", "--name", "x", "--scope", "everything"], "there is no scope \"everything\"", "there are read, certificates, rules and admin"),
    (&["token", "create", "--name", "x", "--scope", "read", "--zone", "nowhere.example"], "there is no zone \"nowhere.example\"", "zone"),
    (&["token", "revoke", "x"], "`x` is no token id", "`token list` shows them"),
    (&["token", "revoke", "00000000000000000000000000000000"], "there is no token 0000", "`token list` shows them"),
    (&["audit", "--limit", "0"], "an answer has 1 to 1000 records", "1000"),
    (&["status", "--socket", "nowhere.sock"], "cannot reach the daemon at nowhere.sock", "is it running"),
    (&["store", "import", "nowhere", "--config", "mtls-filter.toml"], "cannot read nowhere", "No such file"),
];

fn a_mistake_gets_one_line_with_cause_and_fix_and_changes_nothing(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    fs::write(lab.directory().join("junk"), "junk")?;
    let chain = fs::read_to_string(lab.directory().join("servers/www.example.com.crt"))?;
    let leaf = chain.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap_or_default();
    fs::write(lab.directory().join("leaf.crt"), leaf)?;
    lab.filter.command(&["rule", "create", "--name", "there"])?;
    for _ in 0..2 {
        lab.filter.command(&["rule", "create", "--name", "twice", "--expression", "ssl", "--action", "log"])?;
    }
    lab.filter.command(&["list", "create", "office", "--kind", "ip"])?;
    lab.filter.command(&["list", "create", "carriers", "--kind", "asn"])?;
    let before = lab.filter.json(&["status"])?["generation"].clone();
    let mut wrong = Vec::new();
    for (arguments, cause, fix) in ZONES_AND_RULES.iter().chain(THE_REST) {
        let outcome = lab.filter.attempt(arguments)?;
        let said = outcome.errors.trim_end();
        let is_one_line = said.lines().count() == 1 && said.starts_with("mtls-filter: ");
        if outcome.code != Some(1)
            || !outcome.output.is_empty()
            || !is_one_line
            || !said.contains(cause)
            || !said.contains(fix)
        {
            wrong.push(format!("{}: {cause:?} and {fix:?} expected of {outcome:?}", arguments.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(lab.filter.json(&["status"])?["generation"], before, "nothing was changed");
    Ok(())
}

fn a_verb_that_cannot_be_taken_back_asks_first(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    for (answer, remain) in [("n", 1), ("", 1), ("y", 0)] {
        if remain == 1 {
            let _ = lab.filter.command(&["rule", "create", "--name", "mine"]);
        }
        let said = lab.filter.at_a_terminal(&["rule", "delete", "mine"], answer)?;
        assert!(said.contains("deleting the rule \"mine\" cannot be taken back. Go on? [y/N]"), "{said}");
        assert_eq!(said.contains("nothing was changed"), remain == 1, "{said}");
        assert_eq!(lab.filter.rule_expressions()?.len(), remain, "after {answer:?}: {said}");
    }
    Ok(())
}
