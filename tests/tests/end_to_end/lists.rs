//! Lists that rules share: what is in one counts from the call that puts it there, without a change of the rule.

use anyhow::{Context, Result, ensure};
use filter_tests::lab::{API, EDGE_IPV6, Filter, Setup, WWW};
use filter_tests::on_every_datapath;
use serde_json::{Value, json};

on_every_datapath!(
    an_address_counts_while_it_is_in_the_list,
    a_host_counts_while_it_is_in_the_list,
    a_list_that_a_rule_names_stays,
);

/// A list of the account.
struct List<'a> {
    filter: &'a Filter,
    path: String,
}

impl<'a> List<'a> {
    fn create(filter: &'a Filter, kind: &str, name: &str) -> Result<Self> {
        let accounts = filter.call("GET", "/client/v4/accounts", &json!({}))?;
        let account = accounts.pointer("/0/id").and_then(Value::as_str).context("there is one account")?;
        let lists = format!("/client/v4/accounts/{account}/rules/lists");
        let made = filter.call("POST", &lists, &json!({"kind": kind, "name": name}))?;
        let id = made["id"].as_str().context("a list has an id")?;
        Ok(Self { filter, path: format!("{lists}/{id}") })
    }

    fn replace(&self, items: &Value) -> Result<()> {
        self.filter.call("PUT", &format!("{}/items", self.path), items).map(drop)
    }

    fn delete(&self) -> Result<()> {
        self.filter.call("DELETE", &self.path, &json!({})).map(drop)
    }
}

fn an_address_counts_while_it_is_in_the_list(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let friends = List::create(&lab.filter, "ip", "friends")?;
    // With the host: XDP drops whom every host blocks, and says nothing.
    lab.filter.block(API, &format!("http.host eq \"{API}\" and not ip.src in $friends"))?;
    let mut open = lab.connect(API).open()?;
    assert_eq!(open.get("/")?.status, 403, "the list is empty");

    friends.replace(&json!([{"ip": "10.77.0.0/16"}]))?;
    assert_eq!(open.get("/")?.status, 200, "on the open connection");
    assert_eq!(lab.curl(API).run()?.status()?, 200);
    assert_eq!(lab.curl(API).address(EDGE_IPV6).run()?.status()?, 403, "from an address that is not in it");
    assert_eq!(lab.curl(WWW).run()?.status()?, 200, "the rule is another host's");

    friends.replace(&json!([{"ip": "192.0.2.1"}]))?;
    assert_eq!(open.get("/")?.status, 403);
    assert_eq!(lab.curl(API).run()?.status()?, 403);
    Ok(())
}

fn a_host_counts_while_it_is_in_the_list(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let closed = List::create(&lab.filter, "hostname", "closed")?;
    lab.filter.block(WWW, "http.host in $closed")?;
    let seen = || -> Result<_> { Ok([lab.curl(WWW).run()?.status()?, lab.curl(API).run()?.status()?]) };
    assert_eq!(seen()?, [200, 200]);
    closed.replace(&json!([{"hostname": {"url_hostname": WWW}}]))?;
    assert_eq!(seen()?, [403, 200]);
    closed.replace(&json!([{"hostname": {"url_hostname": "*.example.com"}}]))?;
    assert_eq!(seen()?[0], 403, "and below a name");
    closed.replace(&json!([]))?;
    assert_eq!(seen()?, [200, 200]);
    Ok(())
}

fn a_list_that_a_rule_names_stays(setup: Setup) -> Result<()> {
    let lab = setup.start()?;
    let friends = List::create(&lab.filter, "ip", "friends")?;
    let rule = lab.filter.block(API, "not ip.src in $friends")?;
    ensure!(friends.delete().is_err(), "a list in use was deleted");
    assert_eq!(lab.curl(API).run()?.status()?, 403, "it still counts");
    lab.filter.delete_rule(&rule)?;
    friends.delete()
}
