//! Firewall rules of the time before rule sets: another order of evaluation, converted when they are written.

use super::{Action, RuleSpec};

/// A rule of Cloudflare's former firewall rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyRule {
    /// Identifies the rule.
    pub id: String,
    /// What people call it.
    pub description: String,
    /// The source of the expression.
    pub expression: String,
    /// `log`, `bypass`, `allow`, `challenge`, `managed_challenge`, `js_challenge` or `block`.
    pub action: String,
    /// Lower is earlier; none is last.
    pub priority: Option<u32>,
    /// Whether the rule is not looked at.
    pub paused: bool,
}

/// Why a legacy rule cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LegacyError {
    /// This filter cannot challenge.
    #[error("rule {id}: action {action:?} needs a challenge page, which this filter does not have; use `block`")]
    Challenge {
        /// The rule.
        id: String,
        /// Its action.
        action: String,
    },
    /// Not an action of firewall rules.
    #[error("rule {id}: there is no action {action:?} in firewall rules")]
    UnknownAction {
        /// The rule.
        id: String,
        /// Its action.
        action: String,
    },
}

/// The order of actions among rules of one priority.
const PRECEDENCE: &[&str] = &["log", "bypass", "allow", "challenge", "managed_challenge", "js_challenge", "block"];

/// Puts legacy rules in the order in which a rule set says the same as they did: by priority, then by action, then as given.
///
/// `allow` ended evaluation, and becomes `skip`. `bypass` exempted from products this filter does not have and did not end
/// evaluation; it becomes `log`, so that its matches stay visible.
///
/// # Errors
///
/// Every rule that cannot be converted.
pub fn convert_legacy(mut rules: Vec<LegacyRule>) -> Result<Vec<RuleSpec>, Vec<LegacyError>> {
    let precedence = |action: &str| PRECEDENCE.iter().position(|known| *known == action);
    rules.sort_by_key(|rule| (rule.priority.is_none(), rule.priority, precedence(&rule.action)));
    let (mut specs, mut errors) = (Vec::with_capacity(rules.len()), Vec::new());
    for LegacyRule { id, description, expression, action, paused, .. } in rules {
        let action = match action.as_str() {
            "block" => Action::Block(None),
            "log" | "bypass" => Action::Log,
            "allow" => Action::Skip,
            "challenge" | "managed_challenge" | "js_challenge" => {
                errors.push(LegacyError::Challenge { id, action });
                continue;
            }
            _ => {
                errors.push(LegacyError::UnknownAction { id, action });
                continue;
            }
        };
        specs.push(RuleSpec { id, name: description, expression, action, enabled: !paused });
    }
    if errors.is_empty() { Ok(specs) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str, action: &str, priority: Option<u32>) -> LegacyRule {
        LegacyRule {
            id: id.to_owned(),
            description: String::new(),
            expression: "ssl".to_owned(),
            action: action.to_owned(),
            priority,
            paused: false,
        }
    }

    #[test]
    fn legacy_rules_go_by_priority_then_action_then_as_given() {
        let converted = convert_legacy(vec![
            rule("block-none", "block", None),
            rule("allow-none", "allow", None),
            rule("block-2", "block", Some(2)),
            rule("log-none", "log", None),
            rule("allow-2", "allow", Some(2)),
            rule("block-1", "block", Some(1)),
            rule("bypass-2", "bypass", Some(2)),
            rule("block-none-later", "block", None),
        ])
        .unwrap();
        let order: Vec<_> = converted.iter().map(|spec| (spec.id.as_str(), spec.action.name())).collect();
        assert_eq!(
            order,
            [
                ("block-1", "block"),
                ("bypass-2", "log"),
                ("allow-2", "skip"),
                ("block-2", "block"),
                ("log-none", "log"),
                ("allow-none", "skip"),
                ("block-none", "block"),
                ("block-none-later", "block"),
            ]
        );
    }

    #[test]
    fn paused_rules_stay_and_are_disabled() {
        let paused = LegacyRule { paused: true, ..rule("p", "block", None) };
        assert!(!convert_legacy(vec![paused]).unwrap()[0].enabled);
    }

    #[test]
    fn every_rule_that_cannot_be_converted_is_named() {
        let errors = convert_legacy(vec![rule("a", "challenge", None), rule("b", "block", None), rule("c", "x", None)]);
        assert_eq!(
            errors,
            Err(vec![
                LegacyError::UnknownAction { id: "c".to_owned(), action: "x".to_owned() },
                LegacyError::Challenge { id: "a".to_owned(), action: "challenge".to_owned() },
            ])
        );
    }
}
