//! Rule sets: rules in order, compiled together.

mod action;
mod index;
mod legacy;

pub use action::{Action, ActionError, BlockResponse, ContentType};
pub use legacy::{LegacyError, LegacyRule, convert_legacy};

use std::fmt;
use std::sync::Arc;

use self::index::HostIndex;
use crate::error::ParseError;
use crate::expression::{Expression, ListProblem};
use crate::facts::Facts;
use crate::host::normalise_host;
use crate::limits::{REGEX_BYTES_MAX, REGEXES_MAX, RULES_MAX};
use crate::lists::Lists;
use crate::program::{Builder, Program, Shared};

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSpec {
    /// Identifies the rule in events and in the API.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The source of the expression.
    pub expression: String,
    /// What happens when the expression is true.
    pub action: Action,
    /// Whether the rule is looked at. A disabled rule is checked all the same.
    pub enabled: bool,
}

/// A rule of a compiled set.
#[derive(Debug)]
pub struct Rule {
    index: usize,
    id: Box<str>,
    name: Box<str>,
    action: Action,
    enabled: bool,
    expression: Expression,
    program: Program,
    lists: Arc<Lists>,
}

impl Rule {
    /// Position in the rule set, counted from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Identifies the rule in events and in the API.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happens when the expression is true.
    #[must_use]
    pub const fn action(&self) -> &Action {
        &self.action
    }

    /// Whether the rule is looked at.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The expression.
    #[must_use]
    pub const fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The lists the rule was compiled with.
    pub(crate) fn lists(&self) -> &Lists {
        &self.lists
    }
}

/// Why a rule cannot be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleProblem {
    /// Its expression does not parse.
    #[error("{0}")]
    Parse(ParseError),
    /// It uses a list that is unknown or of the wrong type.
    #[error("{0}")]
    List(ListProblem),
    /// Another rule before it has the same identifier.
    #[error("another rule has the same id")]
    DuplicateId,
}

/// Why a rule set cannot be compiled: everything that is wrong, not just the first thing.
#[derive(Clone, Debug, PartialEq)]
pub struct CompileError {
    /// Each rule that cannot be compiled: its position, its id, and why.
    pub rules: Vec<(usize, String, RuleProblem)>,
    /// What is wrong with the set as a whole.
    pub set: Vec<SetProblem>,
}

/// What is wrong with a rule set as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetProblem {
    /// More rules than the limit.
    #[error("rule set has {0} rules, but the limit is {RULES_MAX}")]
    Rules(usize),
    /// More distinct regular expressions than the limit.
    #[error("rule set has {0} different regular expressions, but the limit is {REGEXES_MAX}")]
    Regexes(usize),
    /// The regular expressions take more memory than the limit.
    #[error("the regular expressions of the rule set take {0} bytes, but the limit is {REGEX_BYTES_MAX}")]
    RegexBytes(usize),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.set {
            writeln!(f, "{problem}")?;
        }
        for (index, id, problem) in &self.rules {
            writeln!(f, "rule {} ({id}): {}", index.saturating_add(1), problem.to_string().trim_end())?;
        }
        Ok(())
    }
}

impl std::error::Error for CompileError {}

/// Rules in order, compiled together. The first terminating rule that is true decides.
///
/// Shared by reference between threads, or cloned for each: a clone shares everything but the search caches of regular
/// expressions, so that workers with a clone of their own never wait for each other.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Arc<[Rule]>,
    index: Arc<HostIndex>,
    shared: Shared,
}

/// What a rule set says about a request.
#[derive(Debug, Default)]
pub struct Outcome<'r> {
    /// The terminating rule that decided; `None` when none was true, which means the request is allowed.
    pub decided_by: Option<&'r Rule>,
    /// The `log` rules that were true before that, in order.
    pub logged: Vec<&'r Rule>,
}

impl<'r> Outcome<'r> {
    /// The response of the rule that blocks the request: `None` when nothing blocks it, `Some(None)` for the default page.
    #[must_use]
    pub fn block(&self) -> Option<Option<&'r BlockResponse>> {
        match self.decided_by?.action() {
            Action::Block(response) => Some(response.as_ref()),
            Action::Log | Action::Skip => None,
        }
    }
}

impl RuleSet {
    /// Compiles rules with the lists they use.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of the rules, disabled ones too, and with the set as a whole.
    pub fn compile(specs: Vec<RuleSpec>, lists: &Lists) -> Result<Self, CompileError> {
        let mut error = CompileError { rules: Vec::new(), set: Vec::new() };
        if specs.len() > RULES_MAX {
            error.set.push(SetProblem::Rules(specs.len()));
            return Err(error);
        }
        let shared_lists = Arc::new(lists.clone());
        let mut builder = Builder::new(Arc::clone(&shared_lists));
        let mut rules: Vec<Rule> = Vec::with_capacity(specs.len());
        let mut ids = std::collections::HashSet::new();
        for (index, spec) in specs.into_iter().enumerate() {
            if !ids.insert(spec.id.clone()) {
                error.rules.push((index, spec.id.clone(), RuleProblem::DuplicateId));
            }
            let expression = match Expression::parse(&spec.expression) {
                Ok(expression) => expression,
                Err(parse) => {
                    error.rules.push((index, spec.id, RuleProblem::Parse(parse)));
                    continue;
                }
            };
            let problems = expression.list_problems(lists);
            error
                .rules
                .extend(problems.into_iter().map(|problem| (index, spec.id.clone(), RuleProblem::List(problem))));
            let RuleSpec { id, name, action, enabled, .. } = spec;
            let program = builder.compile(expression.root());
            let lists = Arc::clone(&shared_lists);
            rules.push(Rule { index, id: id.into(), name: name.into(), action, enabled, expression, program, lists });
        }
        error.set.extend(regex_problems(&builder));
        if !error.rules.is_empty() || !error.set.is_empty() {
            return Err(error);
        }
        let index = Arc::new(HostIndex::new(&rules));
        Ok(Self { rules: rules.into(), index, shared: builder.finish() })
    }

    /// The rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The enabled rules that are not certainly false for every request to a host, in order: a superset of those that can be
    /// true, found without looking at the others. [`Rule::residual`] tells more about each.
    pub fn rules_for_host(&self, host: &str) -> impl Iterator<Item = &Rule> {
        let host = normalise_host(host);
        self.index.candidates_for(Some(host.as_bytes())).filter_map(|position| self.rules.get(position))
    }

    /// What the rules say about a request.
    #[must_use]
    pub fn evaluate<F: Facts + ?Sized>(&self, facts: &F) -> Outcome<'_> {
        let mut outcome = Outcome::default();
        for position in self.index.candidates(facts) {
            let Some(rule) = self.rules.get(position) else { continue };
            if !rule.program.matches(facts, &self.shared) {
                continue;
            }
            if rule.action.is_terminating() {
                outcome.decided_by = Some(rule);
                break;
            }
            outcome.logged.push(rule);
        }
        outcome
    }
}

fn regex_problems(builder: &Builder) -> Vec<SetProblem> {
    let (count, bytes) = builder.regex_usage();
    let mut problems = Vec::new();
    if count > REGEXES_MAX {
        problems.push(SetProblem::Regexes(count));
    }
    if bytes > REGEX_BYTES_MAX {
        problems.push(SetProblem::RegexBytes(bytes));
    }
    problems
}
