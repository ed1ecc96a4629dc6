//! `mtls-filter rule edit`.

use anyhow::bail;
use clap::Args;

use super::response::ResponseArgs;
use super::{DryRun, One, Place};
use crate::control::api::dto::UpdateRule;

#[derive(Debug, Args)]
pub(in super::super) struct Edit {
    #[command(flatten)]
    one: One,
    /// Another name.
    #[arg(long)]
    name: Option<String>,
    /// Another expression.
    #[arg(long)]
    expression: Option<String>,
    /// What happens when the expression is true: block, log or skip.
    #[arg(long)]
    action: Option<String>,
    #[command(flatten)]
    response: ResponseArgs,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Edit {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        let Self { one, name, expression, action, response, place, dry_run } = self;
        let (response, position) = (response.read()?, place.position());
        let update = UpdateRule { name, expression, action, response, enabled: None, position };
        if serde_json::to_value(&update)? == serde_json::json!({}) {
            bail!("say what to change: --name, --expression, --action, --response-status or a place");
        }
        one.update(&update, &dry_run).await
    }
}
