//! The speed goals of the rule language, each with its measure beside it, against wirefilter in the same run.
//!
//! Both engines take turns within each round, so that what else the machine does hits both; what is printed is the median of
//! the rounds. It informs and never fails: timings are no tests.

mod support;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use filter_rules::{Action, Expression, Limits, Lists, Matcher, RuleSet, RuleSpec};
use support::{EXPRESSIONS, Filled, Request, SEED, fill, wirefilter_scheme};

const ROUNDS: usize = 301;
const ITERATIONS: u32 = 2_000;

fn main() {
    let request = Request::new();
    against_wirefilter(&request);
    let facts = Filled::new(&request);
    let [dialog, revocation] = SEED.map(|source| {
        let matcher = matcher(source);
        median(|| matcher.matches(black_box(&facts)))
    });
    goal("seed's expressions", "<= 8 ns", &format!("{dialog:.1} and {revocation:.1} ns"));
    large_host_set(&request);
    rules_of_other_hosts(&request);
    bare_regex(&request);
    longest_source();
}

fn against_wirefilter(request: &Request) {
    println!("{:<64} {:>9} {:>12} {:>7}", "", "ours", "wirefilter", "ratio");
    let (mut evaluated, mut filled) = (Vec::new(), Vec::new());
    let (scheme, facts) = (wirefilter_scheme(), Filled::new(request));
    for source in EXPRESSIONS {
        let matcher = matcher(source);
        let filter = scheme.parse(source).expect("wirefilter parses it").compile();
        let context = fill(&scheme, request);
        let agree = filter.execute(&context).expect("one scheme") == matcher.matches(request);
        assert!(agree, "the engines disagree about {source}");

        let (ours, theirs) = medians(|| matcher.matches(black_box(&facts)), || filter.execute(black_box(&context)));
        let shown: String = source.chars().take(64).collect();
        println!("{shown:<64} {ours:>6.1} ns {theirs:>9.1} ns {:>7.2}", ours / theirs);
        evaluated.push(ours / theirs);

        let (ours, theirs) =
            medians(|| matcher.matches(black_box(request)), || filter.execute(&fill(&scheme, black_box(request))));
        filled.push(ours / theirs);
    }
    println!();
    goal("evaluation, geometric mean of ratios", "<= 0.6", &format!("{:.2}", geometric_mean(&evaluated)));
    goal("with filling the context, geometric mean", "<= 0.3", &format!("{:.3}", geometric_mean(&filled)));
}

fn large_host_set(request: &Request) {
    let hosts: Vec<String> = (0..10_000).map(|number| format!("\"host-{number}.example.com\"")).collect();
    let source = format!("http.host in {{{}}}", hosts.join(" "));
    let limits = Limits { expression_bytes: 1 << 20, ..Limits::default() };
    let expression = Expression::parse_with(&source, &limits).expect("within these limits");
    let matcher = expression.compile(&Lists::default()).expect("no lists");
    let mut known = Request::new();
    known.host = "host-7777.example.com";
    assert!(matcher.matches(&known) && !matcher.matches(request), "one host is in the set and one is not");
    let (miss, hit) = medians(|| matcher.matches(black_box(request)), || matcher.matches(black_box(&known)));
    goal("a set of 10,000 hosts", "<= 30 ns", &format!("{miss:.1} ns miss, {hit:.1} ns hit"));
}

fn rules_of_other_hosts(request: &Request) {
    let specs = (0..1_000).map(|number| RuleSpec {
        id: number.to_string(),
        name: String::new(),
        expression: filter_rules::mtls_rule_expression(&[&format!("host-{number}.example.com")], true),
        action: Action::Block(None),
        enabled: true,
    });
    let rules = RuleSet::compile(specs.collect(), &Lists::default()).expect("rules compile");
    let mut concerned = Request::new();
    concerned.host = "host-500.example.com";
    let none = median(|| rules.evaluate(black_box(request)).decided_by.is_some());
    let one = median(|| rules.evaluate(black_box(&concerned)).decided_by.is_some());
    goal(
        "a zone of 1,000 rules of other hosts",
        "<= 100 ns",
        &format!("{none:.1} ns, {one:.1} ns when one concerns it"),
    );
}

fn bare_regex(request: &Request) {
    let pattern = "^/api/v[0-9]+/(users|orders)/[0-9]+$";
    let matcher = matcher(&format!("http.request.uri.path matches \"{pattern}\""));
    let regex = regex::bytes::RegexBuilder::new(pattern).unicode(false).build().expect("a pattern");
    let path = b"/api/v1/orders/48151623".as_slice();
    let facts = Filled::new(request);
    let (ours, bare) = medians(|| matcher.matches(black_box(&facts)), || regex.is_match(black_box(path)));
    goal("a regex rule against the bare call", "<= 1.1", &format!("{:.2} ({ours:.1} ns / {bare:.1} ns)", ours / bare));
}

fn longest_source() {
    let mut source = String::from("ssl");
    for number in 0.. {
        let mut term = String::new();
        write!(term, " or (http.host eq \"h{number}.example.com\" and ip.src in {{10.{}.0.0/16}})", number % 256)
            .expect("writing to a string cannot fail");
        if source.len() + term.len() > filter_rules::limits::EXPRESSION_BYTES_MAX {
            break;
        }
        source.push_str(&term);
    }
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        drop(black_box(matcher(black_box(&source))));
        start.elapsed().as_secs_f64() * 1e6
    });
    goal("parse and compile 4 KB", "<= 1 ms", &format!("{:.0} µs", middle(times.collect())));
}

fn matcher(source: &str) -> Matcher {
    Expression::parse(source).expect("a source").compile(&Lists::default()).expect("no lists")
}

/// The median times of a call of two functions, in nanoseconds; they take turns.
fn medians<A, B>(mut first: impl FnMut() -> A, mut second: impl FnMut() -> B) -> (f64, f64) {
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        firsts.push(time(&mut first));
        seconds.push(time(&mut second));
    }
    (middle(firsts), middle(seconds))
}

/// The median time of a call, in nanoseconds.
fn median<R>(mut function: impl FnMut() -> R) -> f64 {
    middle((0..ROUNDS).map(|_| time(&mut function)).collect())
}

fn time<R>(function: &mut impl FnMut() -> R) -> f64 {
    let start = Instant::now();
    for _ in 0..ITERATIONS {
        black_box(function());
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(ITERATIONS)
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn geometric_mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

fn goal(what: &str, goal: &str, measured: &str) {
    println!("{what:<44} goal {goal:<10} measured {measured}");
}
