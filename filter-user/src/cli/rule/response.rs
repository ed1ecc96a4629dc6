//! A response of its own for what a rule blocks.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::control::api::dto::BlockResponse;

/// What a blocked client gets in place of the block page.
#[derive(Debug, Args)]
pub(super) struct ResponseArgs {
    /// Status of the response to what is blocked, 400 to 499, in place of the block page.
    #[arg(long, value_name = "STATUS", requires = "response_body")]
    response_status: Option<u16>,
    /// File with the body of that response, at most 2 KB.
    #[arg(long, value_name = "FILE", requires = "response_status")]
    response_body: Option<PathBuf>,
    /// Content type of that response: text/html, text/plain, application/json or text/xml.
    #[arg(long, value_name = "TYPE", default_value = "text/html", requires = "response_status")]
    response_type: String,
}

impl ResponseArgs {
    /// The response, if one is asked for.
    pub(super) fn read(self) -> anyhow::Result<Option<BlockResponse>> {
        let (Some(status_code), Some(path)) = (self.response_status, &self.response_body) else { return Ok(None) };
        let content = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(BlockResponse { status_code, content_type: self.response_type, content }))
    }
}
