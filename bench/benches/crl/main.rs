//! What it costs to take a revocation list of a million entries while clients are served: our daemon, and nginx's reload of the same list.
//!
//! `cargo xtask bench crl`. Eight clients ask for a small page all the time, half of them over a connection of their own for each request. In
//! force is a list when a certificate on it is refused.
#![forbid(unsafe_code)]

mod corporate;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use filter_tests::lab::{API, Datapath, Lab, Load, Nginx, Outcome, Sample, Setup, replace};
use serde_json::{Value, json};

use corporate::Corporate;

const ENTRIES: u32 = 1_000_000;
const CLIENTS: usize = 8;
/// How long is measured without a list, and after it.
const AROUND: Duration = Duration::from_secs(3);
/// How long a list may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Where nginx listens on the edge.
const NGINX: [u8; 4] = [10, 77, 1, 3];

fn main() -> Result<()> {
    let lab = Setup::new(Datapath::Socket).start()?;
    let corporate = Corporate::create(lab.directory())?;
    let list = lab.directory().join("list.crl");
    replace(&list, &corporate.list(ENTRIES)?)?;
    println!("{ENTRIES} entries, {:.1} MB of DER, {CLIENTS} clients", std::fs::metadata(&list)?.len() as f64 / 1e6);
    println!(
        "{:<14}{:>12}{:>12}{:>14}{:>14}{:>16}",
        "", "in force, s", "RSS + MB", "p99 before", "p99 during", "longest during"
    );
    ours(&lab, &corporate, &list)?;
    nginx(&lab, &corporate, &list)
}

fn ours(lab: &Lab, corporate: &Corporate, list: &std::path::Path) -> Result<()> {
    let accounts = lab.filter.call("GET", "/client/v4/accounts", &json!({}))?;
    let account = accounts.pointer("/0/id").and_then(Value::as_str).context("there is one account")?;
    let path = format!("/client/v4/accounts/{account}/mtls_certificates");
    let body = json!({ "ca": true, "certificates": corporate.certificate(), "name": "corporate" });
    let made = lab.filter.call("POST", &path, &body)?;
    let path = "/client/v4/zones/example.com/certificate_authorities/hostname_associations";
    lab.filter.call("PUT", path, &json!({ "hostnames": [API], "mtls_certificate_id": made.get("id") }))?;
    lab.filter.protect(API)?;
    let load = lab.load(&lab.connect(API).certificate(&corporate.good), CLIENTS)?;
    let before = lab.filter.resident_bytes()?;
    let begun = baseline(&load);
    let source = list.to_str().context("the lab's paths are text")?;
    lab.filter.command(&["ca", "crl", "set", "corporate", "--source", source])?;
    let ended = Instant::now();
    if lab.connect(API).certificate(&corporate.revoked).open()?.get("/")?.status != 403 {
        bail!("the list is not in force");
    }
    load.run_for(AROUND);
    let grown = lab.filter.resident_bytes()?.saturating_sub(before);
    report("mtls-filter", load.stop()?, begun, ended, grown);
    Ok(())
}

fn nginx(lab: &Lab, corporate: &Corporate, list: &std::path::Path) -> Result<()> {
    let pem = lab.directory().join("list.pem");
    replace(&pem, corporate.list_as_pem(&corporate.list(1)?).as_bytes())?;
    lab.network.edge.ip(&["address", "add", "10.77.1.3/24", "dev", "edge0"])?;
    let [server, ca] = ["servers", "corporate"].map(|name| lab.directory().join(name));
    let servers = format!(
        "server {{ listen 10.77.1.3:443 ssl; ssl_certificate {0}/{API}.crt; ssl_certificate_key {0}/{API}.key; ssl_verify_client on; \
         ssl_client_certificate {1}/authority.crt; ssl_crl {2}; location / {{ return 200 page; }} }}",
        server.display(),
        ca.display(),
        pem.display()
    );
    let nginx = Nginx::start_with(&lab.network.edge, (NGINX, 443).into(), &lab.directory().join("peer"), &servers)?;
    let tls = || lab.connect(API).address(NGINX);
    let load = lab.load(&tls().certificate(&corporate.good), CLIENTS)?;
    let before = nginx.resident_bytes()?;
    let begun = baseline(&load);
    replace(&pem, corporate.list_as_pem(&std::fs::read(list)?).as_bytes())?;
    nginx.reload()?;
    while tls().certificate(&corporate.revoked).open()?.get("/")?.status == 200 {
        if begun.elapsed() > PATIENCE {
            bail!("the list is not in force");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let ended = Instant::now();
    load.run_for(AROUND);
    let grown = nginx.resident_bytes()?.saturating_sub(before);
    report("nginx reload", load.stop()?, begun, ended, grown);
    Ok(())
}

/// Lets clients ask for a while; when that is over.
fn baseline(load: &Load) -> Instant {
    load.run_for(AROUND);
    Instant::now()
}

fn report(name: &str, samples: Vec<Sample>, begun: Instant, ended: Instant, grown: u64) {
    let failed = samples.iter().filter(|sample| sample.outcome != Outcome::Status(200)).count();
    let took = |from: Option<Instant>, to: Instant| {
        let within = |sample: &&Sample| sample.sent < to && from.is_none_or(|from| sample.sent + sample.took > from);
        let mut took: Vec<_> = samples.iter().filter(within).map(|sample| sample.took).collect();
        took.sort_unstable();
        took
    };
    let milliseconds = |took: &[Duration], part: f64| {
        let place = (took.len() as f64 * part) as usize;
        took.get(place.min(took.len().saturating_sub(1))).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    };
    let (before, during) = (took(None, begun), took(Some(begun), ended));
    println!(
        "{name:<14}{:>12.2}{:>12.0}{:>11.1} ms{:>11.1} ms{:>13.1} ms   {} requests during, {failed} failed",
        ended.duration_since(begun).as_secs_f64(),
        grown as f64 / 1e6,
        milliseconds(&before, 0.99),
        milliseconds(&during, 0.99),
        milliseconds(&during, 1.0),
        during.len(),
    );
}
