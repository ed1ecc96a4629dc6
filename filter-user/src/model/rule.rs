//! Rules as they are written down; their meaning is `filter-rules`' affair.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{FilterId, RuleId, RulesetId, ZoneId};
use super::timestamp::Timestamp;

/// The rules of one zone, in the order they are evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    /// The id the API gives the list.
    pub id: RulesetId,
    /// The zone it belongs to.
    pub zone: ZoneId,
    /// Name for people.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// One more than before at each modification.
    pub version: u64,
    /// When it was modified last.
    pub modified: Timestamp,
    /// The rules, first one first.
    pub rules: Vec<Arc<RuleRecord>>,
}

impl Ruleset {
    /// Place of a rule in the list.
    pub fn position(&self, id: RuleId) -> Option<usize> {
        self.rules.iter().position(|rule| rule.id == id)
    }

    /// A rule of the list.
    pub fn rule(&self, id: RuleId) -> Option<&Arc<RuleRecord>> {
        self.rules.iter().find(|rule| rule.id == id)
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    /// Its id.
    pub id: RuleId,
    /// A name that stays when the rule is replaced; the id unless the client chose one.
    pub reference: String,
    /// One more than before at each modification of the rule, not at a move.
    pub version: u64,
    /// The name the rule has for people.
    pub description: String,
    /// When it matches.
    pub expression: String,
    /// What happens then.
    pub action: RuleAction,
    /// Whether it is evaluated at all.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was modified last.
    pub modified: Timestamp,
    /// What only the older firewall API knows of it; gone when the rule is written by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<Legacy>,
}

/// What a rule of the older firewall API has beside the rule itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legacy {
    /// The filter whose expression it has.
    pub filter: FilterId,
    /// Lower is earlier; none is last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Whether the rule itself is paused. It is not evaluated then, and neither when its filter is paused.
    pub paused: bool,
}

/// An expression by itself, which rules of the older firewall API refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRecord {
    /// Its id.
    pub id: FilterId,
    /// The zone.
    pub zone: ZoneId,
    /// The expression.
    pub expression: String,
    /// Text for people.
    #[serde(default)]
    pub description: String,
    /// A name that the client chose.
    #[serde(default)]
    pub reference: String,
    /// Whether rules that refer to it are not evaluated.
    #[serde(default)]
    pub paused: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it was modified last.
    pub modified: Timestamp,
}

/// What a matching rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum RuleAction {
    /// Answers instead of the upstream.
    Block {
        /// The answer, if not the standard page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        response: Option<BlockResponse>,
    },
    /// Writes an event and goes on.
    Log,
    /// Leaves the rule set.
    Skip,
}

impl RuleAction {
    /// Block with the standard page.
    pub const BLOCK: Self = Self::Block { response: None };

    /// The action's name in the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Block { .. } => "block",
            Self::Log => "log",
            Self::Skip => "skip",
        }
    }
}

/// A custom answer to a blocked request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockResponse {
    /// 400 to 499.
    pub status_code: u16,
    /// One of [`BlockResponse::CONTENT_TYPES`].
    pub content_type: String,
    /// The body.
    pub content: String,
}

impl BlockResponse {
    /// Content types that a custom answer may have.
    pub const CONTENT_TYPES: [&'static str; 4] = ["text/html", "text/plain", "application/json", "text/xml"];
}
