//! What one step of a program checks.

use std::ops::ControlFlow;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind, packed};
use memchr::memmem;

use super::prefixes::PrefixSet;
use super::search::{Needle, equal};
use super::sets::{AddressSet, IntSet, StringSet};
use super::{Env, Program, Shared};
use crate::ast::{Logical, OrderOp, Quantifier};
use crate::facts::Facts;
use crate::interpret::{self, AllFacts};
use crate::lists::List;
use crate::pattern::Wildcard;
use crate::scheme::Field;

/// A question to the facts. A missing value answers every check with false.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// A field of type Bool.
    Flag(Field),
    /// A field that is compared with one string. What most rules are made of has a form of its own, with less to decide.
    Is(Field, Box<[u8]>),
    /// A field that is looked up among strings.
    IsOneOf(Field, StringSet),
    /// A field in which a string is sought.
    Contains(Field, Box<Needle>),
    /// A field that is searched for a shared pattern, by the pattern's position.
    Matches(Field, usize),
    /// A string.
    Text(Text, TextTest),
    /// An integer.
    Int(Int, IntTest),
    /// An address.
    Address(Field, AddressTest),
    /// Whether any or all strings of an array pass.
    Each(Box<Each>),
    /// Whether an odd number of programs is true.
    Parity(Box<[Program]>),
    /// Anything without a form of its own here.
    Interpreted(Box<Logical>),
}

/// Where a string comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Field(Field),
    /// `lower(field)`, `upper(field)`
    Folded(Field, Case),
    /// `field["key"][0]`
    Under {
        field: Field,
        key: Box<[u8]>,
        position: u32,
    },
}

/// A case to fold letters to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
}

#[derive(Clone, Debug)]
pub(super) enum TextTest {
    Equal(Box<[u8]>),
    Order(OrderOp, Box<[u8]>),
    OneOf(Box<StringSet>),
    InList(Arc<List>),
    Contains(Box<Needle>),
    ContainsAny(Box<ContainsAny>),
    StartsWith(Box<[u8]>),
    StartsWithAny(PrefixSet),
    EndsWith(Box<[u8]>),
    /// Position in the shared patterns.
    Matches(usize),
    Wildcard(Box<Wildcard>),
}

/// Several needles sought at once. Measured against one search after the other: in a user agent of 100 bytes 19 ns whatever
/// their number, where one by itself takes 12; in a path of 23 bytes 16 ns, where one takes 7. It pays from the second or the
/// third on.
#[derive(Clone, Debug)]
pub(super) struct ContainsAny {
    needles: Vec<Box<[u8]>>,
    /// Made when merging is over.
    searcher: Option<Searcher>,
}

#[derive(Clone, Debug)]
enum Searcher {
    /// Compares many needles at once. The fastest, but its time grows with the length of needles, so for short ones only.
    Packed(packed::Searcher),
    /// Linear whatever the needles are.
    Automaton(AhoCorasick),
}

/// Where an integer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Int {
    Field(Field),
    /// `len(field)`
    Length(Field),
}

#[derive(Clone, Debug)]
pub(super) enum IntTest {
    Order(OrderOp, i64),
    OneOf(Box<IntSet>),
    InList(Arc<List>),
    AnyBit(i64),
}

#[derive(Clone, Debug)]
pub(super) enum AddressTest {
    Order(OrderOp, std::net::IpAddr),
    OneOf(Box<AddressSet>),
    InList(Arc<List>),
}

/// A quantifier over strings.
#[derive(Clone, Debug)]
pub(super) struct Each {
    pub(super) quantifier: Quantifier,
    pub(super) elements: Elements,
    pub(super) case: Option<Case>,
    pub(super) test: TextTest,
    /// Whether it is the negation of the test that is quantified.
    pub(super) negated: bool,
}

/// Which strings a quantifier goes over.
#[derive(Clone, Debug)]
pub(super) enum Elements {
    /// `array[*]`
    Items(Field),
    /// `map["key"][*]`
    Under(Field, Box<[u8]>),
    /// `map[*][*]`
    Entries(Field),
}

/// Strings up to this length are folded on the stack.
const FOLD_ON_STACK_MAX: usize = 256;

impl Check {
    /// Inlined into the loop over the steps, and so small: what takes more than a look at a fact is a call.
    #[inline(always)]
    pub(super) fn is_true<F: Facts + ?Sized>(&self, env: &Env<'_, F>) -> bool {
        match self {
            Self::Flag(field) => env.facts.bool(*field).unwrap_or(false),
            Self::Is(field, literal) => env.facts.bytes(*field).is_some_and(|text| equal(literal, text)),
            Self::IsOneOf(field, set) => env.facts.bytes(*field).is_some_and(|text| set.contains(text)),
            Self::Contains(field, needle) => env.facts.bytes(*field).is_some_and(|text| needle.is_in(text)),
            Self::Matches(field, position) => {
                env.facts.bytes(*field).is_some_and(|text| env.shared.matches(*position, text))
            }
            Self::Text(Text::Field(field), test) => {
                env.facts.bytes(*field).is_some_and(|text| test.is_true(text, env.shared))
            }
            Self::Int(int, test) => int.value(env).is_some_and(|value| test.is_true(value)),
            Self::Address(field, test) => env.facts.ip(*field).is_some_and(|address| test.is_true(address)),
            Self::Text(..) | Self::Each(_) | Self::Parity(_) | Self::Interpreted(_) => self.is_true_rare(env),
        }
    }

    /// The checks that need room on the stack.
    #[inline(never)]
    fn is_true_rare<F: Facts + ?Sized>(&self, env: &Env<'_, F>) -> bool {
        match self {
            Self::Text(text, test) => text.passes(test, env),
            Self::Each(each) => each.is_true(env),
            Self::Parity(programs) => {
                programs.iter().fold(false, |parity, program| parity ^ program.matches(env.facts, env.shared))
            }
            Self::Interpreted(logical) => {
                let lookup = AllFacts { facts: env.facts, lists: &env.shared.lists };
                let Ok(value) = interpret::truth(logical, &lookup);
                value
            }
            Self::Flag(_)
            | Self::Is(..)
            | Self::IsOneOf(..)
            | Self::Contains(..)
            | Self::Matches(..)
            | Self::Int(..)
            | Self::Address(..) => self.is_true(env),
        }
    }

    /// A rough cost in nanoseconds.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Self::Flag(_) => 1,
            Self::Int(..) => 2,
            Self::Is(..) => 4,
            Self::IsOneOf(..) => 6,
            Self::Contains(..) => 10,
            Self::Matches(..) => 60,
            Self::Address(..) => 4,
            Self::Text(text, test) => {
                let source = match text {
                    Text::Field(_) => 1,
                    Text::Folded(..) => 10,
                    Text::Under { .. } => 15,
                };
                test.cost().saturating_add(source)
            }
            Self::Each(each) => each.test.cost().saturating_add(30),
            Self::Parity(programs) => {
                let steps = programs.iter().flat_map(|program| program.steps.iter());
                steps.map(|step| step.check.cost()).fold(0, u32::saturating_add)
            }
            Self::Interpreted(_) => 500,
        }
    }

    /// Whether this check or the other one is true can be one check.
    pub(super) fn can_merge(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(text, test), Self::Text(other_text, other_test)) => {
                test.can_merge(other_test) && text == other_text
            }
            (Self::Address(field, AddressTest::OneOf(_)), Self::Address(other, AddressTest::OneOf(_))) => {
                field == other
            }
            (Self::Int(int, IntTest::OneOf(_)), Self::Int(other, IntTest::OneOf(_))) => int == other,
            _ => false,
        }
    }

    /// Makes this check true when the other one is; for checks that [`Check::can_merge`].
    pub(super) fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Text(_, test), Self::Text(_, other)) => test.merge(other),
            (Self::Address(_, AddressTest::OneOf(set)), Self::Address(_, AddressTest::OneOf(other))) => {
                **set = set.union(&other);
            }
            (Self::Int(_, IntTest::OneOf(set)), Self::Int(_, IntTest::OneOf(other))) => **set = set.union(&other),
            _ => {}
        }
    }

    /// A guess at how often of a thousand times it is true, to try first what is likely to decide.
    pub(super) fn likelihood(&self) -> u32 {
        match self {
            // On an edge these hardly tell requests apart.
            Self::Flag(Field::Ssl) | Self::Int(Int::Field(Field::EdgeServerPort), _) => 900,
            // Most clients of a host with mTLS are the ones it is for, and few of their certificates are revoked.
            Self::Flag(Field::CertVerified | Field::CertPresented) => 700,
            Self::Flag(Field::CertRevoked) => 10,
            Self::Flag(_) | Self::Parity(_) | Self::Interpreted(_) | Self::Each(_) | Self::Int(..) => 500,
            // Rules are indexed by host: one that is evaluated concerns the host of the request.
            Self::Text(Text::Field(Field::HttpHost), TextTest::Equal(_) | TextTest::OneOf(_)) => 900,
            Self::Is(..)
            | Self::IsOneOf(..)
            | Self::Contains(..)
            | Self::Matches(..)
            | Self::Text(..)
            | Self::Address(..) => 100,
        }
    }

    /// Ends merging: the check takes its final form.
    pub(super) fn settle(self) -> Self {
        match self {
            Self::Text(Text::Field(field), TextTest::Equal(literal)) => Self::Is(field, literal),
            Self::Text(Text::Field(field), TextTest::OneOf(set)) => Self::IsOneOf(field, *set),
            Self::Text(Text::Field(field), TextTest::Contains(needle)) => Self::Contains(field, needle),
            Self::Text(Text::Field(field), TextTest::Matches(position)) => Self::Matches(field, position),
            Self::Text(text, TextTest::ContainsAny(mut needles)) => {
                needles.settle();
                Self::Text(text, TextTest::ContainsAny(needles))
            }
            other => other,
        }
    }
}

impl Text {
    #[inline]
    fn passes<F: Facts + ?Sized>(&self, test: &TextTest, env: &Env<'_, F>) -> bool {
        match self {
            Self::Field(field) => env.facts.bytes(*field).is_some_and(|text| test.is_true(text, env.shared)),
            Self::Folded(field, case) => {
                env.facts.bytes(*field).is_some_and(|text| case.fold(text, |folded| test.is_true(folded, env.shared)))
            }
            Self::Under { field, key, position } => {
                let mut left = *position;
                let mut passes = false;
                env.facts.each_under(*field, key, &mut |text| match left.checked_sub(1) {
                    Some(fewer) => {
                        left = fewer;
                        ControlFlow::Continue(())
                    }
                    None => {
                        passes = test.is_true(text, env.shared);
                        ControlFlow::Break(())
                    }
                });
                passes
            }
        }
    }
}

impl Case {
    /// Calls `then` with the folded text, which is only copied when it has letters of the other case.
    fn fold<R>(self, text: &[u8], then: impl FnOnce(&[u8]) -> R) -> R {
        let changes = match self {
            Self::Lower => text.iter().any(u8::is_ascii_uppercase),
            Self::Upper => text.iter().any(u8::is_ascii_lowercase),
        };
        if !changes {
            return then(text);
        }
        let mut stack = [0; FOLD_ON_STACK_MAX];
        let mut heap = Vec::new();
        let folded = match stack.get_mut(..text.len()) {
            Some(folded) => {
                folded.copy_from_slice(text);
                folded
            }
            None => {
                heap.extend_from_slice(text);
                &mut heap
            }
        };
        match self {
            Self::Lower => folded.make_ascii_lowercase(),
            Self::Upper => folded.make_ascii_uppercase(),
        }
        then(folded)
    }
}

impl TextTest {
    #[inline(never)]
    fn is_true(&self, text: &[u8], shared: &Shared) -> bool {
        match self {
            Self::Equal(literal) => equal(literal, text),
            Self::OneOf(set) => set.contains(text),
            Self::StartsWith(prefix) => text.starts_with(prefix),
            Self::StartsWithAny(prefixes) => prefixes.has_prefix_of(text),
            Self::EndsWith(suffix) => text.ends_with(suffix),
            Self::Contains(needle) => needle.is_in(text),
            Self::ContainsAny(needles) => needles.is_in(text),
            Self::Matches(position) => shared.matches(*position, text),
            Self::Order(op, literal) => op.accepts(Some(text.cmp(literal))),
            Self::InList(list) => list.contains_bytes(text),
            Self::Wildcard(wildcard) => wildcard.is_match(text),
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Self::Equal(_) | Self::Order(..) | Self::StartsWith(_) | Self::EndsWith(_) => 3,
            Self::OneOf(_) => 5,
            Self::InList(_) => 15,
            Self::Contains(_) | Self::StartsWithAny(_) => 10,
            Self::ContainsAny(_) => 25,
            Self::Wildcard(_) => 30,
            Self::Matches(_) => 60,
        }
    }

    fn can_merge(&self, other: &Self) -> bool {
        match self {
            Self::Equal(_) | Self::OneOf(_) => matches!(other, Self::Equal(_) | Self::OneOf(_)),
            Self::Contains(_) | Self::ContainsAny(_) => matches!(other, Self::Contains(_) | Self::ContainsAny(_)),
            Self::StartsWith(_) | Self::StartsWithAny(_) => {
                matches!(other, Self::StartsWith(_) | Self::StartsWithAny(_))
            }
            _ => false,
        }
    }

    fn merge(&mut self, other: Self) {
        let this = std::mem::replace(self, Self::Equal(Box::default()));
        *self = match this {
            Self::Contains(_) | Self::ContainsAny(_) => {
                let needles = this.and_literals_of(other);
                Self::ContainsAny(Box::new(ContainsAny { needles, searcher: None }))
            }
            Self::StartsWith(_) | Self::StartsWithAny(_) => {
                Self::StartsWithAny(PrefixSet::new(this.and_literals_of(other)))
            }
            _ => Self::OneOf(Box::new(StringSet::new(this.and_literals_of(other)))),
        };
    }

    /// The strings of both tests.
    fn and_literals_of(self, other: Self) -> Vec<Box<[u8]>> {
        let mut literals = self.into_literals();
        literals.append(&mut other.into_literals());
        literals
    }

    /// The strings of a test that can be merged.
    fn into_literals(self) -> Vec<Box<[u8]>> {
        match self {
            Self::Equal(literal) | Self::StartsWith(literal) => vec![literal],
            Self::OneOf(set) => set.into_items(),
            Self::Contains(needle) => vec![needle.into_bytes()],
            Self::ContainsAny(needles) => needles.needles,
            Self::StartsWithAny(prefixes) => prefixes.into_prefixes(),
            _ => Vec::new(),
        }
    }
}

impl ContainsAny {
    /// Needles no longer than this are compared packed.
    const PACKED_BYTES_MAX: usize = 32;

    fn settle(&mut self) {
        self.needles.sort_unstable();
        self.needles.dedup();
        let are_short = self.needles.iter().all(|needle| needle.len() <= Self::PACKED_BYTES_MAX);
        let packed = if are_short { packed::Searcher::new(&self.needles) } else { None };
        self.searcher = packed.map(Searcher::Packed).or_else(|| {
            let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&self.needles);
            automaton.ok().map(Searcher::Automaton)
        });
    }

    fn is_in(&self, text: &[u8]) -> bool {
        match &self.searcher {
            Some(Searcher::Packed(searcher)) => searcher.find(text).is_some(),
            Some(Searcher::Automaton(automaton)) => automaton.is_match(text),
            None => self.needles.iter().any(|needle| memmem::find(text, needle).is_some()),
        }
    }
}

impl Int {
    #[inline]
    fn value<F: Facts + ?Sized>(&self, env: &Env<'_, F>) -> Option<i64> {
        match self {
            Self::Field(field) => env.facts.int(*field),
            Self::Length(field) => env.facts.bytes(*field).map(|text| i64::try_from(text.len()).unwrap_or(i64::MAX)),
        }
    }
}

impl IntTest {
    #[inline(never)]
    fn is_true(&self, value: i64) -> bool {
        match self {
            Self::Order(op, literal) => op.accepts(Some(value.cmp(literal))),
            Self::OneOf(set) => set.contains(value),
            Self::InList(list) => list.contains_int(value),
            Self::AnyBit(mask) => value & mask != 0,
        }
    }
}

impl AddressTest {
    #[inline(always)]
    fn is_true(&self, address: std::net::IpAddr) -> bool {
        match self {
            Self::OneOf(set) => set.contains(address),
            Self::Order(..) | Self::InList(_) => self.is_true_rare(address),
        }
    }

    /// See [`Check::is_true_rare`].
    #[inline(never)]
    fn is_true_rare(&self, address: std::net::IpAddr) -> bool {
        match self {
            Self::Order(op, literal) => {
                let same_family = address.is_ipv4() == literal.is_ipv4();
                op.accepts(same_family.then(|| address.cmp(literal)))
            }
            Self::OneOf(set) => set.contains(address),
            Self::InList(list) => list.contains_address(address),
        }
    }
}

impl Each {
    fn is_true<F: Facts + ?Sized>(&self, env: &Env<'_, F>) -> bool {
        // Any is decided by a true element, all by a false one. No elements, or none at all, decide nothing.
        let deciding = self.quantifier == Quantifier::Any;
        let mut decided = false;
        let mut look = |text: &[u8]| {
            let passes = match self.case {
                Some(case) => case.fold(text, |folded| self.test.is_true(folded, env.shared)),
                None => self.test.is_true(text, env.shared),
            };
            decided = (passes ^ self.negated) == deciding;
            if decided { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match &self.elements {
            Elements::Items(field) => env.facts.each_item(*field, &mut look),
            Elements::Under(field, key) => env.facts.each_under(*field, key, &mut look),
            Elements::Entries(field) => env.facts.each_entry(*field, &mut |_, value| look(value)),
        };
        decided == deciding
    }
}

#[cfg(test)]
mod tests {
    use crate::program::Step;

    #[test]
    fn a_step_fits_a_cache_line() {
        assert!(size_of::<Step>() <= 64, "{}", size_of::<Step>());
    }
}
