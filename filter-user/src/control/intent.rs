//! What somebody wants to change, and what came of it.

use crate::model::{State, Timestamp};
use crate::store::Audit;

/// Who asks for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name of a token, or `local`.
    pub actor: String,
    /// An address, or the control socket.
    pub origin: String,
}

impl Author {
    /// Whoever may write to the control socket.
    pub fn local() -> Self {
        Self { actor: "local".to_owned(), origin: "control socket".to_owned() }
    }

    /// The daemon itself, while it starts.
    pub fn start() -> Self {
        Self { actor: "local".to_owned(), origin: "start".to_owned() }
    }

    /// Whoever runs a command that works on the store itself, while no daemon does.
    pub fn command() -> Self {
        Self { actor: "local".to_owned(), origin: "command line".to_owned() }
    }

    /// What the audit keeps of something this author does now.
    pub fn did(self, action: impl Into<String>) -> Audit {
        Audit { at: Timestamp::now(), actor: self.actor, origin: self.origin, action: action.into() }
    }
}

/// A change that is asked for, without its content.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Who asks.
    pub author: Author,
    /// What for, in a few words, for the audit: `rule create`.
    pub action: &'static str,
    /// The revision that the author knows; at any other, the change is refused.
    pub expected: Option<u64>,
    /// Only whether the change can be made; nothing is changed.
    pub dry_run: bool,
}

/// A change that was made.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    /// What the plan of the change made.
    pub value: T,
    /// The state with the change.
    pub state: State,
    /// The generation that enforces it; for a dry run, the one that is in force.
    pub generation: u64,
}
