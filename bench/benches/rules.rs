//! The rule language by phase: parse, compile, evaluate, evaluate from a request, each expression by itself, wirefilter beside
//! it; and what costs most within the limits.
#![expect(clippy::indexing_slicing, reason = "positions come from the range of all expressions")]

mod support;

use divan::{Bencher, black_box};
use filter_rules::{Expression, Lists, Matcher};
use support::{EXPRESSIONS, Filled, Request, fill, wirefilter_scheme};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

fn matcher(source: &str) -> Matcher {
    Expression::parse(source).expect("a source").compile(&Lists::default()).expect("no lists")
}

/// Positions of [`EXPRESSIONS`].
const ALL: std::ops::Range<usize> = 0..EXPRESSIONS.len();

#[divan::bench(args = ALL)]
fn parse(bencher: Bencher<'_, '_>, position: usize) {
    bencher.bench(|| Expression::parse(black_box(EXPRESSIONS[position])));
}

#[divan::bench(args = ALL)]
fn compile(bencher: Bencher<'_, '_>, position: usize) {
    let expression = Expression::parse(EXPRESSIONS[position]).expect("a source");
    bencher.bench(|| black_box(&expression).compile(&Lists::default()));
}

#[divan::bench(args = ALL)]
fn evaluate(bencher: Bencher<'_, '_>, position: usize) {
    let (matcher, request) = (matcher(EXPRESSIONS[position]), Request::new());
    let facts = Filled::new(&request);
    bencher.bench(|| matcher.matches(black_box(&facts)));
}

#[divan::bench(args = ALL)]
fn evaluate_from_a_request(bencher: Bencher<'_, '_>, position: usize) {
    let (matcher, request) = (matcher(EXPRESSIONS[position]), Request::new());
    bencher.bench(|| matcher.matches(black_box(&request)));
}

#[divan::bench(args = ALL)]
fn evaluate_wirefilter(bencher: Bencher<'_, '_>, position: usize) {
    let (scheme, request) = (wirefilter_scheme(), Request::new());
    let filter = scheme.parse(EXPRESSIONS[position]).expect("a source").compile();
    let context = fill(&scheme, &request);
    bencher.bench_local(|| filter.execute(black_box(&context)));
}

#[divan::bench(args = ALL)]
fn fill_and_evaluate_wirefilter(bencher: Bencher<'_, '_>, position: usize) {
    let (scheme, request) = (wirefilter_scheme(), Request::new());
    let filter = scheme.parse(EXPRESSIONS[position]).expect("a source").compile();
    bencher.bench_local(|| filter.execute(&fill(&scheme, black_box(&request))));
}

/// Prefixes of one field, of which none is there.
#[divan::bench(args = [1, 8, 64])]
fn prefixes(bencher: Bencher<'_, '_>, number: u32) {
    let source: Vec<_> = (0..number).map(|n| format!("starts_with(http.request.uri.path, \"/v{n}/\")")).collect();
    let (matcher, request) = (matcher(&source.join(" or ")), Request::new());
    let facts = Filled::new(&request);
    bencher.bench(|| matcher.matches(black_box(&facts)));
}

/// What costs most within the limits: the deepest source, the most needles, a pattern that backtracks elsewhere.
#[divan::bench(args = ["nesting", "needles", "backtracking", "stars"])]
fn worst_allowed(bencher: Bencher<'_, '_>, case: &str) {
    let source = match case {
        "nesting" => format!("{}ssl{}", "(".repeat(128), ")".repeat(128)),
        "needles" => {
            (0..100).map(|number| format!("http.user_agent contains \"n{number}\"")).collect::<Vec<_>>().join(" or ")
        }
        "backtracking" => r#"http.user_agent matches "(a*)*(b*)*(.*)*x$""#.to_owned(),
        _ => format!("http.user_agent wildcard \"{}\"", "*e".repeat(16)),
    };
    let (matcher, request) = (matcher(&source), Request::new());
    bencher.bench(|| matcher.matches(black_box(&request)));
}
