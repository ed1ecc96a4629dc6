//! From the definition of a rule, as callers write it, to the rule that is stored; and back.

use filter_rules::{Action, ActionError, Expression};

use super::dto;
use super::error::ApiError;
use crate::model::{self, Position, RuleAction, RuleId, RuleRecord, Timestamp};

/// The action of a name, with the response of a blocking one. The pointer leads to what holds both.
pub(super) fn action(
    pointer: &str,
    name: &str,
    response: Option<dto::BlockResponse>,
    response_pointer: &str,
) -> Result<RuleAction, ApiError> {
    let checked = response
        .as_ref()
        .map(|response| {
            let content_type = response.content_type.parse()?;
            filter_rules::BlockResponse::new(response.status_code, content_type, &response.content)
        })
        .transpose()
        .map_err(|error: ActionError| ApiError::invalid(response_pointer, error.to_string()))?;
    let named = Action::from_name(name, checked).map_err(|error| {
        let message = match error {
            // The beginning is what Cloudflare says, for whoever looks for it.
            ActionError::Unsupported(_) | ActionError::Unknown(_) => {
                let shown: String = name.chars().take(100).collect();
                format!("unknown variant for action: {shown}: {error}")
            }
            other => other.to_string(),
        };
        ApiError::invalid(pointer, message)
    })?;
    Ok(match named {
        Action::Block(_) => RuleAction::Block { response: response.map(model::BlockResponse::from) },
        Action::Log => RuleAction::Log,
        Action::Skip => RuleAction::Skip,
        other => return Err(ApiError::invalid(pointer, format!("action {other} cannot be stored"))),
    })
}

/// Checks that an expression parses.
pub(super) fn check_expression(pointer: impl Into<String>, source: &str) -> Result<(), ApiError> {
    // The model would refuse it as well; before that, nobody need parse it.
    if source.len() > model::limits::EXPRESSION_BYTES {
        let limit = model::limits::EXPRESSION_BYTES;
        let message = format!("the expression has {} bytes, and no more than {limit} are accepted", source.len());
        return Err(ApiError::invalid(pointer, message));
    }
    Expression::parse(source).map(drop).map_err(|error| ApiError::expression(pointer, source, &error))
}

/// A new rule.
pub(super) fn new_rule(name: String, expression: String, action: RuleAction, enabled: bool) -> RuleRecord {
    let (id, now) = (RuleId::generate(), Timestamp::now());
    RuleRecord {
        id,
        reference: id.to_string(),
        version: 1,
        description: name,
        expression,
        action,
        enabled,
        created: now,
        modified: now,
        legacy: None,
    }
}

/// A rule by its definition in a rule set. `id` is the one of the rule it replaces, or a new one; `pointer` leads to the definition.
pub(super) fn from_body(pointer: &str, id: RuleId, body: dto::RuleBody) -> Result<RuleRecord, ApiError> {
    let at = |field: &str| format!("{pointer}/{field}");
    let parameters = body.action_parameters.unwrap_or_default();
    let Some(name) = body.action else {
        let is_bare = parameters == dto::ActionParameters::default();
        let message = if is_bare { "action is required" } else { "action is required for action parameters" };
        return Err(ApiError::invalid(at("action"), message));
    };
    let response_pointer = at("action_parameters/response");
    let action = action(&at("action"), &name, parameters.response, &response_pointer)?;
    match (&action, parameters.ruleset.as_deref()) {
        (_, None) | (RuleAction::Skip, Some("current")) => {}
        (RuleAction::Skip, Some(_)) => {
            let message = "`skip` can leave out the rest of the rule set `current`, and nothing else";
            return Err(ApiError::invalid(at("action_parameters/ruleset"), message));
        }
        (RuleAction::Block { .. } | RuleAction::Log, Some(_)) => {
            let message = format!("`ruleset` belongs to action `skip`, not to `{name}`");
            return Err(ApiError::invalid(at("action_parameters/ruleset"), message));
        }
    }
    if body.logging.is_some_and(|logging| logging.enabled == matches!(action, RuleAction::Skip)) {
        let message = "what `block` and `log` match is always logged, and what `skip` matches never is";
        return Err(ApiError::invalid(at("logging"), message));
    }
    let expression = body.expression.ok_or_else(|| ApiError::invalid(at("expression"), "an expression is required"))?;
    check_expression(at("expression"), &expression)?;
    let reference = body.reference.filter(|reference| !reference.is_empty()).unwrap_or_else(|| id.to_string());
    let description = body.description.unwrap_or_default();
    let enabled = body.enabled.unwrap_or(true);
    Ok(RuleRecord { id, reference, ..new_rule(description, expression, action, enabled) })
}

/// Where a rule goes.
pub(super) fn position(pointer: &str, position: &dto::Position) -> Result<Position, ApiError> {
    let rule = |field: &str, text: &str| {
        text.parse::<RuleId>().map_err(|error| ApiError::invalid(format!("{pointer}/{field}"), error.to_string()))
    };
    match (position.before.as_deref(), position.after.as_deref(), position.index) {
        (Some(""), None, None) => Ok(Position::First),
        (Some(before), None, None) => rule("before", before).map(Position::Before),
        (None, Some(""), None) => Ok(Position::Last),
        (None, Some(after), None) => rule("after", after).map(Position::After),
        (None, None, Some(index)) if index >= 1 => Ok(Position::Index(index)),
        (None, None, Some(_)) => Err(ApiError::invalid(format!("{pointer}/index"), "places are counted from 1")),
        _ => Err(ApiError::invalid(pointer, "a position is one of `before`, `after` and `index`")),
    }
}

/// The response of a rule, as the API shows it.
pub(super) fn response(action: &RuleAction) -> Option<dto::BlockResponse> {
    match action {
        RuleAction::Block { response } => response.as_ref().map(dto::BlockResponse::from),
        RuleAction::Log | RuleAction::Skip => None,
    }
}

impl From<dto::BlockResponse> for model::BlockResponse {
    fn from(response: dto::BlockResponse) -> Self {
        let dto::BlockResponse { status_code, content_type, content } = response;
        Self { status_code, content_type, content }
    }
}

impl From<&model::BlockResponse> for dto::BlockResponse {
    fn from(response: &model::BlockResponse) -> Self {
        let model::BlockResponse { status_code, content_type, content } = response.clone();
        Self { status_code, content_type, content }
    }
}
