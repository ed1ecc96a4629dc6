//! The expression: a checked source, and what can be done with it.

use crate::ast::{Argument, Base, Call, Comparison, Logical, Operand, Test};
use crate::error::ParseError;
use crate::facts::Facts;
use crate::limits::Limits;
use crate::lists::Lists;
use crate::program::{Builder, Program, Shared};
use crate::scheme::Field;
use crate::span::Span;
use crate::syntax;

/// A parsed and checked expression. Prints as canonical source: operators as words, one space between tokens.
#[derive(Clone, Debug)]
pub struct Expression {
    source: Box<str>,
    root: Logical,
}

/// A use of a list that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListProblem {
    /// There is no list of this name.
    #[error("there is no list named {name:?}")]
    Unknown {
        /// The name.
        name: Box<str>,
        /// Where it is used.
        span: Span,
    },
    /// The list holds items of another type than the value before `in`.
    #[error("list {name:?} holds items of type {holds}, but the value before `in` is of type {value}")]
    Type {
        /// The name.
        name: Box<str>,
        /// The type of its items.
        holds: crate::types::Type,
        /// The type of the value.
        value: crate::types::Type,
        /// Where it is used.
        span: Span,
    },
}

impl ListProblem {
    /// Where in the source the list is used.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::Unknown { span, .. } | Self::Type { span, .. } => *span,
        }
    }
}

/// One compiled expression by itself, for what is no rule set: `expr eval`, a test, a bench.
#[derive(Debug)]
pub struct Matcher {
    program: Program,
    shared: Shared,
}

impl Matcher {
    /// Whether the expression is true of these facts.
    #[inline]
    #[must_use]
    pub fn matches<F: Facts + ?Sized>(&self, facts: &F) -> bool {
        self.program.matches(facts, &self.shared)
    }
}

impl Expression {
    /// Parses and checks `source`.
    ///
    /// # Errors
    ///
    /// What is wrong and where, in wirefilter's words.
    pub fn parse(source: &str) -> Result<Self, ParseError> {
        Self::parse_with(source, &Limits::default())
    }

    /// Parses and checks `source` within other limits than the product's.
    ///
    /// # Errors
    ///
    /// What is wrong and where, in wirefilter's words.
    pub fn parse_with(source: &str, limits: &Limits) -> Result<Self, ParseError> {
        Ok(Self { root: syntax::parse(source, limits)?, source: source.into() })
    }

    /// The source as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The tree.
    #[must_use]
    pub const fn root(&self) -> &Logical {
        &self.root
    }

    /// Every field the expression may ask for, each once, in order of first use.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        self.root.each_operand(&mut |operand| {
            if let Base::Field(field) = operand.base
                && !fields.contains(&field)
            {
                fields.push(field);
            }
        });
        fields
    }

    /// Compiles the expression by itself.
    ///
    /// # Errors
    ///
    /// Every use of a list that is unknown or of the wrong type.
    pub fn compile(&self, lists: &Lists) -> Result<Matcher, Vec<ListProblem>> {
        let problems = self.list_problems(lists);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut builder = Builder::new(std::sync::Arc::new(lists.clone()));
        let program = builder.compile(&self.root);
        Ok(Matcher { program, shared: builder.finish() })
    }

    /// Every use of a list that is unknown or of the wrong type.
    #[must_use]
    pub fn list_problems(&self, lists: &Lists) -> Vec<ListProblem> {
        let mut problems = Vec::new();
        self.root.each_comparison(&mut |comparison| {
            let Test::InList { name, span } = &comparison.test else { return };
            let (name, span, value) = (name.clone(), *span, comparison.left.ty);
            match lists.list(&name) {
                None => problems.push(ListProblem::Unknown { name, span }),
                Some(list) if list.ty() != value => {
                    problems.push(ListProblem::Type { name, holds: list.ty(), value, span });
                }
                Some(_) => {}
            }
        });
        problems
    }
}

impl std::str::FromStr for Expression {
    type Err = ParseError;

    fn from_str(source: &str) -> Result<Self, ParseError> {
        Self::parse(source)
    }
}

impl Logical {
    /// Visits every comparison, those inside arguments too.
    pub(crate) fn each_comparison<'t>(&'t self, visit: &mut dyn FnMut(&'t Comparison)) {
        match self {
            Self::Combine { items, .. } => items.iter().for_each(|item| item.each_comparison(visit)),
            Self::Not { inner, .. } | Self::Group { inner, .. } => inner.each_comparison(visit),
            Self::Quantify { argument, .. } => argument.each_comparison(visit),
            Self::Compare(comparison) => {
                visit(comparison);
                comparison.left.each_comparison(visit);
            }
        }
    }

    /// Visits every operand, those inside arguments too.
    pub(crate) fn each_operand<'t>(&'t self, visit: &mut dyn FnMut(&'t Operand)) {
        match self {
            Self::Combine { items, .. } => items.iter().for_each(|item| item.each_operand(visit)),
            Self::Not { inner, .. } | Self::Group { inner, .. } => inner.each_operand(visit),
            Self::Quantify { argument, .. } => argument.each_operand(visit),
            Self::Compare(comparison) => comparison.left.each_operand(visit),
        }
    }
}

impl Operand {
    fn arguments(&self) -> &[Argument] {
        match &self.base {
            Base::Call(call) => {
                let Call { arguments, .. } = &**call;
                arguments
            }
            Base::Field(_) | Base::Constant(_) => &[],
        }
    }

    fn each_comparison<'t>(&'t self, visit: &mut dyn FnMut(&'t Comparison)) {
        self.arguments().iter().for_each(|argument| argument.each_comparison(visit));
    }

    fn each_operand<'t>(&'t self, visit: &mut dyn FnMut(&'t Operand)) {
        visit(self);
        self.arguments().iter().for_each(|argument| argument.each_operand(visit));
    }
}

impl Argument {
    fn each_comparison<'t>(&'t self, visit: &mut dyn FnMut(&'t Comparison)) {
        match self {
            Self::Operand(operand) => operand.each_comparison(visit),
            Self::Literal(..) => {}
            Self::Logical(logical) => logical.each_comparison(visit),
        }
    }

    fn each_operand<'t>(&'t self, visit: &mut dyn FnMut(&'t Operand)) {
        match self {
            Self::Operand(operand) => operand.each_operand(visit),
            Self::Literal(..) => {}
            Self::Logical(logical) => logical.each_operand(visit),
        }
    }
}
