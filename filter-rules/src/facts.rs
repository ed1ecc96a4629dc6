//! How the engine asks for facts about a request.

use std::net::IpAddr;
use std::ops::ControlFlow;

use crate::scheme::Field;

/// The facts of one request, answered one at a time and only when a rule asks.
///
/// A missing fact is `None` (or `false` for the visiting methods): every comparison with it is false. Each method is asked only
/// for fields of its type ([`Field::ty`]), so an implementation may answer `None` to any other. What has to be computed is
/// kept by the implementation (a `OnceCell`), because answers are borrowed and a field may be asked for again.
///
/// Certificate fields are never missing: they are `false` or empty where the host does not use mTLS.
pub trait Facts {
    /// A field of type Bool.
    fn bool(&self, field: Field) -> Option<bool>;

    /// A field of type Int.
    fn int(&self, field: Field) -> Option<i64>;

    /// A field of type Ip.
    fn ip(&self, field: Field) -> Option<IpAddr>;

    /// A field of type Bytes.
    fn bytes(&self, field: Field) -> Option<&[u8]>;

    /// Visits the elements of a field of type Array, in order, until told to stop. Returns whether the field is there.
    fn each_item<'f>(&'f self, field: Field, visit: Visit<'_, 'f>) -> bool;

    /// Visits the values under one key of a field of type Map, in order, until told to stop. Returns whether the key is there.
    fn each_under<'f>(&'f self, field: Field, key: &[u8], visit: Visit<'_, 'f>) -> bool;

    /// Visits every key and value of a field of type Map until told to stop; a key with several values comes several times,
    /// its values in order. Returns whether the field is there.
    fn each_entry<'f>(&'f self, field: Field, visit: VisitEntry<'_, 'f>) -> bool;
}

/// Is shown one value after the other, and says whether to go on.
pub type Visit<'c, 'f> = &'c mut dyn FnMut(&'f [u8]) -> ControlFlow<()>;

/// Is shown one key and value after the other, and says whether to go on.
pub type VisitEntry<'c, 'f> = &'c mut dyn FnMut(&'f [u8], &'f [u8]) -> ControlFlow<()>;
