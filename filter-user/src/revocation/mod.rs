//! Which certificates are revoked: an exact set that every worker asks on every request.
//!
//! **Shape.** One immutable radix tree of 16-byte keys behind one atomic pointer. A writer copies the path to the leaf it
//! changes (a few kilobytes) and swaps the pointer; readers never wait, never retry and never see half a change. There is
//! no delta, no tombstone and no compaction: a tree is always exactly as big as what it holds.
//!
//! **Why not a concurrent hash map.** A revocation is read on every request and written a few times a day, so a read
//! that is one plain pointer comparison is worth a write that copies some memory. Maps that can be written in place pay
//! for it with a read-modify-write instruction at each look-up and with 28 to 47 bytes an entry; the tree takes 15.
//!
//! **Promise.** Once [`RevocationSet::insert`] has returned, every later `contains` on any thread answers `true`.

mod cell;
mod key;
mod set;
mod tree;

pub use key::{IssuerKeyHash, RevocationKey};
pub use set::{CrlFreshness, RevocationReader, RevocationSet};

#[cfg(test)]
mod loom_tests;
