//! Rule sets, as Cloudflare's Rulesets API has them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rule set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Ruleset {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// `zone`.
    pub kind: String,
    /// `http_request_firewall_custom`.
    pub phase: String,
    /// One more than before at each modification.
    pub version: String,
    /// RFC 3339.
    pub last_updated: String,
    /// Its rules, in order; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RulesetRule>>,
}

/// A rule of a rule set.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RulesetRule {
    /// 32 hexadecimal digits.
    pub id: String,
    /// One more than before at each modification of the rule.
    pub version: String,
    /// `block`, `log` or `skip`.
    pub action: String,
    /// More about the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_parameters: Option<ActionParameters>,
    /// Its expression.
    pub expression: String,
    /// Its name.
    pub description: String,
    /// RFC 3339.
    pub last_updated: String,
    /// A name that stays when the rule is replaced.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether it is evaluated.
    pub enabled: bool,
}

/// More about an action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionParameters {
    /// For `block`: what a blocked client gets in place of the block page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<BlockResponse>,
    /// For `skip`: `current`, which is the only rule set there is to skip the rest of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruleset: Option<String>,
}

/// A response of its own for what a rule blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockResponse {
    /// 400 to 499.
    pub status_code: u16,
    /// `text/html`, `text/plain`, `application/json` or `text/xml`.
    pub content_type: String,
    /// The body, at most 2 KB.
    pub content: String,
}

/// Whether matches are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    /// True for `block` and `log`, false for `skip`; anything else is refused.
    pub enabled: bool,
}

/// The definition of a rule.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleBody {
    /// The rule it replaces, in a list of rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A name that stays when the rule is replaced; the id by default.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// `block`, `log` or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// More about the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_parameters: Option<ActionParameters>,
    /// Its expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is evaluated; true by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether matches are logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Where it goes. Alone, it moves the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// As it was read; does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// As it was read; does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// As it was read; does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
}

/// Where a rule goes: one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Directly before this rule; before all if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Directly after this rule; after all if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// To this place, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

/// Makes the rule set of a zone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRuleset {
    /// Its name.
    pub name: String,
    /// `zone`.
    pub kind: String,
    /// `http_request_firewall_custom`.
    pub phase: String,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its rules, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleBody>>,
}

/// Changes a rule set; what is left out stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateRuleset {
    /// Its rules, in order: replaces all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleBody>>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `zone`, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `http_request_firewall_custom`, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// As it was read; does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// As it was read; does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// As it was read; does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
}
