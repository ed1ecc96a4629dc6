//! Addresses that the packet plane drops for what they did before.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::caller::Caller;
use super::super::dto::{Envelope, Penalty};
use super::super::error::ApiError;
use super::super::request::Named;
use crate::control::{Control, ControlError};
use crate::kernel::KernelError;
use crate::model::Scope;

/// Lists the addresses that are dropped for a while because their requests were blocked again and again.
#[utoipa::path(get, path = "/api/v1/penalties", tag = "daemon",
    responses((status = 200, body = Envelope<Vec<Penalty>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
) -> Result<Answer<Vec<Penalty>>, ApiError> {
    caller.everywhere(Scope::Read)?;
    let mut penalties = control.publisher.datapath().penalties().map_err(failed)?;
    penalties.sort_by_key(|penalty| penalty.address);
    let shown = penalties
        .into_iter()
        .map(|penalty| Penalty { address: penalty.address.to_string(), seconds_left: penalty.left.as_secs() });
    Ok(Answer(shown.collect()))
}

/// Serves an address again before its time.
#[utoipa::path(delete, path = "/api/v1/penalties/{address}", tag = "daemon",
    responses((status = 200, body = Envelope<Penalty>)))]
pub(super) async fn pardon(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(address): Named<String>,
) -> Result<Answer<Penalty>, ApiError> {
    caller.everywhere(Scope::Admin)?;
    let parsed: IpAddr =
        address.parse().map_err(|_| ApiError::no_object("what is no IP address is not in the penalty box"))?;
    if control.publisher.datapath().pardon(parsed).map_err(failed)? {
        Ok(Answer(Penalty { address: parsed.to_string(), seconds_left: 0 }))
    } else {
        Err(ApiError::no_object(format!("{parsed} is not in the penalty box")))
    }
}

fn failed(error: KernelError) -> ApiError {
    ControlError::from(error).into()
}
