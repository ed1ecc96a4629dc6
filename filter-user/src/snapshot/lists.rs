//! The lists of the account as rules use them.

use std::net::IpAddr;

use cidr::IpCidr;
use filter_rules::{AddressRange, List, ListError, Lists};

use super::CompileError;
use crate::model::{ListKind, ListRecord, State};

/// Every list, ready to be looked into.
pub(super) fn lists(state: &State) -> Result<Lists, CompileError> {
    let mut lists = Lists::default();
    for record in state.lists() {
        let failed = |message: String| CompileError::List { list: record.name.clone(), message };
        let list = list(record, state)?;
        lists.insert(&record.name, list).map_err(|error| failed(error.to_string()))?;
    }
    Ok(lists)
}

fn list(record: &ListRecord, state: &State) -> Result<List, CompileError> {
    let failed = |message: String| CompileError::List { list: record.name.clone(), message };
    let items = state.items(record.id).map(|item| item.value.as_str());
    let made: Result<List, ListError> = match record.kind {
        ListKind::Ip => {
            let ranges = items.map(|item| range(item).ok_or_else(|| failed(format!("{item:?} is no network"))));
            List::addresses(ranges.collect::<Result<_, _>>()?)
        }
        ListKind::Asn => {
            let numbers = items.map(|item| item.parse().map_err(|_| failed(format!("{item:?} is no number"))));
            List::integers(numbers.collect::<Result<_, _>>()?)
        }
        ListKind::Hostname => List::hosts(items),
    };
    made.map_err(|error| failed(error.to_string()))
}

fn range(item: &str) -> Option<AddressRange> {
    let network: IpCidr = item.parse().ok()?;
    let (first, last): (IpAddr, IpAddr) = (network.first_address(), network.last_address());
    AddressRange::new(first, last)
}
