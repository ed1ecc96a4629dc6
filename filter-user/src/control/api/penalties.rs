//! Addresses that the packet plane drops for what they did before.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, ApiError};
use crate::control::{Control, ControlError};
use crate::kernel::KernelError;

/// An address that is dropped.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Penalty {
    /// The address.
    pub address: String,
    /// For how many seconds still.
    pub seconds_left: u64,
}

/// `GET /api/v1/penalties`
pub(super) async fn list(State(control): State<Arc<Control>>) -> Result<Answer<Vec<Penalty>>, ApiError> {
    let mut penalties = control.publisher.datapath().penalties().map_err(failed)?;
    penalties.sort_by_key(|penalty| penalty.address);
    let shown = penalties
        .into_iter()
        .map(|penalty| Penalty { address: penalty.address.to_string(), seconds_left: penalty.left.as_secs() });
    Ok(Answer(shown.collect()))
}

/// `DELETE /api/v1/penalties/{address}`: serves the address again.
pub(super) async fn pardon(
    State(control): State<Arc<Control>>,
    Path(address): Path<String>,
) -> Result<Answer<Penalty>, ApiError> {
    let parsed: IpAddr =
        address.parse().map_err(|_| ApiError::no_object(format!("{address:?} is no address, so it is not dropped")))?;
    if control.publisher.datapath().pardon(parsed).map_err(failed)? {
        Ok(Answer(Penalty { address: parsed.to_string(), seconds_left: 0 }))
    } else {
        Err(ApiError::no_object(format!("{parsed} is not in the penalty box")))
    }
}

fn failed(error: KernelError) -> ApiError {
    ControlError::from(error).into()
}
