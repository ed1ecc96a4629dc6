//! The account's lists as rules use them.

use cidr::IpCidr;
use filter_rules::{AddressRange, List, ListError, Lists};

use super::CompileError;
use crate::config::Config;
use crate::model::{ListKind, ListRecord, State, ZoneId};

/// The lists that a rule may name, ready to be looked into. The others cost a change of the rules nothing.
pub(super) fn lists(config: &Config, state: &State) -> Result<Lists, CompileError> {
    let zones = config.zones.iter().map(|zone| ZoneId::of_name(zone.name.as_str()));
    let rules: Vec<_> = zones.filter_map(|zone| state.ruleset(zone)).flat_map(|ruleset| &ruleset.rules).collect();
    // A string literal may look like a name: then a list is made that nobody asks.
    let is_named = |record: &ListRecord| {
        let name = format!("${}", record.name);
        rules.iter().any(|rule| rule.expression.contains(&name))
    };
    let mut lists = Lists::default();
    for record in state.lists().filter(|record| is_named(record)) {
        let failed = |error: ListError| unusable(record, error.to_string());
        lists.insert(&record.name, list(record, state)?).map_err(failed)?;
    }
    Ok(lists)
}

fn list(record: &ListRecord, state: &State) -> Result<List, CompileError> {
    let items = state.items(record.id).map(|item| item.value.as_str());
    let made: Result<List, ListError> = match record.kind {
        ListKind::Ip => {
            let range = |item: &str| item.parse::<IpCidr>().map(AddressRange::from);
            let ranges = items.map(|item| range(item).map_err(|_| unusable(record, format!("{item:?} is no network"))));
            List::addresses(ranges.collect::<Result<_, _>>()?)
        }
        ListKind::Asn => {
            let numbers =
                items.map(|item| item.parse().map_err(|_| unusable(record, format!("{item:?} is no number"))));
            List::integers(numbers.collect::<Result<_, _>>()?)
        }
        ListKind::Hostname => List::hosts(items),
    };
    made.map_err(|error| unusable(record, error.to_string()))
}

fn unusable(record: &ListRecord, message: String) -> CompileError {
    CompileError::List { list: record.name.clone(), message }
}
