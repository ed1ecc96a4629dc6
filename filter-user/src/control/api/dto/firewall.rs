//! Filters and firewall rules, as Cloudflare's older API has them.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One thing or several: the documents say several, and the SDKs send one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// Several.
    Many(Vec<T>),
    /// One.
    One(T),
}

/// By hand: what serde makes of an untagged enum says nothing of what is wrong.
impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = if value.is_array() {
            objects(value).map(Self::Many)
        } else {
            serde_json::from_value(value).map(Self::One)
        };
        read.map_err(D::Error::custom)
    }
}

impl<T> OneOrMany<T> {
    /// As several.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(many) => many,
            Self::One(one) => vec![one],
        }
    }
}

/// The definition of a filter.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterBody {
    /// The filter that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether rules that refer to it are not evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// A name of the client's.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A filter.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Filter {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The expression.
    pub expression: String,
    /// Text for people.
    pub description: String,
    /// Whether rules that refer to it are not evaluated.
    pub paused: bool,
    /// A name of the client's.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A filter that is gone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeletedFilter {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Always true.
    pub deleted: bool,
}

/// The filter of a rule, as it is or as it was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ShownFilter {
    /// It is there.
    There(Filter),
    /// It is gone.
    Deleted(DeletedFilter),
}

/// What a rule does: its name, or an object with it as the SDKs send it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum FirewallAction {
    /// `block`, `allow`, `log`.
    Name(String),
    /// The same, as the SDKs send it.
    Mode {
        /// `block`, `allow`, `log`.
        mode: String,
    },
}

impl FirewallAction {
    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Mode { mode: name } => name,
        }
    }
}

/// Things that are objects each.
fn objects<T: DeserializeOwned>(value: Value) -> Result<Vec<T>, serde_json::Error> {
    match value.as_array().is_some_and(|items| items.iter().all(Value::is_object)) {
        true => serde_json::from_value(value),
        false => Err(serde_json::Error::custom("expected an array of objects")),
    }
}

/// By hand, for the same reason.
impl<'de> Deserialize<'de> for FirewallAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        // What stands beside the mode, such as a response, would be forgotten: it is not taken.
        let alone = || value.as_object().filter(|fields| fields.len() == 1);
        let named = value.as_str().or_else(|| alone()?.get("mode")?.as_str());
        let expected = "an action is its name, or an object with it as `mode` and nothing else";
        let named = named.ok_or_else(|| D::Error::custom(expected));
        named.map(|name| Self::Name(name.to_owned()))
    }
}

/// The definition of a firewall rule.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallRuleBody {
    /// The rule that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<FirewallAction>,
    /// When it matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterBody>,
    /// Lower is earlier; none is last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Whether it is not evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A name of the client's.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Must be empty: there are no products to bypass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub products: Option<Vec<String>>,
}

/// A firewall rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct FirewallRule {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `block`, `allow` or `log`.
    pub action: String,
    /// Its name.
    pub description: String,
    /// When it matches.
    pub filter: ShownFilter,
    /// Whether it is not evaluated.
    pub paused: bool,
    /// Lower is earlier; null is last.
    pub priority: Option<u32>,
    /// A name of the client's.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A firewall rule that is gone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeletedFirewallRule {
    /// 32 hexadecimal digits.
    pub id: String,
}
