//! Origins: the servers behind the filter.

mod echo;
mod list_server;
mod nginx;

pub use echo::{Echo, RecordedRequest, hex};
pub use list_server::{ListServer, Manner, replace};
pub use nginx::Nginx;
