//! What an operator does by the command line, and what clients see of it.

use std::fs;

use anyhow::Result;
use filter_tests::in_socket_mode;
use filter_tests::lab::{API, Authority, Host, Setup, WWW};
use serde_json::json;

in_socket_mode!(
    zones_and_hosts_are_shown,
    mtls_is_enabled_and_disabled_host_by_host,
    a_rule_is_edited_moved_disabled_and_deleted,
    a_dry_run_says_what_would_be_and_changes_nothing,
    a_list_is_filled_and_rules_follow_it,
    the_zone_gets_a_new_authority_and_forgets_the_old_one,
    an_authority_of_ones_own_counts_where_it_is_associated,
    the_audit_says_who_did_what_and_who_was_refused,
    completions_and_manual_pages_know_every_command,
);

fn zones_and_hosts_are_shown(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let zones = lab.filter.json(&["zone", "list"])?;
    assert_eq!((&zones[0]["name"], zones[0]["hosts"].as_array().map(Vec::len)), (&json!("example.com"), Some(3)));
    let table = lab.filter.command(&["zone", "list"])?;
    assert!(table.starts_with("ID") && table.contains("example.com  3      2"), "{table}");
    let shown = lab.filter.command(&["zone", "show", "example.com"])?;
    assert!(shown.contains("NAME  example.com") && shown.contains("www.example.com    off"), "{shown}");
    assert_eq!(lab.filter.json(&["zone", "show"])?, zones[0]);
    let settings = lab.filter.command(&["zone", "settings"])?;
    assert!(settings.contains("min_tls_version  1.2"), "{settings}");
    let hosts = lab.filter.command(&["host", "list"])?;
    assert!(hosts.lines().any(|line| line.split_whitespace().eq(["example.com", WWW, "off"])), "{hosts}");
    let configured = ["example.com", API, "on", "configuration", "file"];
    assert!(hosts.lines().any(|line| line.split_whitespace().eq(configured)), "{hosts}");
    Ok(())
}

fn mtls_is_enabled_and_disabled_host_by_host(setup: Setup) -> Result<()> {
    let lab = setup.hosts([Host::plain(API), Host::plain(WWW)]).start()?;
    let alice = lab.filter.client_certificate("alice")?;
    lab.filter.block(API, &format!("http.host == \"{API}\" and not cf.tls_client_auth.cert_verified"))?;
    let seen = || lab.curl(API).certificate(&alice).run()?.status();
    assert_eq!(seen()?, 403, "nobody asks for the certificate");
    let said = lab.filter.command(&["host", "enable-mtls", API])?;
    assert!(said.starts_with(&format!("{API}  mTLS on (generation ")), "{said}");
    assert_eq!(seen()?, 200);
    assert_eq!(lab.filter.json(&["host", "disable-mtls", API])?["mtls"], false);
    assert_eq!(seen()?, 403);
    Ok(())
}

fn a_rule_is_edited_moved_disabled_and_deleted(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let rule = ["rule", "create", "--expression", "http.request.uri.path == \"/a\"", "--name"];
    lab.filter.command(&[&rule[..], &["first"]].concat())?;
    let second = lab.filter.json(&[&rule[..], &["second", "--action", "log", "--first"]].concat())?;
    let names = || -> Result<Vec<String>> {
        let rules = lab.filter.json(&["rule", "list"])?;
        Ok(rules.as_array().into_iter().flatten().filter_map(|rule| rule["name"].as_str().map(str::to_owned)).collect())
    };
    let status = || lab.curl(WWW).path("/a").run()?.status();
    assert_eq!((names()?, status()?), (vec!["second".to_owned(), "first".to_owned()], 403));
    lab.filter.command(&["rule", "move", "second", "--last"])?;
    assert_eq!(names()?, ["first", "second"]);
    lab.filter.command(&["rule", "disable", "first"])?;
    assert_eq!(status()?, 200);
    lab.filter.command(&["rule", "enable", "first"])?;
    assert_eq!(status()?, 403);
    fs::write(lab.directory().join("gone.json"), "{\"gone\":true}")?;
    let response = ["--response-status", "410", "--response-body", "gone.json", "--response-type", "application/json"];
    lab.filter.command(&[&["rule", "edit", "first", "--name", "renamed"], &response[..]].concat())?;
    assert_eq!(status()?, 410);
    let shown = lab.filter.command(&["rule", "show", "renamed"])?;
    assert!(shown.contains("RESPONSE    410 application/json") && shown.contains("STATE       enabled"), "{shown}");
    lab.filter.command(&["rule", "edit", "renamed", "--expression", "http.request.uri.path == \"/b\""])?;
    assert_eq!((status()?, lab.curl(WWW).path("/b").run()?.status()?), (200, 410), "the response stays");
    let id = second["id"].as_str().unwrap_or_default();
    lab.filter.command(&["rule", "delete", id, "--yes"])?;
    lab.filter.command(&["rule", "delete", "renamed", "--yes"])?;
    assert_eq!((names()?.len(), lab.curl(WWW).path("/b").run()?.status()?), (0, 200));
    Ok(())
}

fn a_dry_run_says_what_would_be_and_changes_nothing(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let rule = lab.filter.protect(API)?;
    let before = (lab.filter.json(&["status"])?["generation"].clone(), lab.filter.json(&["rule", "list"])?);
    for arguments in [
        &["rule", "create", "--name", "x", "--host", API][..],
        &["rule", "create", "--name", "x", "--expression", "ssl", "--first"],
        &["rule", "edit", &rule, "--expression", "ssl"],
        &["rule", "move", &rule, "--first"],
        &["rule", "disable", &rule],
        &["rule", "delete", &rule],
    ] {
        let said = lab.filter.command(&[arguments, &["--dry-run"]].concat())?;
        assert!(said.contains("nothing was changed"), "{arguments:?}: {said}");
    }
    let wrong = ["rule", "create", "--name", "x", "--expression", "http.host == foo", "--dry-run"];
    let refused = lab.filter.attempt(&wrong)?;
    assert!(refused.code == Some(1) && refused.errors.contains("invalid digit"), "{refused:?}");
    assert_eq!((lab.filter.json(&["status"])?["generation"].clone(), lab.filter.json(&["rule", "list"])?), before);
    Ok(())
}

fn a_list_is_filled_and_rules_follow_it(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.command(&["list", "create", "paths", "--kind", "ip", "--description", "who may not"])?;
    lab.filter.block(WWW, "ip.src in $paths")?;
    let status = || lab.curl(WWW).run()?.status();
    assert_eq!(status()?, 200, "it is empty");
    fs::write(lab.directory().join("items"), "# a whole line\n198.51.100.0/24 # elsewhere\n\n10.77.0.0/16\n")?;
    let said = lab.filter.command(&["list", "add", "paths", "192.0.2.1", "--file", "items", "--comment", "lab"])?;
    assert!(said.ends_with("$paths has 3 items\n"), "{said}");
    assert_eq!(status()?, 403);
    let shown = lab.filter.command(&["list", "show", "$paths"])?;
    assert!(shown.contains("198.51.100.0/24  elsewhere") && shown.contains("10.77.0.0/16     lab"), "{shown}");
    lab.filter.command(&["list", "remove", "paths", "10.77.0.0/16", "192.0.2.1/32"])?;
    assert_eq!(status()?, 200);
    lab.filter.command(&["list", "replace", "paths", "10.0.0.0/8", "--yes"])?;
    assert_eq!((status()?, lab.filter.json(&["list", "list"])?[0]["num_items"].clone()), (403, json!(1)));
    let used = lab.filter.attempt(&["list", "delete", "paths", "--yes"])?;
    assert!(used.errors.contains("is in use by 1 rules: change the rules first"), "{used:?}");
    let rules = lab.filter.json(&["rule", "list"])?;
    lab.filter.delete_rule(rules[0]["id"].as_str().unwrap_or_default())?;
    lab.filter.command(&["list", "delete", "paths", "--yes"])?;
    assert_eq!(lab.filter.json(&["list", "list"])?, json!([]));
    Ok(())
}

fn the_zone_gets_a_new_authority_and_forgets_the_old_one(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let old = lab.filter.client_certificate("old")?;
    let before = lab.filter.json(&["ca", "show"])?["id"].clone();
    lab.filter.command(&["ca", "rotate"])?;
    let new = lab.filter.client_certificate("new")?;
    let seen = || -> Result<_> {
        let status = |certificate| lab.curl(API).certificate(certificate).run()?.status();
        Ok((status(&old)?, status(&new)?))
    };
    assert_eq!(seen()?, (200, 200), "both count");
    let listed = lab.filter.json(&["ca", "list"])?;
    let state = |id: &serde_json::Value| {
        let all = listed.as_array().into_iter().flatten();
        all.into_iter().find(|row| row["id"] == *id).map(|row| row["state"].clone())
    };
    assert_eq!(state(&before), Some(json!("retired")));
    lab.filter.command(&["ca", "delete", before.as_str().unwrap_or_default(), "--yes"])?;
    assert_eq!(seen()?, (403, 200));
    let issuing = lab.filter.json(&["ca", "show"])?["id"].clone();
    let outcome = lab.filter.attempt(&["ca", "delete", issuing.as_str().unwrap_or_default(), "--yes"])?;
    assert_eq!(outcome.code, Some(1), "the one that issues stays: {outcome:?}");
    Ok(())
}

fn an_authority_of_ones_own_counts_where_it_is_associated(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    lab.filter.protect(API)?;
    let corporate = Authority::create(lab.directory(), "corporate")?;
    let bob = corporate.client("bob")?;
    let status = || lab.curl(API).certificate(&bob).run()?.status();
    let file = corporate.certificate_file().to_string_lossy().into_owned();
    let id = lab.filter.json(&["ca", "upload", &file, "--name", "corporate"])?["id"].clone();
    let id = id.as_str().unwrap_or_default();
    assert_eq!(status()?, 403);
    lab.filter.command(&["ca", "associate", id, "--host", API])?;
    assert_eq!(status()?, 200);
    let table = lab.filter.command(&["ca", "list"])?;
    assert!(table.lines().any(|line| line.starts_with(id) && line.ends_with(API)), "{table}");
    let used = lab.filter.attempt(&["ca", "delete", id, "--yes"])?;
    assert_eq!(used.code, Some(1), "while it counts somewhere: {used:?}");
    lab.filter.command(&["ca", "associate", id, "--none"])?;
    assert_eq!(status()?, 403);
    lab.filter.command(&["ca", "delete", id, "--yes"])?;
    assert!(!lab.filter.command(&["ca", "list"])?.contains(id));
    Ok(())
}

fn the_audit_says_who_did_what_and_who_was_refused(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let rule = lab.filter.protect(API)?;
    let table = lab.filter.command(&["audit", "--limit", "1"])?;
    assert!(table.contains("local") && table.contains("rule create") && table.lines().count() == 2, "{table}");
    let records = lab.filter.json(&["audit"])?;
    assert_eq!(records[0]["changes"][0]["after"]["rules"][0]["id"], json!(rule));
    let before = records[0]["generation"].as_u64().unwrap_or_default().to_string();
    let earlier = lab.filter.json(&["audit", "--before", &before, "--limit", "1"])?;
    assert_eq!(earlier[0], records[1]);
    let mut stranger = lab.network.edge.command("curl")?;
    stranger.args(["--silent", "--header", "Authorization: Bearer wrong", "http://127.0.0.1:8080/client/v4/zones"]);
    assert!(stranger.status()?.success());
    let refused = lab.filter.command(&["audit", "--refused"])?;
    assert!(refused.contains("GET /client/v4/zones") && !refused.contains("wrong"), "{refused}");
    Ok(())
}

fn completions_and_manual_pages_know_every_command(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let pages = lab.directory().join("share").join("man");
    lab.filter.command(&["man", &pages.to_string_lossy()])?;
    let page = |name: &str| fs::read_to_string(pages.join(format!("{name}.1")));
    for (noun, verbs) in [
        ("zone", &["list", "show", "settings"][..]),
        ("host", &["list", "enable-mtls", "disable-mtls"]),
        ("ca", &["show", "list", "upload", "rotate", "delete", "associate"]),
        ("cert", &["create", "list", "show", "revoke", "reactivate"]),
        ("rule", &["create", "list", "show", "edit", "move", "enable", "disable", "delete"]),
        ("list", &["create", "list", "show", "add", "remove", "replace", "delete"]),
        ("token", &["create", "list", "revoke"]),
        ("store", &["export", "import"]),
    ] {
        let bash = lab.filter.command(&["completions", "bash"])?;
        for verb in verbs {
            assert!(page(&format!("mtls-filter-{noun}-{verb}"))?.contains(verb), "{noun} {verb}");
            let known = format!("mtls__filter__{noun}__{}", verb.replace('-', "__"));
            assert!(bash.replace("__subcmd", "").contains(&known), "{noun} {verb}: {known}");
        }
    }
    for noun in ["audit", "status", "explain"] {
        assert!(page(&format!("mtls-filter-{noun}"))?.contains("\\-\\-json"), "{noun}");
    }
    Ok(())
}
