//! Facts as data: for tests, for `expr eval --facts`, for what is known ahead of time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use serde_json::Value as Json;

use crate::facts::{Facts, Visit, VisitEntry};
use crate::host::normalise_host;
use crate::interpret::{AllFacts, Lookup as _};
use crate::lists::Lists;
use crate::scheme::Field;
use crate::types::Type;
use crate::value::Value;

/// Facts by field. As [`Facts`] of a request, a field that is not in it is missing; as what is known ahead of time, it is
/// unknown, and only one put in as missing is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FactSet(BTreeMap<Field, Option<Value<'static>>>);

/// Why facts are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactError {
    /// The text is not JSON.
    #[error("facts are not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON is not an object of fields.
    #[error("facts are not a JSON object of values by field name")]
    NotAnObject,
    /// There is no such field.
    #[error("there is no field {0:?}")]
    UnknownField(String),
    /// The value does not have the field's type.
    #[error("field {name} is of type {ty}, and the value given is not")]
    WrongType {
        /// The field's name.
        name: &'static str,
        /// The field's type.
        ty: Type,
    },
}

impl FactSet {
    /// Facts from JSON: `{"http.host": "a", "ip.src": "10.0.0.1", "http.request.headers": {"x": ["1"]}}`. `null` is missing.
    ///
    /// # Errors
    ///
    /// When the text is not JSON, or a field is unknown or its value of another type.
    pub fn from_json(text: &str) -> Result<Self, FactError> {
        let Json::Object(members) = serde_json::from_str(text)? else { return Err(FactError::NotAnObject) };
        let mut facts = Self::default();
        for (name, json) in members {
            let field = Field::from_name(&name).ok_or(FactError::UnknownField(name))?;
            if json == Json::Null {
                facts.insert_missing(field);
            } else {
                let wrong = FactError::WrongType { name: field.name(), ty: field.ty() };
                facts.insert(field, from_json(json, field.ty()).ok_or(wrong)?)?;
            }
        }
        Ok(facts)
    }

    /// What is known of every request for a host: its `http.host`, in normal form.
    #[must_use]
    pub fn for_host(host: &str) -> Self {
        let host = normalise_host(host).into_owned().into_bytes();
        Self(BTreeMap::from([(Field::HttpHost, Some(Value::from(host)))]))
    }

    /// The values of these fields for a request, to record what a verdict was made from. Missing ones are put in as missing.
    #[must_use]
    pub fn capture<F: Facts + ?Sized>(facts: &F, fields: &[Field]) -> Self {
        let lookup = AllFacts { facts, lists: &Lists::default() };
        let value = |field: Field| {
            let Ok(value) = lookup.value(field);
            value.map(Value::into_owned)
        };
        Self(fields.iter().map(|field| (*field, value(*field))).collect())
    }

    /// The facts as JSON that [`FactSet::from_json`] reads. A string that is not UTF-8 is an array of its bytes.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let member = |(field, value): (&Field, &Option<Value<'_>>)| {
            (field.name().to_owned(), value.as_ref().map_or(Json::Null, to_json))
        };
        Json::Object(self.0.iter().map(member).collect())
    }

    /// Puts a value in, in place of what was there. A key of a map without values is no key.
    ///
    /// # Errors
    ///
    /// When the value does not have the field's type.
    pub fn insert(&mut self, field: Field, mut value: Value<'static>) -> Result<(), FactError> {
        if !value.is_of(field.ty()) {
            return Err(FactError::WrongType { name: field.name(), ty: field.ty() });
        }
        if let Value::Map(entries) = &mut value {
            entries.retain(|_, values| *values != Value::Array(Vec::new()));
        }
        self.0.insert(field, Some(value));
        Ok(())
    }

    /// Says that a field is certainly missing.
    pub fn insert_missing(&mut self, field: Field) {
        self.0.insert(field, None);
    }

    /// Takes out what is known of a field.
    pub fn remove(&mut self, field: Field) {
        self.0.remove(&field);
    }

    /// What is known of a field: nothing (`None`), that it is missing, or its value.
    #[must_use]
    pub fn known(&self, field: Field) -> Option<Option<&Value<'static>>> {
        self.0.get(&field).map(Option::as_ref)
    }

    /// The fields something is known of, in the order of the scheme.
    pub fn fields(&self) -> impl Iterator<Item = Field> + '_ {
        self.0.keys().copied()
    }

    fn value(&self, field: Field) -> Option<&Value<'static>> {
        self.known(field).flatten()
    }
}

fn from_json(json: Json, ty: Type) -> Option<Value<'static>> {
    Some(match (ty, json) {
        (Type::Bool, Json::Bool(value)) => Value::Bool(value),
        (Type::Int, Json::Number(number)) => Value::Int(number.as_i64()?),
        (Type::Ip, Json::String(text)) => Value::Ip(text.parse().ok()?),
        (Type::Bytes, Json::String(text)) => Value::from(text.into_bytes()),
        (Type::Bytes, Json::Array(bytes)) => {
            let bytes = bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()));
            Value::from(bytes.collect::<Option<Vec<u8>>>()?)
        }
        (Type::Array(element), Json::Array(items)) => {
            Value::Array(items.into_iter().map(|item| from_json(item, *element)).collect::<Option<_>>()?)
        }
        (Type::Map(element), Json::Object(members)) => {
            let entries = members
                .into_iter()
                .map(|(key, json)| from_json(json, *element).map(|value| (key.into_bytes().into(), value)));
            Value::Map(entries.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::Int(value) => Json::from(*value),
        Value::Ip(value) => Json::from(value.to_string()),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).map_or_else(|_| Json::from(bytes.to_vec()), Json::from),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            let member =
                |(key, value): (&Cow<'_, [u8]>, _)| (String::from_utf8_lossy(key).into_owned(), to_json(value));
            Json::Object(entries.iter().map(member).collect())
        }
    }
}

/// Shows strings until told to stop.
fn visit_strings<'f>(values: &'f Value<'_>, visit: Visit<'_, 'f>) -> ControlFlow<()> {
    let Value::Array(items) = values else { return ControlFlow::Continue(()) };
    items.iter().try_for_each(|item| match item {
        Value::Bytes(bytes) => visit(bytes),
        _ => ControlFlow::Continue(()),
    })
}

impl Facts for FactSet {
    fn bool(&self, field: Field) -> Option<bool> {
        match self.value(field)? {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn int(&self, field: Field) -> Option<i64> {
        match self.value(field)? {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    fn ip(&self, field: Field) -> Option<IpAddr> {
        match self.value(field)? {
            Value::Ip(value) => Some(*value),
            _ => None,
        }
    }

    fn bytes(&self, field: Field) -> Option<&[u8]> {
        match self.value(field)? {
            Value::Bytes(value) => Some(value),
            _ => None,
        }
    }

    fn each_item<'f>(&'f self, field: Field, visit: Visit<'_, 'f>) -> bool {
        let Some(values) = self.value(field) else { return false };
        let _stopped = visit_strings(values, visit);
        true
    }

    fn each_under<'f>(&'f self, field: Field, key: &[u8], visit: Visit<'_, 'f>) -> bool {
        let Some(Value::Map(entries)) = self.value(field) else { return false };
        let Some(values) = entries.get(key) else { return false };
        let _stopped = visit_strings(values, visit);
        true
    }

    fn each_entry<'f>(&'f self, field: Field, visit: VisitEntry<'_, 'f>) -> bool {
        let Some(Value::Map(entries)) = self.value(field) else { return false };
        let _stopped =
            entries.iter().try_for_each(|(key, values)| visit_strings(values, &mut |value| visit(key, value)));
        true
    }
}
