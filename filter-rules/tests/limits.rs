//! Every limit of a source, at the limit and one past it; and sources made to hurt.

use std::time::{Duration, Instant};

use filter_rules::{Expression, Limits, Lists, limits};

/// The message of the error, without its place.
fn refusal(source: &str, limits: &Limits) -> Option<String> {
    Expression::parse_with(source, limits).err().map(|error| error.kind().to_string())
}

/// A source at each limit, one past it, and what is then said.
fn rows() -> Vec<(&'static str, String, String, String)> {
    let nesting = usize::from(limits::NESTING_MAX);
    let parentheses = |depth: usize| format!("{}ssl{}", "(".repeat(depth), ")".repeat(depth));
    let nots = |depth: usize| format!("{}ssl", "!".repeat(depth));
    let calls = |depth: usize| format!("{}http.host{} eq \"a\"", "lower(".repeat(depth), ")".repeat(depth));
    let stars = |count: usize| format!("http.host wildcard \"{}\"", "*a".repeat(count));
    let hashes = |count: usize| format!("http.host eq r{0}\"a\"{0}", "#".repeat(count));
    let items = |count: usize| format!("cf.edge.server_port in {{{}}}", "1 ".repeat(count));
    let split = |pieces: i64| format!("split(http.host, \".\", {pieces})[0] eq \"a\"");
    let references = |count: usize| format!("regex_replace(http.host, \"(a)\", \"{}\") eq \"a\"", "${1}".repeat(count));
    let length = |bytes: usize| format!("ssl or http.host eq \"{}\"", "a".repeat(bytes - 22));
    let depth_text = format!("maximum nesting depth exceeded (limit: {nesting})");
    vec![
        ("parentheses", parentheses(nesting), parentheses(nesting + 1), depth_text.clone()),
        ("negations", nots(nesting), nots(nesting + 1), depth_text.clone()),
        ("calls", calls(nesting), calls(nesting + 1), depth_text),
        (
            "stars",
            stars(limits::WILDCARD_STARS_MAX),
            stars(limits::WILDCARD_STARS_MAX + 1),
            "wildcard has 17 star metacharacters, but the limit is 16".to_owned(),
        ),
        (
            "hashes",
            hashes(255),
            hashes(256),
            "invalid raw string hash count, there can't be more than 255 #s".to_owned(),
        ),
        (
            "set items",
            items(limits::SET_ITEMS_MAX),
            items(limits::SET_ITEMS_MAX + 1),
            "set has more items than the limit of 10000".to_owned(),
        ),
        (
            "pieces",
            split(limits::SPLIT_PIECES_MAX),
            split(limits::SPLIT_PIECES_MAX + 1),
            "invalid value of argument #2: invalid argument: \"the limit must be between 1 and 128, but is 129\""
                .to_owned(),
        ),
        (
            "references",
            references(limits::REPLACEMENT_REFERENCES_MAX),
            references(limits::REPLACEMENT_REFERENCES_MAX + 1),
            "invalid value of argument #2: invalid argument: \"a replacement may hold 8 references, but this has 9\""
                .to_owned(),
        ),
        (
            "bytes",
            length(limits::EXPRESSION_BYTES_MAX),
            length(limits::EXPRESSION_BYTES_MAX + 1),
            "expression is 4097 bytes long, but the limit is 4096".to_owned(),
        ),
    ]
}

#[test]
fn sources_at_a_limit_parse_and_one_past_it_do_not() {
    // A set at its limit is longer than an expression may be, so only the limit under test is the product's.
    let wide = Limits { expression_bytes: 1 << 20, ..Limits::default() };
    for (what, at, past, message) in rows() {
        let limits = if what == "bytes" { &Limits::default() } else { &wide };
        assert_eq!(refusal(&at, limits), None, "{what} at the limit");
        assert_eq!(refusal(&past, limits), Some(message), "{what} one past the limit");
    }
}

#[test]
fn a_regex_takes_as_many_bytes_as_its_limit_and_no_more() {
    let with = |regex_bytes| Limits { regex_bytes, ..Limits::default() };
    let source = "http.host matches \"[a-z]{500}\"";
    let least =
        (0..).step_by(64).find(|bytes| refusal(source, &with(*bytes)).is_none()).expect("some limit is large enough");
    let message = refusal(source, &with(least - 64));
    assert_eq!(message, Some(format!("Compiled regex exceeds size limit of {} bytes.", least - 64)));
}

/// Sources that are no more than annoying when time and memory are bounded.
fn hostile_sources() -> Vec<String> {
    let most = limits::EXPRESSION_BYTES_MAX;
    let fill = |unit: &str| unit.repeat(most / unit.len());
    vec![
        fill("("),
        fill("!"),
        fill("not "),
        fill("any("),
        fill("lower("),
        fill("decode_base64("),
        fill("concat(ssl,"),
        fill("ssl or "),
        format!("{}ssl", fill("ssl xor ").split_at(4_088).0),
        format!("{}(ssl{}", "(ssl xor ".repeat(128), ")".repeat(129)),
        fill("http.host[0]"),
        fill("\u{fc}"),
        fill("\0"),
        fill("\n"),
        format!("http.host eq \"{}", fill("\\\\").split_at(4_000).0),
        format!("http.host matches \"{}\"", "(a*)*".repeat(500)),
        format!("http.host matches \"{}\"", "a{1,9}{1,9}{1,9}{1,9}{1,9}"),
        format!("http.host matches \"{}{}\"", "(".repeat(900), ")".repeat(900)),
        format!("http.host in {{{}}}", fill("\"\"").split_at(4_000).0),
        format!("ip.src in {{{}}}", fill("::/0 ").split_at(4_000).0),
        "(".repeat(10_000_000),
        "a".repeat(10_000_000),
    ]
}

#[test]
fn hostile_sources_end_within_bounds() {
    // Generous: what is tested is that nothing grows out of hand, not how fast the machine is.
    const SLOWEST: Duration = Duration::from_secs(5);
    for source in hostile_sources() {
        let shown: String = source.chars().take(40).collect();
        let start = Instant::now();
        match Expression::parse(&source) {
            Ok(expression) => {
                let matcher = expression.compile(&Lists::default()).expect("no lists");
                let facts =
                    filter_rules::FactSet::from_json(&format!("{{\"http.host\": \"{}b\"}}", "a".repeat(10_000)));
                let facts = facts.expect("facts");
                assert_eq!(matcher.matches(&facts), expression.explain(&facts, &Lists::default()).result, "{shown}");
                // Canonical source may be longer than the source was.
                let wide = Limits { expression_bytes: 1 << 20, ..Limits::default() };
                let printed = Expression::parse_with(&expression.to_string(), &wide).expect("it parses");
                assert_eq!(printed.to_json(), expression.to_json());
            }
            Err(error) => assert!(error.render().len() + error.to_string().len() < 40_000, "{shown}"),
        }
        assert!(start.elapsed() < SLOWEST, "{shown} took {:?}", start.elapsed());
    }
}
