//! The filter of `firewallEventsAdaptive`: which events.

use std::time::SystemTime;

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::event;
use super::problem::Problem;
use crate::telemetry::AccessRecord;

/// How deep `AND` and `OR` may be nested, and how many conditions there may be.
pub(in super::super::super) const MAX_CONDITIONS: usize = 128;

/// Conditions on an event.
#[derive(Debug)]
pub(super) enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Time(Order, SystemTime),
    /// A field is one of these values, or none of them.
    Is(String, Vec<String>, bool),
}

/// Where a moment must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    At,
    Before,
    NotAfter,
    After,
    NotBefore,
}

impl Filter {
    /// Of the argument `filter`.
    pub(super) fn read(filter: Option<&Json>) -> Result<Self, Problem> {
        let mut left = MAX_CONDITIONS;
        match filter {
            None => Ok(Self::All(Vec::new())),
            Some(Json::Object(members)) => all(members, &mut left),
            Some(_) => Err(Problem::validation("`filter` must be an object")),
        }
    }

    /// Whether an event is meant.
    pub(super) fn is(&self, record: &AccessRecord) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.is(record)),
            Self::Any(filters) => filters.iter().any(|filter| filter.is(record)),
            Self::Time(order, moment) => match order {
                Order::At => record.time == *moment,
                Order::Before => record.time < *moment,
                Order::NotAfter => record.time <= *moment,
                Order::After => record.time > *moment,
                Order::NotBefore => record.time >= *moment,
            },
            Self::Is(field, values, wanted) => {
                let found = event::text(field, record).flatten();
                found.is_some_and(|found| values.contains(&found)) == *wanted
            }
        }
    }
}

fn all(members: &Map<String, Json>, left: &mut usize) -> Result<Filter, Problem> {
    members.iter().map(|(name, value)| condition(name, value, left)).collect::<Result<_, _>>().map(Filter::All)
}

fn condition(name: &str, value: &Json, left: &mut usize) -> Result<Filter, Problem> {
    *left = left
        .checked_sub(1)
        .ok_or_else(|| Problem::validation(format!("a filter has no more than {MAX_CONDITIONS} conditions")))?;
    if let "AND" | "OR" = name {
        let wrong = || Problem::validation(format!("`{name}` must be a list of filters"));
        let Json::Array(items) = value else { return Err(wrong()) };
        let items = items.iter().map(|item| item.as_object().ok_or_else(wrong).and_then(|item| all(item, left)));
        let items = items.collect::<Result<_, _>>()?;
        return Ok(if name == "AND" { Filter::All(items) } else { Filter::Any(items) });
    }
    let (field, operator) = name.split_once('_').unwrap_or((name, ""));
    if field == "datetime" {
        return Ok(Filter::Time(order(name, operator)?, moment(name, value)?));
    }
    if !event::is_field(field) {
        return Err(Problem::validation(format!("events cannot be filtered by `{name}`")));
    }
    let (many, wanted) = match operator {
        "" => (false, true),
        "neq" => (false, false),
        "in" => (true, true),
        "notin" => (true, false),
        _ => {
            let message = format!("`{name}`: fields of text are compared by themselves, `_neq`, `_in` or `_notin`");
            return Err(Problem::validation(message));
        }
    };
    let values = match value {
        Json::Array(items) if many => items.iter().map(|item| text(name, item)).collect::<Result<_, _>>()?,
        value => vec![text(name, value)?],
    };
    Ok(Filter::Is(field.to_owned(), values, wanted))
}

fn order(name: &str, operator: &str) -> Result<Order, Problem> {
    Ok(match operator {
        "" => Order::At,
        "lt" => Order::Before,
        "leq" => Order::NotAfter,
        "gt" => Order::After,
        "geq" => Order::NotBefore,
        _ => {
            let message = format!("`{name}`: moments are compared by themselves, `_lt`, `_leq`, `_gt` or `_geq`");
            return Err(Problem::validation(message));
        }
    })
}

fn moment(name: &str, value: &Json) -> Result<SystemTime, Problem> {
    let moment = value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    moment
        .map(SystemTime::from)
        .ok_or_else(|| Problem::validation(format!("`{name}` must be a moment, such as \"2026-11-24T12:00:00Z\"")))
}

fn text(name: &str, value: &Json) -> Result<String, Problem> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        _ => Err(Problem::validation(format!("`{name}` must be compared with text"))),
    }
}
