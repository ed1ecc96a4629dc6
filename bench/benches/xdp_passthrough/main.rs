//! What it costs to take a TLS connection to its origin by the name in its ClientHello: XDP splice, nginx and HAProxy, above plain routing.
//!
//! Contenders take turns, so that whatever else the machine does falls on all of them; each figure is the median of the rounds. CPU time is
//! that of the whole machine, clients and origin included, which is why routing is subtracted.
#![forbid(unsafe_code)]

mod bed;
mod cpu;
mod traffic;

use std::time::Duration;

use anyhow::Result;

use bed::{Arrival, Bed, Contender, LONG_PORT, SHORT_PORT};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const CLIENTS: usize = 8;
/// Host names of the two origins.
const SHORT_NAME: &str = "www.example.com";
const LONG_NAME: &str = "bulk.example.com";

fn main() -> Result<()> {
    let filter = Bed::filter()?;
    let peers = Bed::peers(Arrival::Mtu)?;
    for (title, post_quantum) in [("ClientHello in one segment (X25519)", false), ("in two (X25519MLKEM768)", true)] {
        println!("\nshort connections, {title}, {CLIENTS} at a time, {} bytes back", traffic::SHORT);
        connections(&filter, &peers, &traffic::client_hello(SHORT_NAME, post_quantum)?)?;
    }
    println!("\ndownloads of {} MiB, packets of the size they have on a wire", traffic::LONG >> 20);
    downloads(&Contender::ALL, |contender| if contender.has_xdp() { &filter } else { &peers })?;
    drop((filter, peers));
    let offloaded = Bed::peers(Arrival::Offloaded)?;
    println!("\nthe same, packets merged to 64 KB before they arrive, as XDP never sees them");
    downloads(&[Contender::Routing, Contender::Nginx, Contender::Haproxy], |_| &offloaded)
}

fn connections(filter: &Bed, peers: &Bed, hello: &[u8]) -> Result<()> {
    let mut costs = [const { Vec::new() }; Contender::ALL.len()];
    let mut rates = costs.clone();
    let mut failed = [0; Contender::ALL.len()];
    for _ in 0..ROUNDS {
        for (index, contender) in Contender::ALL.into_iter().enumerate() {
            let bed = if contender.has_xdp() { filter } else { peers };
            let before = cpu::seconds()?;
            let target = contender.target(SHORT_PORT);
            let made = traffic::connections(&bed.network.client, target, hello, CLIENTS, ROUND)?;
            let good = made.good.max(1) as f64;
            if let (Some(costs), Some(rates), Some(failed)) =
                (costs.get_mut(index), rates.get_mut(index), failed.get_mut(index))
            {
                costs.push((cpu::seconds()? - before) / good * 1e6);
                rates.push(made.good as f64 / made.seconds);
                *failed += made.failed;
            }
        }
    }
    let routing = costs.first().map_or(0.0, |costs| median(costs));
    println!("{:<22}{:>10}{:>14}{:>16}{:>8}", "", "1/s", "CPU us each", "above routing", "failed");
    for (index, contender) in Contender::ALL.into_iter().enumerate() {
        let (Some(costs), Some(rates), Some(failed)) = (costs.get(index), rates.get(index), failed.get(index)) else {
            continue;
        };
        let (cost, rate) = (median(costs), median(rates));
        println!("{:<22}{rate:>10.0}{cost:>14.1}{:>16.1}{failed:>8}", contender.name(), cost - routing);
    }
    Ok(())
}

fn downloads<'a>(contenders: &[Contender], bed: impl Fn(Contender) -> &'a Bed) -> Result<()> {
    let hello = traffic::client_hello(LONG_NAME, false)?;
    let mut figures = vec![(Vec::new(), Vec::new()); contenders.len()];
    for _ in 0..ROUNDS {
        for (&contender, (speeds, costs)) in contenders.iter().zip(&mut figures) {
            let before = cpu::seconds()?;
            let seconds = traffic::download(&bed(contender).network.client, contender.target(LONG_PORT), &hello)?;
            speeds.push(traffic::LONG as f64 / seconds / 1e6);
            costs.push((cpu::seconds()? - before) / (traffic::LONG as f64 / 1e9));
        }
    }
    println!("{:<22}{:>10}{:>14}", "", "MB/s", "CPU s/GB");
    for (contender, (speeds, costs)) in contenders.iter().zip(&figures) {
        println!("{:<22}{:>10.0}{:>14.2}", contender.name(), median(speeds), median(costs));
    }
    Ok(())
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
