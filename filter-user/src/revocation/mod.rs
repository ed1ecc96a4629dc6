//! Which certificates are revoked: an exact set that every worker asks on every request.
//!
//! **Shape.** One immutable radix tree of 16-byte keys behind one atomic pointer. A writer copies the path to the leaf it
//! changes (a few kilobytes) and swaps the pointer; readers never wait, never retry and never see half a change. There is
//! no delta, no tombstone and no compaction: a tree is always exactly as big as what it holds.
//!
//! **Why not a concurrent hash map.** A set that is written a few times a day need not pay for being written in place: the
//! tree takes 15 bytes an entry where `dashmap` takes 28 and `papaya` 47, a batch or a whole reload appears in one step, and
//! it can be checked by loom. In front of the tree is a Bloom filter of a byte a key: most certificates are not revoked, and it says
//! so from half a cache line (`cargo bench -p filter-bench --bench revocation`).
//!
//! **Promise.** Once [`RevocationSet::insert`] has returned, every later `contains` on any thread answers `true`.

mod cell;
mod filter;
mod key;
mod set;
mod tree;

pub use key::{IssuerKeyHash, RevocationKey};
pub use set::{CrlFreshness, RevocationReader, RevocationSet};

#[cfg(test)]
mod loom_tests;
