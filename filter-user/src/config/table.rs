//! Reads a TOML table key by key and reports everything that does not fit.
//!
//! A serde `Deserialize` stops at its first error; an operator wants all of them at once, with the line of each. So the file is read
//! as a tree of spanned values: each accessor takes a key out, notes a problem if the value has the wrong type, and [`Table::finish`]
//! reports the keys that nobody asked for.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Collector;

/// A value with the place where it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> Located<T> {
    /// Parses the value, or notes at its place why it cannot be parsed.
    pub(super) fn parse_with<U, E: Into<String>>(
        &self,
        problems: &mut Collector<'_>,
        parse: impl FnOnce(&T) -> Result<U, E>,
    ) -> Option<U> {
        parse(&self.value).map_err(|message| problems.push(self.span.clone(), message)).ok()
    }
}

/// A table that is being read.
pub(super) struct Table<'i> {
    name: String,
    span: Range<usize>,
    entries: Vec<(String, Range<usize>, Spanned<DeValue<'i>>)>,
}

impl<'i> Table<'i> {
    /// Wraps the table that messages call `name`.
    pub(super) fn new(name: &str, span: Range<usize>, table: DeTable<'i>) -> Self {
        let entries = table.into_iter().map(|(key, value)| (key.get_ref().to_string(), key.span(), value)).collect();
        Self { name: name.to_owned(), span, entries }
    }

    /// Where the table starts.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Whether `key` is there and was not taken yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, ..)| name == key)
    }

    /// Takes `key` out and notes a problem if it is there.
    pub(super) fn refuse(&mut self, problems: &mut Collector<'_>, key: &str, why: &str) {
        if let Some(index) = self.entries.iter().position(|(name, ..)| name == key) {
            let (_, span, _) = self.entries.swap_remove(index);
            problems.push(span, format!("`{key}` cannot stand in this {}: {why}", self.name));
        }
    }

    /// Notes a problem if `key` is not there.
    pub(super) fn require(&self, problems: &mut Collector<'_>, key: &str, why: &str) {
        if !self.has(key) {
            problems.push(self.span(), format!("{} has no `{key}`: {why}", self.name));
        }
    }

    fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'i>>> {
        let index = self.entries.iter().position(|(name, ..)| name == key)?;
        Some(self.entries.swap_remove(index).2)
    }

    fn typed<T>(
        &mut self,
        problems: &mut Collector<'_>,
        key: &str,
        expected: &str,
        convert: impl FnOnce(DeValue<'i>) -> Result<T, DeValue<'i>>,
    ) -> Option<Located<T>> {
        let value = self.take(key)?;
        let span = value.span();
        match convert(value.into_inner()) {
            Ok(value) => Some(Located { value, span }),
            Err(other) => {
                problems.push(span, format!("`{key}` must be {expected}, not {}", article(other.type_str())));
                None
            }
        }
    }

    /// Takes a string.
    pub(super) fn string(&mut self, problems: &mut Collector<'_>, key: &str) -> Option<Located<String>> {
        self.typed(problems, key, "a string", |value| match value {
            DeValue::String(text) => Ok(text.into_owned()),
            other => Err(other),
        })
    }

    /// Takes a Boolean.
    pub(super) fn boolean(&mut self, problems: &mut Collector<'_>, key: &str) -> Option<bool> {
        let found = self.typed(problems, key, "true or false", |value| match value {
            DeValue::Boolean(value) => Ok(value),
            other => Err(other),
        });
        found.map(|located| located.value)
    }

    /// Takes a whole number of `range`.
    pub(super) fn integer(
        &mut self,
        problems: &mut Collector<'_>,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let found = self.typed(problems, key, &expected, |value| match value {
            DeValue::Integer(number) => Ok(u64::from_str_radix(number.as_str(), number.radix()).ok()),
            other => Err(other),
        })?;
        found.parse_with(problems, |number| {
            number.filter(|number| range.contains(number)).ok_or_else(|| format!("`{key}` must be {expected}"))
        })
    }

    /// Takes a duration of `range`, written like `"500ms"` or `"1h 30m"`.
    pub(super) fn duration(
        &mut self,
        problems: &mut Collector<'_>,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let text = self.string(problems, key)?;
        text.parse_with(problems, |text| {
            let duration = humantime::parse_duration(text)
                .map_err(|error| format!("`{text}` is no duration like \"500ms\" or \"1h 30m\": {error}"))?;
            let [from, to] = [range.start(), range.end()].map(|bound| humantime::format_duration(*bound));
            if range.contains(&duration) { Ok(duration) } else { Err(format!("`{key}` must be from {from} to {to}")) }
        })
    }

    /// Takes an array of strings.
    pub(super) fn strings(&mut self, problems: &mut Collector<'_>, key: &str) -> Option<Located<Vec<Located<String>>>> {
        let array = self.typed(problems, key, "an array of strings", |value| match value {
            DeValue::Array(array) => Ok(array),
            other => Err(other),
        })?;
        let mut strings = Vec::new();
        for item in array.value {
            let span = item.span();
            match item.into_inner() {
                DeValue::String(text) => strings.push(Located { value: text.into_owned(), span }),
                other => {
                    problems.push(span, format!("`{key}` must hold strings only, not {}", article(other.type_str())));
                }
            }
        }
        Some(Located { value: strings, span: array.span })
    }

    /// Takes the sub-table `[key]`; an absent one reads as an empty one.
    pub(super) fn table(&mut self, problems: &mut Collector<'_>, key: &str) -> Table<'i> {
        let found = self.typed(problems, key, "a table", |value| match value {
            DeValue::Table(table) => Ok(table),
            other => Err(other),
        });
        let (span, table) = found.map_or_else(|| (self.span(), DeTable::new()), |found| (found.span, found.value));
        Table::new(&format!("[{key}]"), span, table)
    }

    /// Takes the array of tables `[[key]]`; messages call the items `name`.
    pub(super) fn tables(&mut self, problems: &mut Collector<'_>, key: &str, name: &str) -> Vec<Table<'i>> {
        let array = self.typed(problems, key, &format!("an array of tables, written {name}"), |value| match value {
            DeValue::Array(array) => Ok(array),
            other => Err(other),
        });
        let mut tables = Vec::new();
        for item in array.into_iter().flat_map(|array| array.value) {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => tables.push(Table::new(name, span, table)),
                other => problems.push(span, format!("{name} must be a table, not {}", article(other.type_str()))),
            }
        }
        tables
    }

    /// Notes every key that was not taken: most are typing errors, and a misspelt key must not be ignored in silence.
    pub(super) fn finish(self, problems: &mut Collector<'_>, known: &[&str]) {
        for (key, span, _) in self.entries {
            problems.push(span, format!("{} has no key `{key}`; it has {}", self.name, listed(known)));
        }
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
