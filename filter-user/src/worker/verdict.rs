//! The verdict on a request. Only this module can make a [`Permit`], and nothing goes upstream without one.

use filter_rules::{BlockResponse, Facts, RuleSet};

/// Permission to send one request upstream: consumed by sending it.
#[derive(Debug)]
pub(super) struct Permit(());

/// What the rules say about a request.
pub(super) struct Verdict {
    pub(super) action: Action,
    /// Id of the rule that decided.
    pub(super) rule: Option<String>,
    /// Ids of the `log` rules that matched before.
    pub(super) logged: Vec<String>,
}

/// What happens to a request.
pub(super) enum Action {
    /// It goes upstream.
    Permit(Permit),
    /// It is answered with the response of the rule, or with the block page.
    Block(Option<BlockResponse>),
}

/// Evaluates the rules in their order; the first terminating one that matches wins, and without one the request is permitted.
pub(super) fn decide(rules: &RuleSet, facts: &impl Facts) -> Verdict {
    let outcome = rules.evaluate(facts);
    let action = match outcome.block() {
        Some(response) => Action::Block(response.cloned()),
        None => Action::Permit(Permit(())),
    };
    Verdict {
        action,
        rule: outcome.decided_by.map(|rule| rule.id().to_owned()),
        logged: outcome.logged.iter().map(|rule| rule.id().to_owned()).collect(),
    }
}
