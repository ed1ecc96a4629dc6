//! Makes expressions and facts out of any bytes: the same bytes make the same ones, so a fuzzer can steer and a failure can be
//! run again. Values come from small pools, so that comparisons are true about as often as not.

/// Bytes that decide. When they are used up every decision is the first choice, so everything ends.
pub(crate) struct Choices<'d> {
    bytes: &'d [u8],
}

impl<'d> Choices<'d> {
    pub(crate) fn new(bytes: &'d [u8]) -> Self {
        Self { bytes }
    }

    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first) % count
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices.get(self.below(choices.len())).copied().unwrap_or_default()
    }
}

const STRINGS: &[&str] = &["a", "b", "ab", "A", "aB", "", "a.b", "B.", "ba", "a:1"];
const INTS: &[&str] = &["0", "1", "2", "-1", "80", "443"];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.0.0.2", "10.1.0.1", "192.0.2.1", "::1", "2001:db8::1"];
const NETWORKS: &[&str] = &[
    "10.0.0.0/8",
    "10.0.0.1",
    "10.0.0.1..10.0.0.9",
    "0.0.0.0/0",
    "::/0",
    "192.0.2.0/24",
    "2001:db8::/32",
    "10.0.0.0/16",
];

const BOOL_FIELDS: &[&str] = &["ssl", "cf.tls_client_auth.cert_verified", "cf.tls_client_auth.cert_revoked"];
const BYTES_FIELDS: &[&str] = &["http.host", "http.request.method", "http.request.uri.path"];
const INT_FIELDS: &[&str] = &["cf.edge.server_port", "ip.src.asnum"];
const IP_FIELDS: &[&str] = &["ip.src", "cf.edge.server_ip"];
const ARRAY_FIELDS: &[&str] = &["http.request.headers.names", "http.request.uri.args.values"];
const MAP_FIELDS: &[&str] = &["http.request.headers", "http.request.uri.args"];
const KEYS: &[&str] = &["a", "b"];

/// A well-typed source.
pub(crate) fn expression(choices: &mut Choices<'_>) -> String {
    logical(choices, 4)
}

fn logical(choices: &mut Choices<'_>, depth: usize) -> String {
    let Some(inner) = depth.checked_sub(1) else { return comparison(choices) };
    match choices.below(8) {
        0..=2 => comparison(choices),
        3 | 4 => {
            let op = choices.pick(&["and", "or", "xor", "&&", "||", "^^"]);
            let mut text = logical(choices, inner);
            for _ in 0..=choices.below(3) {
                text = format!("{text} {op} {}", logical(choices, inner));
            }
            text
        }
        5 => format!("({})", logical(choices, inner)),
        6 => format!("not {}", logical(choices, inner)),
        _ => format!("{}({})", choices.pick(&["any", "all"]), mapped(choices, inner)),
    }
}

/// An expression of type Array<Bool>, as an argument.
fn mapped(choices: &mut Choices<'_>, depth: usize) -> String {
    match (choices.below(6), depth.checked_sub(1)) {
        (3, Some(inner)) => {
            let op = choices.pick(&["and", "or", "xor"]);
            format!("({} {op} {})", mapped(choices, inner), mapped(choices, inner))
        }
        (4, Some(inner)) => format!("not {}", mapped(choices, inner)),
        (5, _) => {
            format!("{}({}, \"{}\")", choices.pick(&["starts_with", "ends_with"]), strings(choices), text(choices))
        }
        _ => format!("{} {}", strings(choices), bytes_test(choices)),
    }
}

/// A mapped operand of type Bytes.
fn strings(choices: &mut Choices<'_>) -> String {
    match choices.below(4) {
        0 => format!("{}[*]", choices.pick(ARRAY_FIELDS)),
        1 => format!("{}[\"{}\"][*]", choices.pick(MAP_FIELDS), choices.pick(KEYS)),
        2 => format!("{}[*][*]", choices.pick(MAP_FIELDS)),
        _ => format!("{}({}[*])[*]", choices.pick(&["lower", "upper"]), choices.pick(ARRAY_FIELDS)),
    }
}

fn comparison(choices: &mut Choices<'_>) -> String {
    match choices.below(6) {
        0 => choices.pick(BOOL_FIELDS).to_owned(),
        1 => match choices.below(4) {
            0 => choices.pick(&["true", "false"]).to_owned(),
            1 => format!("starts_with({}, \"{}\")", bytes(choices), text(choices)),
            2 => format!("ends_with({}, {})", bytes(choices), bytes(choices)),
            _ => choices.pick(BOOL_FIELDS).to_owned(),
        },
        2 | 3 => format!("{} {}", bytes(choices), bytes_test(choices)),
        4 => format!("{} {}", int(choices), int_test(choices)),
        _ => format!("{} {}", choices.pick(IP_FIELDS), ip_test(choices)),
    }
}

fn bytes(choices: &mut Choices<'_>) -> String {
    match choices.below(10) {
        6 => format!("lower({})", choices.pick(BYTES_FIELDS)),
        7 => format!("upper({})", choices.pick(BYTES_FIELDS)),
        8 => format!("{}[\"{}\"][{}]", choices.pick(MAP_FIELDS), choices.pick(KEYS), choices.below(2)),
        9 => format!("concat({}, \"{}\", {})", choices.pick(BYTES_FIELDS), text(choices), choices.pick(BYTES_FIELDS)),
        _ => choices.pick(BYTES_FIELDS).to_owned(),
    }
}

fn text(choices: &mut Choices<'_>) -> &'static str {
    choices.pick(STRINGS)
}

fn bytes_test(choices: &mut Choices<'_>) -> String {
    match choices.below(8) {
        0 | 1 => format!("{} \"{}\"", choices.pick(&["eq", "==", "ne", "lt", "le", "gt", "ge"]), text(choices)),
        2 => {
            let items: Vec<_> = (0..choices.below(12)).map(|_| format!("\"{}\"", text(choices))).collect();
            format!("in {{{}}}", items.join(" "))
        }
        3 | 4 => format!("contains \"{}\"", text(choices)),
        5 => format!("matches \"{}\"", choices.pick(&["^a", "b$", "a|b", ".", "[ab]+\\\\.?", ""])),
        6 => format!("wildcard \"{}\"", choices.pick(&["a*", "*b", "*", "a", "*a*", ""])),
        _ => format!("strict wildcard \"{}\"", choices.pick(&["a*", "*B", "*", "A", "*a*b*"])),
    }
}

fn int(choices: &mut Choices<'_>) -> String {
    if choices.one_in(3) { format!("len({})", choices.pick(BYTES_FIELDS)) } else { choices.pick(INT_FIELDS).to_owned() }
}

fn int_test(choices: &mut Choices<'_>) -> String {
    match choices.below(4) {
        0 => format!("{} {}", choices.pick(&["eq", "ne", "<", "<=", ">", ">="]), choices.pick(INTS)),
        1 => format!("in {{{} {}}}", choices.pick(INTS), choices.pick(INTS)),
        2 => format!("in {{{}..100 {}}}", choices.pick(INTS).replace("443", "1"), choices.pick(INTS)),
        _ => format!("& {}", choices.pick(INTS)),
    }
}

fn ip_test(choices: &mut Choices<'_>) -> String {
    match choices.below(3) {
        0 => format!("{} {}", choices.pick(&["eq", "ne", "<", "<=", ">", ">="]), choices.pick(ADDRESSES)),
        _ => {
            let items: Vec<_> = (0..choices.below(4)).map(|_| choices.pick(NETWORKS)).collect();
            format!("in {{{}}}", items.join(" "))
        }
    }
}

/// Facts for such sources, as JSON. Any of them may be missing.
pub(crate) fn facts(choices: &mut Choices<'_>) -> String {
    let mut members = Vec::new();
    let mut member = |choices: &mut Choices<'_>, name: &str, value: String| {
        if !choices.one_in(5) {
            members.push(format!("\"{name}\": {value}"));
        }
    };
    for name in BOOL_FIELDS {
        let value = choices.pick(&["true", "false"]).to_owned();
        member(choices, name, value);
    }
    for name in BYTES_FIELDS {
        let value = format!("\"{}\"", text(choices));
        member(choices, name, value);
    }
    for name in INT_FIELDS {
        let value = choices.pick(INTS).to_owned();
        member(choices, name, value);
    }
    for name in IP_FIELDS {
        let value = format!("\"{}\"", choices.pick(ADDRESSES));
        member(choices, name, value);
    }
    for name in ARRAY_FIELDS {
        let value = array(choices, 0);
        member(choices, name, value);
    }
    for name in MAP_FIELDS {
        let entries: Vec<_> =
            KEYS.iter().take(choices.below(3)).map(|key| format!("\"{key}\": {}", array(choices, 1))).collect();
        member(choices, name, format!("{{{}}}", entries.join(", ")));
    }
    format!("{{{}}}", members.join(", "))
}

fn array(choices: &mut Choices<'_>, least: usize) -> String {
    let items: Vec<_> = (0..choices.below(4) + least).map(|_| format!("\"{}\"", text(choices))).collect();
    format!("[{}]", items.join(", "))
}
