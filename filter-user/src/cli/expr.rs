//! `mtls-filter expr`: the rule language by itself, without a daemon.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use filter_rules::limits::EXPRESSION_BYTES_MAX;
use filter_rules::{Expression, FactSet, Lists, Residual};

use super::print;

/// The rule language by itself. Each command takes the expression as an argument, or `-` to read it from standard input.
#[derive(Debug, Subcommand)]
pub(super) enum ExprCommand {
    /// Says whether an expression is one: `ok: Bool`, or the error with its place and exit code 1.
    Check(Source),
    /// Evaluates an expression: prints `true` or `false`. A fact that is not given is missing.
    Eval(WithFacts),
    /// Says what is certain when only some facts are known: `false`, `true`, networks, or `unknown`. A fact that is not given is unknown.
    Residual(WithFacts),
    /// Says why an expression is true or false: each comparison, and the value it saw.
    Explain(WithFacts),
    /// Prints the tree of an expression as JSON.
    Ast(Source),
    /// Prints an expression in its canonical form.
    Fmt(Source),
    /// Lists the fields.
    Fields,
}

#[derive(Debug, Args)]
pub(super) struct Source {
    /// The expression, or `-` for standard input.
    #[arg(allow_hyphen_values = true)]
    expression: String,
}

#[derive(Debug, Args)]
pub(super) struct WithFacts {
    #[command(flatten)]
    source: Source,
    /// A file of facts, such as {"http.host": "a", "cf.tls_client_auth.cert_verified": true}.
    #[arg(long, value_name = "FILE")]
    facts: PathBuf,
}

impl ExprCommand {
    pub(super) fn execute(self) -> anyhow::Result<ExitCode> {
        let (source, facts) = match &self {
            Self::Check(source) | Self::Ast(source) | Self::Fmt(source) => (source, FactSet::default()),
            Self::Eval(args) | Self::Residual(args) | Self::Explain(args) => (&args.source, read_facts(&args.facts)?),
            Self::Fields => {
                print::text(format_args!("{}", filter_rules::fields_table()))?;
                return Ok(ExitCode::SUCCESS);
            }
        };
        let text = source.read()?;
        let expression = match Expression::parse(&text) {
            Ok(expression) => expression,
            Err(error) => {
                print::text(format_args!("{error}"))?;
                if let Some(hint) = error.hint().filter(|_| io::stdout().is_terminal()) {
                    print::line(format_args!("help: {hint}"))?;
                }
                return Ok(ExitCode::FAILURE);
            }
        };
        let answer = match self {
            Self::Check(_) => "ok: Bool\n".to_owned(),
            Self::Eval(_) => format!("{}\n", expression.explain(&facts, &no_lists(&expression)?).result),
            Self::Residual(_) => format!("{}\n", shown(&expression.residual(&facts, &no_lists(&expression)?))),
            Self::Explain(_) => expression.explain(&facts, &no_lists(&expression)?).to_string(),
            Self::Ast(_) => format!("{}\n", serde_json::to_string_pretty(&expression.to_json())?),
            Self::Fmt(_) => format!("{expression}\n"),
            Self::Fields => String::new(),
        };
        print::text(format_args!("{answer}"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Source {
    fn read(&self) -> anyhow::Result<String> {
        if self.expression != "-" {
            return Ok(self.expression.clone());
        }
        // One byte more than the limit is enough for the parser to say what is wrong.
        let mut bytes = Vec::new();
        io::stdin().lock().take(EXPRESSION_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).context("standard input")?;
        let text = String::from_utf8(bytes).context("standard input is not UTF-8")?;
        Ok(text.strip_suffix('\n').map_or(text.clone(), |line| line.strip_suffix('\r').unwrap_or(line).to_owned()))
    }
}

/// Lists live in the store of a daemon, which these commands do without.
fn no_lists(expression: &Expression) -> anyhow::Result<Lists> {
    let lists = Lists::default();
    match expression.list_problems(&lists).first() {
        Some(problem) => bail!("{problem}: lists are known to the daemon only; ask it with `mtls-filter explain`"),
        None => Ok(lists),
    }
}

pub(super) fn read_facts(path: &Path) -> anyhow::Result<FactSet> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    FactSet::from_json(&text).with_context(|| path.display().to_string())
}

fn shown(residual: &Residual) -> String {
    match residual {
        Residual::False => "false".to_owned(),
        Residual::True => "true".to_owned(),
        Residual::Networks(networks) => networks.to_string(),
        Residual::Unknown => "unknown".to_owned(),
    }
}
