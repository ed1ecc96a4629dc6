//! What `mtls-filter status` says of hosts that are passed through.

use super::print;
use crate::control::api::dto::PassedThrough;

/// Prints the hosts and their origins, if there are any.
pub(super) fn show(passed: &PassedThrough) -> anyhow::Result<()> {
    if passed.hosts.is_empty() {
        return Ok(());
    }
    print::line(format_args!(""))?;
    let hosts: Vec<_> = passed
        .hosts
        .iter()
        .map(|host| {
            [
                host.host.clone(),
                host.now.clone(),
                host.open.to_string(),
                host.opened.to_string(),
                print::bytes(host.bytes_from_clients),
                print::bytes(host.bytes_from_origins),
                host.shares_origin_with.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let headings = ["PASSED THROUGH", "NOW", "OPEN", "OPENED", "FROM CLIENTS", "FROM ORIGINS", "SHARES ORIGIN WITH"];
    print::table(headings, &hosts)?;
    print::line(format_args!(""))?;
    let origins: Vec<_> = passed
        .origins
        .iter()
        .map(|origin| {
            let state = if origin.up { "up" } else { "down" }.to_owned();
            let last = origin.last_failure.clone().unwrap_or_default();
            [origin.address.clone(), state, origin.failures.to_string(), last]
        })
        .collect();
    print::table(["ORIGIN", "STATE", "FAILED CHECKS", "LAST FAILURE"], &origins)
}
