//! Origins: the servers behind the filter.

mod echo;
mod nginx;

pub use echo::{Echo, RecordedRequest, hex};
pub use nginx::Nginx;
