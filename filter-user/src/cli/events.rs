//! `mtls-filter events`.

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::client::Client;
use super::{ZoneArgs, print};
use crate::control::api::dto::Event;

/// Events of one request to the API.
const PART: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    #[command(flatten)]
    zone: ZoneArgs,
    /// Prints events as they happen, until it is interrupted; with --json one object a line.
    #[arg(long, short, conflicts_with_all = ["limit", "until"])]
    follow: bool,
    /// Only those of this host.
    #[arg(long)]
    host: Option<String>,
    /// Only those that this rule decided or logged: its id, as `rule list` shows it.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Only those with this certificate: its id, SHA-256 fingerprint or serial.
    #[arg(long)]
    certificate: Option<String>,
    /// Only those that were blocked, or only those that were permitted and logged.
    #[arg(long)]
    action: Option<Action>,
    /// Only those since a moment (2026-11-24T12:00:00Z) or of the last while (15min, 2h, 7days). With --follow, those come first.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only those until a moment, or older than a while.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Most events to print, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Action {
    Block,
    Log,
}

impl EventsArgs {
    /// Prints what was blocked or logged, oldest first.
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let query = self.query()?;
        let (client, zone) = self.zone.connect().await?;
        let path = format!("/api/v1/zones/{zone}/events");
        let shown = if self.follow && self.since.is_none() { 0 } else { self.limit };
        // Whatever comes while those before are printed comes after them.
        let following = if self.follow { Some(client.follow(&format!("{path}/follow?{query}")).await?) } else { None };
        let events = newest(&client, &format!("{path}?{query}"), shown).await?;
        if self.follow || !self.zone.remote.json {
            for event in &events {
                self.print(event)?;
            }
        } else {
            print::json(&events)?;
        }
        let Some(mut following) = following else { return Ok(()) };
        let last = events.last().map_or(0, |event| event.number);
        while let Some(message) = following.next().await? {
            if message.event.as_deref() == Some("lost") {
                eprintln!("mtls-filter: some events were lost: {}", message.data);
                continue;
            }
            let event: Event = serde_json::from_str(&message.data).context("the daemon sent no event")?;
            if event.number > last {
                self.print(&event)?;
            }
        }
        Err(anyhow!("the daemon has ended"))
    }

    fn query(&self) -> anyhow::Result<String> {
        let moment = |when: &Option<String>| when.as_deref().map(moment).transpose();
        let parameters = [
            ("host", self.host.clone()),
            ("rule", self.rule.clone()),
            ("certificate", self.certificate.clone()),
            (
                "action",
                self.action.and_then(|action| action.to_possible_value()).map(|value| value.get_name().to_owned()),
            ),
            ("since", moment(&self.since)?),
            ("until", moment(&self.until)?),
        ];
        let given = parameters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish())
    }

    fn print(&self, event: &Event) -> anyhow::Result<()> {
        if self.zone.remote.json {
            return print::line(format_args!("{}", serde_json::to_string(event)?));
        }
        let by = match (&event.rule, event.logged.as_slice()) {
            (Some(rule), _) => format!("rule {rule}"),
            (None, [rule, ..]) => format!("rule {rule}"),
            (None, []) => event.reason.clone(),
        };
        let certificate = event.certificate.as_ref();
        let certificate = certificate.map_or_else(
            || "no certificate".to_owned(),
            |certificate| {
                let state = match (certificate.verified, certificate.revoked) {
                    (_, true) => "revoked",
                    (true, false) => "valid",
                    (false, false) => "not valid",
                };
                format!("{} ({state})", certificate.subject)
            },
        );
        let line = format!(
            "{} {} {} {} {}{} {} {by} {certificate} ray {}",
            event.time, event.action, event.client, event.method, event.host, event.path, event.status, event.ray_id
        );
        print::line(format_args!("{}", print::harmless(&line)))
    }
}

/// The newest `limit` events, oldest first.
async fn newest(client: &Client, path: &str, limit: usize) -> anyhow::Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    let mut cursor = String::new();
    while events.len() < limit {
        let wanted = limit.saturating_sub(events.len()).min(PART);
        let (part, after): (Vec<Event>, _) = client.part(&format!("{path}&limit={wanted}&cursor={cursor}")).await?;
        events.extend(part);
        match after {
            Some(after) => cursor = after,
            None => break,
        }
    }
    events.reverse();
    Ok(events)
}

/// A moment for the API, of a moment or of a while before now.
fn moment(when: &str) -> anyhow::Result<String> {
    let moment = match humantime::parse_duration(when) {
        Ok(ago) => {
            let ago = time::Duration::try_from(ago).ok();
            ago.and_then(|ago| OffsetDateTime::now_utc().checked_sub(ago))
                .with_context(|| format!("{when} ago is before the calendar begins"))?
        }
        Err(_) => humantime::parse_rfc3339_weak(when).map(OffsetDateTime::from).with_context(|| {
            format!("`{when}` is neither a moment like 2026-11-24T12:00:00Z nor a while like 15min")
        })?,
    };
    Ok(moment.format(&Rfc3339)?)
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_moment_is_given_by_itself_or_by_how_long_ago() {
        assert_eq!(moment("2026-11-24T12:00:00Z").unwrap(), "2026-11-24T12:00:00Z");
        assert_eq!(moment("2026-11-24 12:00:00").unwrap(), "2026-11-24T12:00:00Z");
        assert!(
            moment("0s").unwrap() > moment("15min").unwrap() && moment("15min").unwrap() > moment("2days").unwrap()
        );
        for wrong in ["yesterday", "", "10000000000years", "12:00"] {
            let error = moment(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong), "{wrong}: {error}");
        }
    }
}
