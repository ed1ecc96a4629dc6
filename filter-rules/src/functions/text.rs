//! Functions of strings and arrays.

use std::borrow::Cow;

use super::Arguments;
use crate::ast::Literal;
use crate::limits::SPLIT_PIECES_MAX;
use crate::value::Value;

pub(super) fn lower<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    Some(Value::Bytes(if source.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(source.to_ascii_lowercase())
    } else {
        source
    }))
}

pub(super) fn upper<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    Some(Value::Bytes(if source.iter().any(u8::is_ascii_lowercase) {
        Cow::Owned(source.to_ascii_uppercase())
    } else {
        source
    }))
}

pub(super) fn len<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let length = match arguments.take(0)? {
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(items) => items.len(),
        _ => return None,
    };
    Some(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

pub(super) fn starts_with<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    Some(Value::Bool(arguments.bytes(0)?.starts_with(&arguments.bytes(1)?)))
}

pub(super) fn ends_with<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    Some(Value::Bool(arguments.bytes(0)?.ends_with(&arguments.bytes(1)?)))
}

pub(super) fn concat<'v>(arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let mut present = arguments.values.into_iter().flatten();
    let first = present.next()?;
    Some(present.fold(first, |joined, next| match (joined, next) {
        (Value::Bytes(joined), Value::Bytes(next)) => {
            let mut joined = joined.into_owned();
            joined.extend_from_slice(&next);
            Value::Bytes(joined.into())
        }
        (Value::Array(mut joined), Value::Array(next)) => {
            joined.extend(next);
            Value::Array(joined)
        }
        // The parser lets only arguments of one type through.
        (joined, _) => joined,
    }))
}

pub(super) fn substring<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    let start = arguments.int(1)?;
    // An end that was given but is missing makes the result missing; one that was not given is the end of the string.
    let end = if arguments.values.len() > 2 { Some(arguments.int(2)?) } else { None };
    let length = i64::try_from(source.len()).unwrap_or(i64::MAX);
    let from_start = |position: i64| {
        let position = if position < 0 { length.saturating_add(position) } else { position };
        usize::try_from(position.clamp(0, length)).unwrap_or_default()
    };
    let (start, end) = (from_start(start), end.map_or(source.len(), from_start));
    Some(Value::Bytes(match source {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(start..end).unwrap_or_default()),
        Cow::Owned(bytes) => Cow::Owned(bytes.get(start..end).unwrap_or_default().to_vec()),
    }))
}

pub(super) fn remove_bytes<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    let removed = arguments.bytes(1)?;
    Some(Value::Bytes(source.iter().copied().filter(|byte| !removed.contains(byte)).collect::<Vec<_>>().into()))
}

pub(super) fn check_split(index: usize, literal: &Literal) -> Result<(), String> {
    match literal {
        Literal::Bytes(separator) if index == 1 && separator.bytes.is_empty() => {
            Err("the separator must not be empty".to_owned())
        }
        Literal::Int(limit) if !(1..=SPLIT_PIECES_MAX).contains(limit) => {
            Err(format!("the limit must be between 1 and {SPLIT_PIECES_MAX}, but is {limit}"))
        }
        _ => Ok(()),
    }
}

pub(super) fn split<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let source = arguments.bytes(0)?;
    let separator = arguments.bytes(1)?;
    let limit = usize::try_from(arguments.int(2)?).ok()?;
    let mut pieces = Vec::new();
    let mut rest: &[u8] = &source;
    while pieces.len().saturating_add(1) < limit {
        let Some(at) = memchr::memmem::find(rest, &separator) else { break };
        pieces.push(Value::from(rest.get(..at)?.to_vec()));
        rest = rest.get(at.saturating_add(separator.len())..)?;
    }
    pieces.push(Value::from(rest.to_vec()));
    Some(Value::Array(pieces))
}

pub(super) fn join<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let Value::Array(items) = arguments.take(0)? else { return None };
    let separator = arguments.bytes(1)?;
    let pieces: Vec<Cow<'_, [u8]>> = items.into_iter().filter_map(Value::into_bytes).collect();
    Some(Value::from(pieces.join(&*separator)))
}

pub(super) fn to_string<'v>(mut arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    let text = match arguments.take(0)? {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Ip(value) => value.to_string(),
        Value::Bytes(_) | Value::Array(_) | Value::Map(_) => return None,
    };
    Some(Value::from(text.into_bytes()))
}
