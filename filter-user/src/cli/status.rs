//! `mtls-filter status`.

use super::client::Client;
use super::{RemoteArgs, passed, print};
use crate::control::api::dto::Status;

/// Prints what could not be written down; nothing if all was.
fn losses(status: &Status) -> anyhow::Result<()> {
    let file = status.events.file.as_ref();
    for (what, count) in [
        ("access records dropped", status.access_records_dropped),
        ("access records not written", status.access_records_failed),
        ("events dropped", status.events.dropped),
        ("events dropped from their file", file.map_or(0, |file| file.dropped)),
        ("events not written to their file", file.map_or(0, |file| file.failed)),
    ] {
        if count > 0 {
            print::line(format_args!("{what}: {count}"))?;
        }
    }
    if let Some(error) = &status.access_log_error {
        print::line(format_args!("the access log cannot be written: {error}"))?;
    }
    if let Some((file, error)) = file.and_then(|file| Some((file, file.error.as_ref()?))) {
        print::line(format_args!("{} cannot be written: {error}", file.path))?;
    }
    Ok(())
}

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
    let maps = status.datapath.generation.map(|generation| format!(", maps of generation {generation}"));
    print::line(format_args!("data path: {}{}", status.datapath.mode, maps.unwrap_or_default()))?;
    if let Some(pin) = &status.datapath.pin {
        print::line(format_args!("  goes on without this process, by {pin}"))?;
    }
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
    losses(&status)?;
    print::line(format_args!(""))?;
    let hosts: Vec<_> = status
        .zones
        .iter()
        .flat_map(|zone| zone.hosts.iter().map(move |host| (zone, host)))
        .map(|(zone, host)| [zone.name.clone(), host.name.clone(), if host.mtls { "on" } else { "off" }.to_owned()])
        .collect();
    print::table(["ZONE", "HOST", "MTLS"], &hosts)?;
    passed::show(&status.passed_through)?;
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
