//! `mtls-filter status`.

use super::client::Client;
use super::{RemoteArgs, print};
use crate::control::api::dto::Status;

/// Prints what the daemon does.
pub(super) async fn status(args: &RemoteArgs) -> anyhow::Result<()> {
    let status: Status = Client::new(&args.socket).get("/api/v1/status").await?;
    if args.json {
        return print::json(&status);
    }
    print::line(format_args!(
        "mtls-filter {}, up {} s, generation {}",
        status.version, status.uptime_seconds, status.generation
    ))?;
    print::line(format_args!("data path: {}", status.datapath.mode))?;
    for setting in &status.datapath.settings {
        print::line(format_args!("  {setting}"))?;
    }
    for note in &status.datapath.notes {
        print::line(format_args!("  {note}"))?;
    }
    print::line(format_args!("listening on {}", status.listen.join(", ")))?;
    print::line(format_args!("revoked certificates: {}", status.revoked))?;
    if !status.crls.is_empty() {
        print::line(format_args!("revoked by CRLs of uploaded authorities: {}", status.listed))?;
        print::line(format_args!(""))?;
        super::ca_crl::table(&status.crls)?;
    }
    if status.access_records_dropped > 0 {
        print::line(format_args!("access records dropped: {}", status.access_records_dropped))?;
    }
    print::line(format_args!(""))?;
    let hosts: Vec<_> = status
        .zones
        .iter()
        .flat_map(|zone| zone.hosts.iter().map(move |host| (zone, host)))
        .map(|(zone, host)| [zone.name.clone(), host.name.clone(), if host.mtls { "on" } else { "off" }.to_owned()])
        .collect();
    print::table(["ZONE", "HOST", "MTLS"], &hosts)?;
    print::line(format_args!(""))?;
    let workers: Vec<_> = status
        .workers
        .iter()
        .map(|worker| [worker.index as u64, worker.generation, worker.accepted, worker.open])
        .map(|cells| cells.map(|cell| cell.to_string()))
        .collect();
    print::table(["WORKER", "GENERATION", "ACCEPTED", "OPEN"], &workers)?;
    print::line(format_args!(""))?;
    let requests = status.requests.iter().filter(|(_, count)| **count > 0);
    let requests: Vec<_> = requests.map(|(reason, count)| [reason.clone(), count.to_string()]).collect();
    print::table(["REQUESTS", "COUNT"], &requests)?;
    if !status.packets.is_empty() {
        print::line(format_args!(""))?;
        let packets = status.packets.iter().filter(|(_, count)| count.packets > 0);
        let packets: Vec<_> = packets
            .map(|(reason, count)| [reason.clone(), count.packets.to_string(), count.bytes.to_string()])
            .collect();
        print::table(["PACKETS", "COUNT", "BYTES"], &packets)?;
    }
    Ok(())
}
