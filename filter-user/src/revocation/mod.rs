//! Which certificates are revoked: an exact set that every worker asks on every request.
//!
//! **Shape.** An immutable table of shards behind one atomic pointer. A writer copies the shard that it changes and swaps the pointer;
//! readers never wait, never retry and never see half a change.
//!
//! **Why not a concurrent hash map.** A set that is written a few times a day need not pay for being written in place: the table takes 15.6
//! bytes an entry where `dashmap` takes 28 and `papaya` 47, a look-up reads one cache line, a batch or a whole reload appears in one step,
//! and it can be checked by loom (`cargo bench -p filter-bench --bench revocation`).
//!
//! **Promise.** Once [`RevocationSet::insert`] has returned, every later `contains` on any thread answers `true`.

mod cell;
mod key;
mod set;
mod shard;
mod table;

pub use key::{IssuerKeyHash, RevocationKey};
pub use set::{CrlFreshness, RevocationReader, RevocationSet};

#[cfg(test)]
mod loom_tests;
