//! `mtls-filter top`: what happens now, by host and by reason.

mod rates;
mod screen;

use std::time::{Duration, Instant};

use clap::Args;

use self::rates::Rates;
use super::client::Client;
use super::{RemoteArgs, print};
use crate::control::api::dto::Status;

/// Shows what happens now, by host and by reason, until `q` is pressed.
#[derive(Debug, Args)]
pub(super) struct TopArgs {
    /// From one look to the next, like `500ms` or `2s`.
    #[arg(long, value_parser = interval, default_value = "1s")]
    interval: Duration,
    /// Prints what happened in one interval, and ends; with `--json` for programs.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// A rate over less says little, and over more is nothing to wait for.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_millis(100)..=Duration::from_secs(60);
    if allowed.contains(&interval) { Ok(interval) } else { Err("it is 100ms to 60s".to_owned()) }
}

/// What the daemon said, and when.
struct Look {
    status: Status,
    at: Instant,
}

impl Look {
    async fn at(client: &Client) -> anyhow::Result<Self> {
        let status = client.get("/api/v1/status").await?;
        Ok(Self { status, at: Instant::now() })
    }

    /// What happened since `before`.
    fn since(&self, before: &Self) -> Rates {
        Rates::between(&before.status, &self.status, self.at.saturating_duration_since(before.at))
    }
}

impl TopArgs {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let client = Client::new(&self.remote.socket);
        let before = Look::at(&client).await?;
        if !self.once && !self.remote.json {
            return screen::show(&client, before, self.interval).await;
        }
        tokio::time::sleep(self.interval).await;
        let rates = Look::at(&client).await?.since(&before);
        if self.remote.json {
            return print::json(&rates);
        }
        print::line(format_args!("{}", rates.summary))?;
        print::line(format_args!(""))?;
        let hosts: Vec<_> = rates.hosts.iter().map(rates::HostRate::cells).collect();
        print::table(rates::HOST_HEADINGS, &hosts)?;
        print::line(format_args!(""))?;
        let reasons: Vec<_> = rates.reasons.iter().map(rates::ReasonRate::cells).collect();
        print::table(rates::REASON_HEADINGS, &reasons)
    }
}
