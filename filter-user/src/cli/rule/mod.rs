//! `mtls-filter rule`.

mod create;
mod edit;
mod response;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::client::{Client, segment};
use super::confirm::Confirmation;
use super::{ZoneArgs, print};
use crate::control::api::dto::{Id, Position, Rule, UpdateRule, Written};

/// Rules. When a command that changes them returns, every worker enforces the change.
#[derive(Debug, Subcommand)]
pub(super) enum RuleCommand {
    /// Creates a rule and deploys it: a mTLS rule by name and hosts, or any expression.
    Create(create::Create),
    /// Lists the rules of a zone, in the order in which they are evaluated.
    List(ZoneArgs),
    /// Shows one rule.
    Show(One),
    /// Changes a rule; what is not given stays.
    Edit(edit::Edit),
    /// Moves a rule to another place in the order of evaluation.
    Move(Move),
    /// Has a rule evaluated.
    Enable(Switch),
    /// Has a rule evaluated no more; it stays where it is.
    Disable(Switch),
    /// Deletes a rule.
    Delete(Delete),
}

/// A rule that is there.
#[derive(Debug, Args)]
pub(super) struct One {
    /// The rule: its id as `rule list` shows it, or its name if no other rule has it.
    rule: String,
    #[command(flatten)]
    zone: ZoneArgs,
}

/// Where a rule goes in the order of evaluation.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Place {
    /// Before all others.
    #[arg(long)]
    first: bool,
    /// After all others.
    #[arg(long)]
    last: bool,
    /// Directly before another rule, by id.
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Directly after another rule, by id.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// To this place, counted from 1.
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
}

/// Whether to make the change at all.
#[derive(Debug, Args)]
struct DryRun {
    /// Checks the change as if it were made, and makes nothing of it.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct Move {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Args)]
pub(super) struct Switch {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    dry_run: DryRun,
}

impl RuleCommand {
    pub(super) async fn execute(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => args.execute().await,
            Self::List(args) => list(&args).await,
            Self::Show(one) => one.show().await,
            Self::Edit(args) => args.execute().await,
            Self::Move(args) => args.execute().await,
            Self::Enable(switch) => switch.set(true).await,
            Self::Disable(switch) => switch.set(false).await,
            Self::Delete(args) => args.execute().await,
        }
    }
}

async fn list(args: &ZoneArgs) -> anyhow::Result<()> {
    let (client, zone) = args.connect().await?;
    let rules: Vec<Rule> = client.get(&format!("/api/v1/zones/{zone}/rules")).await?;
    if args.remote.json {
        return print::json(&rules);
    }
    let rows: Vec<_> = rules
        .into_iter()
        .map(|rule| [rule.id, rule.name, rule.action, state(rule.enabled).to_owned(), rule.expression])
        .collect();
    print::table(["ID", "NAME", "ACTION", "STATE", "EXPRESSION"], &rows)
}

const fn state(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

impl One {
    /// The rule that is meant, and its path.
    async fn find(&self) -> anyhow::Result<(Client, Rule, String)> {
        let (client, zone) = self.zone.connect().await?;
        let path = format!("/api/v1/zones/{zone}/rules");
        let rules: Vec<Rule> = client.get(&path).await?;
        let is_meant = |rule: &Rule| rule.id == self.rule || rule.name == self.rule;
        let mut found: Vec<Rule> = rules.into_iter().filter(is_meant).collect();
        // A name may look like the id of another rule.
        found.sort_by_key(|rule| rule.id != self.rule);
        let by_id = found.first().is_some_and(|rule| rule.id == self.rule);
        match found.len() {
            0 => bail!("there is no rule {:?} in this zone: `rule list` shows them", self.rule),
            2.. if !by_id => bail!("{} rules are named {:?}: say which by its id", found.len(), self.rule),
            _ => {
                let rule = found.swap_remove(0);
                let path = format!("{path}/{}", segment(&rule.id));
                Ok((client, rule, path))
            }
        }
    }

    async fn show(&self) -> anyhow::Result<()> {
        let (_, rule, _) = self.find().await?;
        if self.zone.remote.json {
            return print::json(&rule);
        }
        let response = rule.response.as_ref();
        let response = response.map(|response| format!("{} {}", response.status_code, response.content_type));
        print::record(&[
            ("ID", &rule.id),
            ("NAME", &rule.name),
            ("ACTION", &rule.action),
            ("RESPONSE", response.as_deref().unwrap_or("block page")),
            ("STATE", state(rule.enabled)),
            ("UPDATED", &rule.last_updated),
            ("EXPRESSION", &rule.expression),
        ])
    }

    /// Makes a change of the rule, and says what came of it.
    async fn update(&self, update: &UpdateRule, dry_run: &DryRun) -> anyhow::Result<()> {
        let (client, _, path) = self.find().await?;
        let written: Written<Rule> = client.patch(&format!("{path}{}", dry_run.query()), update).await?;
        print_written(&written, dry_run, self.zone.remote.json)
    }
}

impl Place {
    fn position(&self) -> Option<Position> {
        let (none, empty) = (Position { before: None, after: None, index: None }, || Some(String::new()));
        match self {
            Self { first: true, .. } => Some(Position { before: empty(), ..none }),
            Self { last: true, .. } => Some(Position { after: empty(), ..none }),
            Self { before: Some(id), .. } => Some(Position { before: Some(id.clone()), ..none }),
            Self { after: Some(id), .. } => Some(Position { after: Some(id.clone()), ..none }),
            Self { index: Some(index), .. } => Some(Position { index: Some(*index), ..none }),
            _ => None,
        }
    }
}

impl DryRun {
    const fn query(&self) -> &'static str {
        if self.dry_run { "?dry_run=true" } else { "" }
    }
}

impl Move {
    async fn execute(self) -> anyhow::Result<()> {
        let Some(position) = self.place.position() else {
            bail!("say where to: --first, --last, --before ID, --after ID or --index NUMBER");
        };
        let update = UpdateRule { position: Some(position), ..UpdateRule::default() };
        self.one.update(&update, &self.dry_run).await
    }
}

impl Switch {
    async fn set(self, enabled: bool) -> anyhow::Result<()> {
        let update = UpdateRule { enabled: Some(enabled), ..UpdateRule::default() };
        self.one.update(&update, &self.dry_run).await
    }
}

impl Delete {
    async fn execute(self) -> anyhow::Result<()> {
        let (client, rule, path) = self.one.find().await?;
        if !self.dry_run.dry_run {
            self.confirmation.ask(format_args!("deleting the rule {:?}", rule.name))?;
        }
        let written: Written<Id> = client.delete(&format!("{path}{}", self.dry_run.query())).await?;
        if self.one.zone.remote.json {
            return print::json(&written);
        }
        if self.dry_run.dry_run {
            return print::line(format_args!("{}  could be deleted; nothing was changed", written.value.id));
        }
        print::line(format_args!("{}  deleted (generation {})", written.value.id, written.generation))
    }
}

/// Says what came of a change of a rule.
fn print_written(written: &Written<Rule>, dry_run: &DryRun, json: bool) -> anyhow::Result<()> {
    if json {
        return print::json(written);
    }
    for warning in &written.warnings {
        eprintln!("warning: {}", warning.message);
    }
    let Written { value: rule, generation, .. } = written;
    let outcome = match (dry_run.dry_run, rule.enabled) {
        (true, _) => "could be deployed; nothing was changed".to_owned(),
        (false, true) => format!("deployed as generation {generation}"),
        (false, false) => format!("disabled in generation {generation}"),
    };
    print::line(format_args!("{}  {} {}  ({outcome})", rule.id, rule.action, rule.expression))
}
