//! Functions that look into JSON texts.

use serde_json::Value as Json;

use super::Arguments;
use crate::value::Value;

pub(super) fn lookup_json_string<'v>(arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    match lookup(arguments)? {
        Json::String(text) => Some(Value::from(text.into_bytes())),
        _ => None,
    }
}

pub(super) fn lookup_json_integer<'v>(arguments: Arguments<'_, 'v>) -> Option<Value<'v>> {
    lookup(arguments)?.as_i64().map(Value::Int)
}

/// The value under the keys, outermost first. The depth of the text is bounded by the JSON parser.
fn lookup(mut arguments: Arguments<'_, '_>) -> Option<Json> {
    let mut found: Json = serde_json::from_slice(&arguments.bytes(0)?).ok()?;
    for key in arguments.values.into_iter().skip(1) {
        found = match (key?, found) {
            (Value::Bytes(name), Json::Object(mut members)) => members.remove(std::str::from_utf8(&name).ok()?)?,
            (Value::Int(position), Json::Array(mut items)) => {
                let position = usize::try_from(position).ok().filter(|position| *position < items.len())?;
                items.swap_remove(position)
            }
            _ => return None,
        };
    }
    Some(found)
}
