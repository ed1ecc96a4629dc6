//! Facts as data: for tests, for `expr eval --facts`, for what is known ahead of time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

use serde_json::Value as Json;

use crate::facts::{Facts, Visit, VisitEntry};
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
