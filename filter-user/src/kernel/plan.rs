//! What a snapshot wants the packet plane to do.

use std::collections::BTreeMap;

use filter_common::layout::{HOST_TERMINATE, HostValue};

/// The desired content of the maps. A host that is not in the plan is reset by XDP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelPlan {
    /// Host names, exact or with `*` as the whole first label, in any case.
    pub hosts: BTreeMap<String, HostAction>,
}

impl KernelPlan {
    /// A plan in which workers terminate all these hosts.
    pub fn terminating<S: Into<String>>(hosts: impl IntoIterator<Item = S>) -> Self {
        Self { hosts: hosts.into_iter().map(|host| (host.into(), HostAction::Terminate)).collect() }
    }
}

/// What the packet plane does with a host's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostAction {
    /// Pass them: a worker terminates TLS.
    Terminate,
}

impl From<HostAction> for HostValue {
    fn from(action: HostAction) -> Self {
        match action {
            HostAction::Terminate => Self { action: HOST_TERMINATE },
        }
    }
}
