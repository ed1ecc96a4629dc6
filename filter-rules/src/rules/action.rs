//! What a rule does when it is true.

use std::fmt;

use crate::limits::{BLOCK_BODY_BYTES_MAX, BLOCK_STATUS_RANGE};

/// What a rule does when it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Answer with an error instead of proxying: the custom response, or the default block page.
    Block(Option<BlockResponse>),
    /// Record the match and go on.
    Log,
    /// Leave out the rest of the rule set.
    Skip,
}

/// Names of Cloudflare's other actions, which this filter refuses by name.
const UNSUPPORTED: &[&str] = &[
    "allow",
    "bypass",
    "challenge",
    "compress_response",
    "ddos_dynamic",
    "execute",
    "force_connection_close",
    "js_challenge",
    "log_custom_field",
    "managed_challenge",
    "redirect",
    "rewrite",
    "route",
    "score",
    "serve_error",
    "set_cache_control",
    "set_cache_settings",
    "set_cache_tags",
    "set_config",
];

/// Why an action is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// One of Cloudflare's actions that this filter does not have.
    #[error("action {0:?} is one of Cloudflare's, but this filter does not have it; it has `block`, `log` and `skip`")]
    Unsupported(String),
    /// Not an action.
    #[error("there is no action {0:?}; there are `block`, `log` and `skip`")]
    Unknown(String),
    /// A response on an action that does not answer.
    #[error("a custom response belongs to action `block`, not to {0:?}")]
    ResponseWithoutBlock(String),
    /// A status that is no client error.
    #[error("status {0} of a custom response is not between 400 and 499")]
    Status(u16),
    /// A body longer than the limit.
    #[error("body of a custom response has {0} bytes, but the limit is {BLOCK_BODY_BYTES_MAX}")]
    Body(usize),
    /// A content type the answer may not have.
    #[error("content type {0:?} of a custom response is none of text/html, text/plain, application/json, text/xml")]
    ContentType(String),
}

impl Action {
    /// The action of a name, as the API and the CLI take it.
    ///
    /// # Errors
    ///
    /// When this filter has no such action, or the response does not belong to it.
    pub fn from_name(name: &str, response: Option<BlockResponse>) -> Result<Self, ActionError> {
        match (name, response) {
            ("block", response) => Ok(Self::Block(response)),
            ("log" | "skip", Some(_)) => Err(ActionError::ResponseWithoutBlock(name.to_owned())),
            ("log", None) => Ok(Self::Log),
            ("skip", None) => Ok(Self::Skip),
            _ if UNSUPPORTED.contains(&name) => Err(ActionError::Unsupported(name.to_owned())),
            _ => Err(ActionError::Unknown(name.to_owned())),
        }
    }

    /// The name, as the API and the CLI take it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::Log => "log",
            Self::Skip => "skip",
        }
    }

    /// Whether no later rule is looked at after a match.
    #[must_use]
    pub const fn is_terminating(&self) -> bool {
        match self {
            Self::Block(_) | Self::Skip => true,
            Self::Log => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The answer a `block` rule gives instead of the default page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockResponse {
    status: u16,
    content_type: ContentType,
    body: Box<str>,
}

impl BlockResponse {
    /// A response; Cloudflare's bounds hold.
    ///
    /// # Errors
    ///
    /// When the status is not 400 to 499 or the body longer than [`BLOCK_BODY_BYTES_MAX`].
    pub fn new(status: u16, content_type: ContentType, body: &str) -> Result<Self, ActionError> {
        if !BLOCK_STATUS_RANGE.contains(&status) {
            return Err(ActionError::Status(status));
        }
        if body.len() > BLOCK_BODY_BYTES_MAX {
            return Err(ActionError::Body(body.len()));
        }
        Ok(Self { status, content_type, body: body.into() })
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The media type of the body.
    #[must_use]
    pub const fn content_type(&self) -> ContentType {
        self.content_type
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// The media type of a custom response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `text/html`
    Html,
    /// `text/plain`
    Plain,
    /// `application/json`
    Json,
    /// `text/xml`
    Xml,
}

impl ContentType {
    /// The media type as it stands in a header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::Plain => "text/plain",
            Self::Json => "application/json",
            Self::Xml => "text/xml",
        }
    }
}

impl std::str::FromStr for ContentType {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, ActionError> {
        [Self::Html, Self::Plain, Self::Json, Self::Xml]
            .into_iter()
            .find(|content_type| content_type.as_str() == text)
            .ok_or_else(|| ActionError::ContentType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_within_cloudflares_bounds() {
        let response = |status, length: usize| BlockResponse::new(status, ContentType::Plain, &"x".repeat(length));
        for status in [400, 499] {
            assert_eq!(response(status, 0).unwrap().status(), status);
        }
        for status in [399, 500, 0, u16::MAX] {
            assert_eq!(response(status, 0), Err(ActionError::Status(status)));
        }
        assert!(response(403, BLOCK_BODY_BYTES_MAX).is_ok());
        assert_eq!(response(403, BLOCK_BODY_BYTES_MAX + 1), Err(ActionError::Body(BLOCK_BODY_BYTES_MAX + 1)));
        assert_eq!("text/xml".parse(), Ok(ContentType::Xml));
        assert_eq!("text/css".parse::<ContentType>(), Err(ActionError::ContentType("text/css".to_owned())));
    }

    #[test]
    fn actions_this_filter_does_not_have_are_refused_by_name() {
        assert_eq!(Action::from_name("block", None), Ok(Action::Block(None)));
        assert_eq!(Action::from_name("log", None), Ok(Action::Log));
        assert_eq!(Action::from_name("skip", None), Ok(Action::Skip));
        for name in UNSUPPORTED {
            assert_eq!(Action::from_name(name, None), Err(ActionError::Unsupported((*name).to_owned())));
        }
        assert_eq!(Action::from_name("Block", None), Err(ActionError::Unknown("Block".to_owned())));
        let response = BlockResponse::new(403, ContentType::Json, "{}").ok();
        assert_eq!(Action::from_name("log", response), Err(ActionError::ResponseWithoutBlock("log".to_owned())));
    }
}
