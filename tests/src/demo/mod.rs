//! `cargo xtask demo`: the whole job shown once, on real traffic, as a table of what was tried, expected and seen.

mod passing;
mod scenes;
mod table;

use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use clap::Parser;

use crate::lab::{
    API, CLIENT_IPV4, Datapath, EDGE_IPV4, EDGE_IPV6, Host, Lab, ORIGIN_IPV4, Setup, TLS_ORIGINS, Upstream, WWW,
    find_nginx,
};
use table::Table;

/// Plays the main job of mtls-filter on real traffic.
#[derive(Debug, Parser)]
#[command(name = "mtls-filter-demo")]
pub struct Options {
    /// How packets reach the workers.
    #[arg(long, value_enum, default_value_t = Datapath::Native)]
    pub datapath: Datapath,
    /// Leave the lab running when the table is done, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// If the lab does not start, or a row of the table differs from what was expected.
pub fn run(options: &Options) -> Result<()> {
    let upstream = match find_nginx() {
        Ok(_) => Upstream::Nginx,
        Err(error) => {
            println!("{error:#}; the origin is the lab's own");
            Upstream::Echo
        }
    };
    let mut hosts = vec![Host::mtls(API).upstream(upstream), Host::plain(WWW).upstream(upstream)];
    // An origin that terminates TLS itself takes a real server.
    let passes = upstream == Upstream::Nginx;
    if passes {
        hosts.push(Host::mtls(passing::SHOP).upstream(upstream).also_passed(&TLS_ORIGINS));
    }
    let mut lab = Setup::new(options.datapath).hosts(hosts).start()?;
    let expired = lab.certificate_expiring_at("late", SystemTime::now() - Duration::from_secs(60 * 60))?;
    let datapath = lab.filter.status()?.datapath()?;
    println!(
        "client {CLIENT_IPV4} ── edge {EDGE_IPV4} (mtls-filter, datapath {datapath}) ── origin {ORIGIN_IPV4} ({upstream:?})\n"
    );
    let mut table = Table::begin(&lab);
    scenes::play(&lab, &datapath, &expired, &mut table)?;
    if passes {
        passing::play(&lab, &datapath, &mut table)?;
    }
    let differing = table.end()?;
    if options.keep {
        explain(&lab);
        // A signal ends the process and removes the lab.
        loop {
            thread::park();
        }
    }
    drop(lab);
    if differing > 0 {
        bail!("{differing} rows differ from what was expected");
    }
    Ok(())
}

/// How to go on by hand.
fn explain(lab: &Lab) {
    let (client, edge) = (lab.network.client.name(), lab.network.edge.name());
    let directory = lab.directory().display();
    println!(
        "
The lab stays until Ctrl-C.
  listening     {EDGE_IPV4}:443 and [{EDGE_IPV6}]:443, hosts {API} and {WWW}
  a client      ip netns exec {client} curl --cacert {directory}/servers/authority.crt \\
                    --resolve {API}:443:{EDGE_IPV4} https://{API}/
  certificates  {directory}/clients-example.com/
  an operator   export MTLS_FILTER_SOCKET={directory}/control.sock; {binary} status
  the edge      ip netns exec {edge} ip link show edge0
  logs          {directory}/mtls-filter.log, {directory}/access.log",
        binary = lab.filter.binary().display(),
    );
}
