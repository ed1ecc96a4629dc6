//! `docs/rules.md`: its examples run, and its tables are those of the code. `BLESS=1` writes the tables.

use filter_rules::{Expression, FactSet, Lists, fields_markdown, functions_markdown, limits};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md");

fn page() -> String {
    std::fs::read_to_string(PATH).expect("the page is there")
}

/// The contents of the code blocks of one kind.
fn blocks(kind: &str) -> Vec<String> {
    let page = page();
    let fence = format!("\n```{kind}\n");
    let found: Vec<_> =
        page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().expect("a first piece").to_owned()).collect();
    assert!(!found.is_empty(), "the page has blocks of kind {kind}");
    found
}

#[test]
fn rules_of_the_page_parse() {
    for source in blocks("rule") {
        if let Err(error) = Expression::parse(&source) {
            panic!("{error}");
        }
    }
}

#[test]
fn results_of_the_page_are_right() {
    for block in blocks("rule-eval") {
        for example in block.split("\n\n") {
            let mut lines = example.lines();
            let source = lines.next().expect("an expression");
            let matcher = Expression::parse(source).expect(source).compile(&Lists::default()).expect(source);
            let rows: Vec<_> = lines.map(str::trim).collect();
            assert!(!rows.is_empty(), "{source} has results");
            for row in rows {
                let (facts, result) = row.rsplit_once(" is ").expect("facts, ` is `, and a result");
                let facts = FactSet::from_json(facts).expect(row);
                assert_eq!(matcher.matches(&facts).to_string(), result, "{source} with {row}");
            }
        }
    }
}

#[test]
fn errors_of_the_page_are_what_is_said() {
    for block in blocks("rule-error") {
        let (source, message) = block.split_once("\n---\n").expect("a source, a line, and the error");
        assert_eq!(Expression::parse(source).expect_err(source).to_string().trim_end(), message);
    }
}

fn limits_markdown() -> String {
    let number = |value: usize| {
        let digits = value.to_string();
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        groups.join(",")
    };
    [
        ("bytes of an expression", number(limits::EXPRESSION_BYTES_MAX)),
        ("levels of parentheses, `not` and calls", number(limits::NESTING_MAX.into())),
        ("items of an inline set", number(limits::SET_ITEMS_MAX)),
        ("stars of a wildcard", number(limits::WILDCARD_STARS_MAX)),
        ("rules of a zone", number(limits::RULES_MAX)),
        ("different regular expressions of a zone", number(limits::REGEXES_MAX)),
        ("bytes of a compiled regular expression, and of all of a zone", number(limits::REGEX_BYTES_MAX)),
        ("items of a list", number(limits::LIST_ITEMS_MAX)),
        ("bytes of a custom block body", number(limits::BLOCK_BODY_BYTES_MAX)),
        ("references in a replacement", number(limits::REPLACEMENT_REFERENCES_MAX)),
        ("rounds of `url_decode(…, \"r\")`", number(limits::URL_DECODE_ROUNDS_MAX)),
    ]
    .into_iter()
    .fold("| what | most |\n|---|---|\n".to_owned(), |table, (what, most)| format!("{table}| {what} | {most} |\n"))
}

#[test]
fn tables_of_the_page_are_those_of_the_code() {
    let mut page = page();
    for (name, table) in
        [("fields", fields_markdown()), ("functions", functions_markdown()), ("limits", limits_markdown())]
    {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let start = page.find(&begin).expect("the table begins") + begin.len();
        let stop = page.find(&end).expect("the table ends");
        page.replace_range(start..stop, &format!("\n{}\n\n", table.trim()));
    }
    // The other tests read the page meanwhile, so it is written only when there is a reason.
    if page != self::page() && std::env::var_os("BLESS").is_some() {
        std::fs::write(PATH, &page).expect("the page can be written");
    }
    assert!(page == self::page(), "tables of docs/rules.md are out of date; run with BLESS=1");
}
