//! Lints: expressions that are correct and probably not what was meant.

use std::collections::HashSet;

use crate::ast::{
    Argument, Base, Comparison, Index, Literal, Logical, LogicalOp, Operand, OrderOp, Quantifier, Set, Test,
};
use crate::expression::Expression;
use crate::fact_set::FactSet;
use crate::host::{is_host_byte, is_possible_host, normalise_host, normalise_host_bytes};
use crate::residual::Residual;
use crate::rules::{Action, Rule, RuleSet};
use crate::scheme::{Field, Source};
use crate::span::Span;
use crate::types::Type;
use crate::value::Value;

/// A warning about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Position of the rule in its set; `None` when it is about no rule in particular.
    pub rule: Option<usize>,
    /// What is probably wrong.
    pub kind: LintKind,
    /// The bytes of the rule's source it is about.
    pub span: Span,
}

/// What is probably wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LintKind {
    /// A rule that asks for a valid certificate lets revoked ones pass.
    #[error(
        "`cert_verified` is true for a revoked certificate as well; add `or cf.tls_client_auth.cert_revoked` to block those"
    )]
    RevocationNotChecked,
    /// A rule asks about certificates of a host whose clients are never asked for one.
    #[error("mTLS is not enabled for host {host:?}: no client is asked for a certificate, so this blocks everyone")]
    HostWithoutMtls {
        /// The host.
        host: String,
    },
    /// mTLS is enabled for a host and no rule looks at the certificate.
    #[error("mTLS is enabled for host {host:?}, but no rule for it looks at the certificate, so it blocks no one")]
    MtlsWithoutRule {
        /// The host.
        host: String,
    },
    /// `all(…)` is true when there is nothing to look at.
    #[error("`all(…)` is true when {what} is absent; add `and len({what}) > 0` or use `any(…)`")]
    AllOfNothing {
        /// What may be absent.
        what: String,
    },
    /// An earlier `skip` rule is true for everything this rule is about.
    #[error(
        "rule {by:?} skips the rest of the rule set for everything this rule is about, so this rule is never reached"
    )]
    Shadowed {
        /// The identifier of the `skip` rule.
        by: String,
    },
    /// A host literal is compared in another form than it is written in.
    #[error("hosts are compared in lower case, without port and trailing dot: {literal:?} is compared as {compared:?}")]
    HostNormalised {
        /// As it is written.
        literal: String,
        /// As it is compared.
        compared: String,
    },
    /// A literal no host can be equal to, or contain.
    #[error("{literal:?} can never match: a host has lower-case letters, digits, `-`, `_` and dots only")]
    ImpossibleHost {
        /// As it is written.
        literal: String,
    },
    /// Headers are kept under lower-case names.
    #[error("header names are in lower case here: {key:?} is never there; write {lower:?}")]
    HeaderKeyCase {
        /// As it is written.
        key: String,
        /// As it should be.
        lower: String,
    },
}

/// What lints need to know that no rule says.
#[derive(Clone, Debug, Default)]
pub struct LintContext<'c> {
    /// The hosts whose clients are asked for a certificate. `None` when that is not known: then no lint is about it.
    pub mtls_hosts: Option<Vec<&'c str>>,
}

impl Expression {
    /// What is probably wrong with the expression by itself.
    #[must_use]
    pub fn lints(&self) -> Vec<Lint> {
        let mut found = Vec::new();
        let mut push = |kind, span| found.push(Lint { rule: None, kind, span });
        self.root().each_comparison(&mut |comparison| lint_host_literals(comparison, &mut push));
        self.root().each_operand(&mut |operand| lint_header_key(operand, &mut push));
        lint_all_of_nothing(self.root(), &mut push);
        found
    }
}

impl RuleSet {
    /// What is probably wrong with the enabled rules, each by itself and together.
    #[must_use]
    pub fn lints(&self, context: &LintContext<'_>) -> Vec<Lint> {
        let enabled = || self.rules().iter().filter(|rule| rule.is_enabled());
        let mut found = Vec::new();
        for rule in enabled() {
            let mut push = |kind, span| found.push(Lint { rule: Some(rule.index()), kind, span });
            rule.expression().lints().into_iter().for_each(|lint| push(lint.kind, lint.span));
            if matches!(rule.action(), Action::Block(_)) {
                lint_revocation(rule, &mut push);
                lint_hosts_without_mtls(rule, context, &mut push);
            }
            if let Some(skip) = enabled()
                .take_while(|earlier| earlier.index() < rule.index())
                .find(|earlier| *earlier.action() == Action::Skip && shadows(earlier, rule))
            {
                push(LintKind::Shadowed { by: skip.id().to_owned() }, rule.expression().root().span());
            }
        }
        let uncovered = context
            .mtls_hosts
            .iter()
            .flatten()
            .filter(|host| !enabled().any(|rule| asks_for_certificate(rule.expression()) && concerns(rule, host)));
        found.extend(uncovered.map(|host| {
            let kind = LintKind::MtlsWithoutRule { host: (*host).to_owned() };
            Lint { rule: None, kind, span: Span::default() }
        }));
        found
    }
}

/// Takes what a lint finds.
type Push<'p> = &'p mut dyn FnMut(LintKind, Span);

fn lint_host_literals(comparison: &Comparison, push: Push<'_>) {
    if comparison.left.plain_field() != Some(Field::HttpHost) {
        return;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match &comparison.test {
        Test::Order { op: OrderOp::Equal | OrderOp::NotEqual, literal: Literal::Bytes(literal) } => {
            lint_whole_host(&literal.bytes, literal.span, push);
        }
        Test::OneOf(Set::Bytes(items)) => items.iter().for_each(|item| lint_whole_host(&item.bytes, item.span, push)),
        Test::Contains(part) if !part.bytes.iter().all(|byte| is_host_byte(*byte)) => {
            push(LintKind::ImpossibleHost { literal: text(&part.bytes) }, part.span);
        }
        Test::Wildcard(wildcard) => {
            let lower = wildcard.literal.bytes.to_ascii_lowercase();
            let bytes = if wildcard.strict { &*wildcard.literal.bytes } else { &lower };
            if !bytes.iter().all(|byte| *byte == b'*' || is_host_byte(*byte)) {
                push(LintKind::ImpossibleHost { literal: text(&wildcard.literal.bytes) }, wildcard.literal.span);
            }
        }
        _ => {}
    }
}

fn lint_whole_host(literal: &[u8], span: Span, push: Push<'_>) {
    let compared = normalise_host_bytes(literal);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !is_possible_host(&compared) {
        push(LintKind::ImpossibleHost { literal: text(literal) }, span);
    } else if *compared != *literal {
        push(LintKind::HostNormalised { literal: text(literal), compared: text(&compared) }, span);
    }
}

fn lint_header_key(operand: &Operand, push: Push<'_>) {
    if let (Base::Field(Field::HttpHeaders), Some(Index::Key(key))) = (&operand.base, operand.path.first())
        && key.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        push(LintKind::HeaderKeyCase { key: (**key).to_owned(), lower: key.to_ascii_lowercase() }, operand.span);
    }
}

fn lint_all_of_nothing(logical: &Logical, push: Push<'_>) {
    match logical {
        Logical::Combine { items, .. } => items.iter().for_each(|item| lint_all_of_nothing(item, push)),
        Logical::Not { inner, .. } | Logical::Group { inner, .. } => lint_all_of_nothing(inner, push),
        Logical::Quantify { quantifier: Quantifier::All, argument, span } => {
            let mut absent = None;
            if let Argument::Logical(inner) = &**argument {
                inner.each_operand(&mut |operand| {
                    if absent.is_none() && operand.is_mapped() && matches!(operand.base, Base::Field(_)) {
                        absent = Some(before_star(operand));
                    }
                });
            }
            if let Some(what) = absent {
                push(LintKind::AllOfNothing { what }, *span);
            }
        }
        Logical::Quantify { .. } | Logical::Compare(_) => {}
    }
}

/// The part of a mapped operand that may be absent.
fn before_star(operand: &Operand) -> String {
    let path = operand.path.iter().take_while(|index| **index != Index::Each).cloned().collect();
    Operand { base: operand.base.clone(), path, ty: Type::Bytes, span: operand.span }.to_string()
}

/// A blocking rule that negates `cert_verified` and nowhere looks at `cert_revoked`.
fn lint_revocation(rule: &Rule, push: Push<'_>) {
    if rule.expression().fields().contains(&Field::CertRevoked) {
        return;
    }
    if let Some(span) = negated_flag(rule.expression().root(), Field::CertVerified, false) {
        push(LintKind::RevocationNotChecked, span);
    }
}

/// Where a Boolean field stands negated.
fn negated_flag(logical: &Logical, field: Field, negated: bool) -> Option<Span> {
    match logical {
        Logical::Group { inner, .. } => negated_flag(inner, field, negated),
        Logical::Not { inner, .. } => negated_flag(inner, field, !negated),
        Logical::Combine { op: LogicalOp::And | LogicalOp::Or, items } => {
            items.iter().find_map(|item| negated_flag(item, field, negated))
        }
        Logical::Compare(comparison) => {
            (negated && comparison.left.plain_field() == Some(field)).then_some(comparison.span)
        }
        Logical::Combine { op: LogicalOp::Xor, .. } | Logical::Quantify { .. } => None,
    }
}

/// Hosts the rule names, whose clients are never asked for the certificate the rule asks about.
fn lint_hosts_without_mtls(rule: &Rule, context: &LintContext<'_>, push: Push<'_>) {
    let Some(mtls_hosts) = &context.mtls_hosts else { return };
    if negated_flag(rule.expression().root(), Field::CertVerified, false).is_none() {
        return;
    }
    let enabled: HashSet<_> = mtls_hosts.iter().map(|host| normalise_host(host)).collect();
    let mut named = HashSet::new();
    rule.expression().root().each_comparison(&mut |comparison| {
        if comparison.left.plain_field() != Some(Field::HttpHost) {
            return;
        }
        let literals = match &comparison.test {
            Test::Order { op: OrderOp::Equal, literal: Literal::Bytes(literal) } => std::slice::from_ref(literal),
            Test::OneOf(Set::Bytes(items)) => items,
            _ => return,
        };
        for literal in literals {
            let Ok(host) = std::str::from_utf8(&literal.bytes) else { continue };
            let host = normalise_host(host);
            let blocks_everyone = || rule.residual(&without_certificate(&host)) != Residual::False;
            if !enabled.contains(&host) && named.insert(host.clone()) && blocks_everyone() {
                push(LintKind::HostWithoutMtls { host: host.into_owned() }, literal.span);
            }
        }
    });
}

/// What is known of every request for a host whose clients are not asked for a certificate.
fn without_certificate(host: &str) -> FactSet {
    let mut known = FactSet::for_host(host);
    for field in [Field::CertVerified, Field::CertRevoked, Field::CertPresented] {
        let is_bool = known.insert(field, Value::Bool(false));
        debug_assert!(is_bool.is_ok(), "certificate flags are Booleans");
    }
    known
}

fn asks_for_certificate(expression: &Expression) -> bool {
    expression.fields().iter().any(|field| field.spec().source == Source::Certificate)
}

fn concerns(rule: &Rule, host: &str) -> bool {
    rule.residual(&FactSet::for_host(host)) != Residual::False
}

/// Whether `skip` is certainly true for everything `rule` can be true for: always, or for each of the hosts it is bound to.
fn shadows(skip: &Rule, rule: &Rule) -> bool {
    let is_true_for = |known: &FactSet| skip.residual(known) == Residual::True;
    is_true_for(&FactSet::default())
        || rule.hosts().is_some_and(|hosts| {
            !hosts.is_empty()
                && hosts
                    .iter()
                    .all(|host| std::str::from_utf8(host).is_ok_and(|host| is_true_for(&FactSet::for_host(host))))
        })
}

impl Lint {
    /// The warning as one line.
    #[must_use]
    pub fn message(&self) -> String {
        self.kind.to_string()
    }
}
