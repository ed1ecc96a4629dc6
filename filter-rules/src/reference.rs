//! The scheme and the functions as tables, for a terminal and for the documentation.

use std::fmt::Write as _;

use crate::functions;
use crate::scheme::{ALIASES, Field, Source};

/// Every field with type and description, one a line, in columns: what `expr fields` prints.
#[must_use]
pub fn fields_table() -> String {
    let width = |of: fn(&crate::scheme::FieldSpec) -> usize| Field::ALL.iter().map(of).max().unwrap_or_default();
    let names = width(|spec| spec.name.len());
    let types = width(|spec| spec.ty.to_string().len());
    let mut text = String::new();
    for spec in Field::ALL {
        let ty = spec.ty.to_string();
        writeln!(text, "{:names$}  {ty:types$}  {}", spec.name, spec.doc).expect("writing to a string cannot fail");
    }
    text
}

/// The fields as Markdown tables, one for each source.
#[must_use]
pub fn fields_markdown() -> String {
    let mut text = String::new();
    let mut sources: Vec<Source> = Field::ALL.iter().map(|spec| spec.source).collect();
    sources.sort_unstable();
    sources.dedup();
    for source in sources {
        let rows = Field::ALL.iter().filter(|spec| spec.source == source);
        let rows = rows.map(|spec| format!("| `{}` | {} | {} |\n", spec.name, escape(&spec.ty.to_string()), spec.doc));
        text.extend([format!("### {}\n\n| field | type | value |\n|---|---|---|\n", source.title())]);
        text.extend(rows);
        text.push('\n');
    }
    text.push_str("### Deprecated names\n\n| name | means |\n|---|---|\n");
    text.extend(ALIASES.iter().map(|(alias, field)| format!("| `{alias}` | `{}` |\n", field.name())));
    text
}

/// The functions as a Markdown table.
#[must_use]
pub fn functions_markdown() -> String {
    let rows = functions::ALL.iter().map(|function| format!("| `{}` | {} |\n", function.usage, function.doc));
    std::iter::once("| call | value |\n|---|---|\n".to_owned()).chain(rows).collect()
}

fn escape(text: &str) -> String {
    text.replace('<', "&lt;").replace('>', "&gt;")
}
