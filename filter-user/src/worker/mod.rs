//! The worker plane: one thread per core, shared nothing.
//!
//! A worker accepts, reads the ClientHello, speaks TLS and HTTP, decides, and proxies, all on one thread with its own runtime. It never
//! waits for the control plane: commands come in over a queue and are carried out between two polls, so that an acknowledged snapshot
//! is in force for every request that this worker has yet to decide.

mod client_hello;
mod connection;
mod context;
mod facts;
mod fingerprint;
mod headers;
pub mod limits;
mod listener;
#[cfg(test)]
mod publish_tests;
mod ray;
mod refusal;
mod relay;
mod request;
mod respond;
mod session;
mod sessions;
#[cfg(test)]
mod tests;
mod thread;
mod upstream;
mod verdict;

pub use listener::bind as bind_listener;
pub use relay::{RelayReport, RelayTotals, RelayedConnection};
pub use thread::{Command, Spawn, Worker, WorkerError, WorkerThread};
