//! Compiled expressions: a list of checks, each of which says which check comes next when it is true and when it is false.
//!
//! `and`, `or`, `not` and parentheses are gone: they are in the order of the checks and where each of them leads. Evaluating is
//! a loop without recursion, without a stack and without allocation.

mod check;
mod lower;
mod node;
mod prefixes;
mod search;
mod sets;

use std::sync::Arc;

use regex_automata::meta;

use self::check::Check;
use self::lower::Compiler;
use self::node::Node;
use crate::ast::Logical;
use crate::facts::Facts;
use crate::lists::Lists;

/// Where a program ends with true, or with false. No program is long enough to have such positions.
const TRUE: u32 = u32::MAX;
const FALSE: u32 = u32::MAX - 1;

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    steps: Box<[Step]>,
    /// The first step, or [`TRUE`] or [`FALSE`] for a constant.
    start: u32,
}

#[derive(Clone, Debug)]
struct Step {
    check: Check,
    on_true: u32,
    on_false: u32,
}

/// What programs of one rule set share: the compiled patterns, each once, and the lists.
///
/// A clone shares the lists and the patterns' automata but has search caches of its own. A worker that evaluates with a clone
/// of its own never waits for another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    regexes: Vec<meta::Regex>,
    lists: Arc<Lists>,
}

impl Shared {
    /// Whether the pattern at a position occurs in `text`.
    #[inline(always)]
    fn matches(&self, position: usize, text: &[u8]) -> bool {
        self.regexes.get(position).is_some_and(|regex| regex.is_match(text))
    }
}

/// What a check is evaluated in.
struct Env<'e, F: ?Sized> {
    facts: &'e F,
    shared: &'e Shared,
}

/// Compiles expressions of one rule set.
#[derive(Debug)]
pub(crate) struct Builder {
    patterns: Vec<Box<str>>,
    shared: Shared,
}

impl Builder {
    pub(crate) const fn new(lists: Arc<Lists>) -> Self {
        Self { patterns: Vec::new(), shared: Shared { regexes: Vec::new(), lists } }
    }

    /// Compiles a tree whose lists exist and fit.
    pub(crate) fn compile(&mut self, root: &Logical) -> Program {
        let node = Compiler::new(self).lower(root, false);
        Program::from_node(node)
    }

    /// How many patterns there are, and the bytes they take together.
    pub(crate) fn regex_usage(&self) -> (usize, usize) {
        (self.shared.regexes.len(), self.shared.regexes.iter().map(meta::Regex::memory_usage).sum())
    }

    pub(crate) fn finish(self) -> Shared {
        self.shared
    }

    fn regex(&mut self, regex: &crate::pattern::Regex) -> usize {
        if let Some(known) = self.patterns.iter().position(|pattern| **pattern == *regex.pattern()) {
            return known;
        }
        self.patterns.push(regex.pattern().into());
        self.shared.regexes.push(regex.engine().clone());
        self.patterns.len().saturating_sub(1)
    }
}

impl Program {
    fn from_node(node: Node) -> Self {
        let mut emitter = Emitter { steps: Vec::new() };
        let start = emitter.emit(node, TRUE, FALSE);
        let mut steps = emitter.steps;
        // Steps were emitted last first. In reverse they run forward.
        let last = u32::try_from(steps.len()).unwrap_or(FALSE).wrapping_sub(1);
        let forward = |target: u32| if target >= FALSE { target } else { last.wrapping_sub(target) };
        steps.reverse();
        for step in &mut steps {
            step.on_true = forward(step.on_true);
            step.on_false = forward(step.on_false);
        }
        Self { steps: steps.into(), start: forward(start) }
    }

    /// Whether the expression is true of these facts.
    #[inline]
    pub(crate) fn matches<F: Facts + ?Sized>(&self, facts: &F, shared: &Shared) -> bool {
        let env = Env { facts, shared };
        let mut at = self.start;
        while let Some(step) = self.steps.get(at as usize) {
            at = if step.check.is_true(&env) { step.on_true } else { step.on_false };
        }
        at == TRUE
    }

    /// The value of an expression that needs no facts.
    pub(crate) const fn constant(&self) -> Option<bool> {
        match self.start {
            TRUE => Some(true),
            FALSE => Some(false),
            _ => None,
        }
    }
}

/// Lays out nodes, last first, so that every target is known when a step is made.
struct Emitter {
    steps: Vec<Step>,
}

impl Emitter {
    /// Emits `node` so that it goes on at `on_true` or `on_false`; returns where it starts.
    fn emit(&mut self, node: Node, on_true: u32, on_false: u32) -> u32 {
        match node {
            Node::Constant(value) => {
                if value {
                    on_true
                } else {
                    on_false
                }
            }
            Node::Leaf { check, negated } => {
                let (on_true, on_false) = if negated { (on_false, on_true) } else { (on_true, on_false) };
                self.steps.push(Step { check: check.settle(), on_true, on_false });
                u32::try_from(self.steps.len().saturating_sub(1)).unwrap_or(FALSE)
            }
            Node::All(items) => items.into_iter().rev().fold(on_true, |next, item| self.emit(item, next, on_false)),
            Node::Any(items) => items.into_iter().rev().fold(on_false, |next, item| self.emit(item, on_true, next)),
            Node::Odd { items, negated } => {
                let (mut odd, mut even) = if negated { (on_false, on_true) } else { (on_true, on_false) };
                // Each item twice, for an odd and for an even number of true items before it; the first only for even.
                let mut items = items.into_iter();
                let Some(first) = items.next() else { return even };
                for item in items.rev() {
                    let after_even = self.emit(item.clone(), odd, even);
                    let after_odd = self.emit(item, even, odd);
                    (odd, even) = (after_odd, after_even);
                }
                self.emit(first, odd, even)
            }
        }
    }
}
