//! From a document to the fields that it selects: fragments are put in their places, variables get their values, and what `@skip` and
//! `@include` take out is gone.

use std::collections::HashMap;

use graphql_parser::Pos;
use graphql_parser::query::{
    Definition, Directive, Document, FragmentDefinition, OperationDefinition, Selection, SelectionSet, Value,
    VariableDefinition, parse_query,
};
use serde_json::{Map, Value as Json};

use super::problem::Problem;
use crate::control::api::dto::GraphqlRequest;

/// Most fields that a document may select, with those of fragments counted wherever they are put.
pub(in super::super::super) const MAX_FIELDS: usize = 512;

/// How deep selections may be nested, fragments included.
pub(in super::super::super) const MAX_DEPTH: usize = 16;

/// Most bytes of a document.
pub(in super::super::super) const MAX_QUERY: usize = 64 * 1024;

/// A field that is asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    /// Its name in the answer.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Json>,
    pub(super) fields: Vec<Self>,
    pub(super) place: Pos,
}

/// The fields that the operation of a request selects.
pub(super) fn select(request: &GraphqlRequest) -> Result<Vec<Field>, Problem> {
    if request.query.len() > MAX_QUERY {
        return Err(Problem::parser(format!("a query has no more than {MAX_QUERY} bytes")));
    }
    let document: Document<'_, &str> =
        parse_query(&request.query).map_err(|error| Problem::parser(error.to_string()))?;
    let (definitions, selection) = operation(&document, request.operation_name.as_deref())?;
    let fragments = document.definitions.iter().filter_map(|definition| match definition {
        Definition::Fragment(fragment) => Some((fragment.name, fragment)),
        Definition::Operation(_) => None,
    });
    let mut selector = Selector {
        fragments: fragments.collect(),
        variables: variables(definitions, request.variables.as_ref())?,
        left: MAX_FIELDS,
    };
    let mut fields = Vec::new();
    selector.add(selection, MAX_DEPTH, &mut fields)?;
    Ok(fields)
}

type Operation<'s, 'd> = (&'s [VariableDefinition<'d, &'d str>], &'s SelectionSet<'d, &'d str>);

fn operation<'s, 'd>(document: &'s Document<'d, &'d str>, name: Option<&str>) -> Result<Operation<'s, 'd>, Problem> {
    let mut found = document.definitions.iter().filter_map(|definition| match definition {
        Definition::Operation(operation) => Some(operation),
        Definition::Fragment(_) => None,
    });
    let operation = found
        .by_ref()
        .find(|operation| is_named(operation, name))
        .ok_or_else(|| Problem::validation("there is no such operation"))?;
    if name.is_none() && found.next().is_some() {
        return Err(Problem::validation("there are several operations: say which one as `operationName`"));
    }
    match operation {
        OperationDefinition::SelectionSet(selection) => Ok((&[], selection)),
        OperationDefinition::Query(query) => Ok((&query.variable_definitions, &query.selection_set)),
        OperationDefinition::Mutation(_) | OperationDefinition::Subscription(_) => {
            Err(Problem::validation("only queries are answered"))
        }
    }
}

/// Whether an operation is the one of a name; every one is, if none is asked for.
fn is_named<'d>(operation: &OperationDefinition<'d, &'d str>, name: Option<&str>) -> bool {
    match (name, operation) {
        (None, _) => true,
        (Some(name), OperationDefinition::Query(query)) => query.name == Some(name),
        (Some(_), _) => false,
    }
}

fn variables<'d>(
    definitions: &[VariableDefinition<'d, &'d str>],
    given: Option<&Map<String, Json>>,
) -> Result<HashMap<&'d str, Json>, Problem> {
    let mut variables = HashMap::new();
    for definition in definitions {
        let value = match (given.and_then(|given| given.get(definition.name)), &definition.default_value) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => {
                json(default, &HashMap::new()).map_err(|problem| problem.at(definition.position))?
            }
            (None, None) => Json::Null,
        };
        variables.insert(definition.name, value);
    }
    Ok(variables)
}

struct Selector<'s, 'd> {
    fragments: HashMap<&'d str, &'s FragmentDefinition<'d, &'d str>>,
    variables: HashMap<&'d str, Json>,
    /// Fields that may still come.
    left: usize,
}

impl<'s, 'd> Selector<'s, 'd> {
    /// Adds what is selected to `fields`; a field that is there already gets more fields of its own.
    fn add(
        &mut self,
        selection: &'s SelectionSet<'d, &'d str>,
        depth: usize,
        fields: &mut Vec<Field>,
    ) -> Result<(), Problem> {
        let depth = depth.checked_sub(1).ok_or_else(|| {
            Problem::validation(format!("selections are nested more than {MAX_DEPTH} deep")).at(selection.span.0)
        })?;
        for item in &selection.items {
            match item {
                Selection::Field(field) => {
                    if !self.is_wanted(&field.directives)? {
                        continue;
                    }
                    self.left = self.left.checked_sub(1).ok_or_else(|| {
                        Problem::validation(format!("more than {MAX_FIELDS} fields are selected")).at(field.position)
                    })?;
                    let at = self.field(field, fields)?;
                    let mut inner = std::mem::take(&mut at.fields);
                    if !field.selection_set.items.is_empty() {
                        self.add(&field.selection_set, depth, &mut inner)?;
                    }
                    let key = field.alias.unwrap_or(field.name);
                    if let Some(at) = fields.iter_mut().find(|known| known.key == key) {
                        at.fields = inner;
                    }
                }
                Selection::InlineFragment(fragment) => {
                    if self.is_wanted(&fragment.directives)? {
                        self.add(&fragment.selection_set, depth, fields)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if self.is_wanted(&spread.directives)? {
                        let fragment = self.fragments.get(spread.fragment_name).copied().ok_or_else(|| {
                            let message = format!("there is no fragment `{}`", spread.fragment_name);
                            Problem::validation(message).at(spread.position)
                        })?;
                        self.add(&fragment.selection_set, depth, fields)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field<'f>(
        &self,
        field: &graphql_parser::query::Field<'d, &'d str>,
        fields: &'f mut Vec<Field>,
    ) -> Result<&'f mut Field, Problem> {
        let key = field.alias.unwrap_or(field.name);
        let mut arguments = Map::new();
        for (name, value) in &field.arguments {
            let value = json(value, &self.variables).map_err(|problem| problem.at(field.position))?;
            // A variable without a value is an argument that is not given.
            if value != Json::Null {
                arguments.insert((*name).to_owned(), value);
            }
        }
        let position = fields.iter().position(|known| known.key == key).unwrap_or(fields.len());
        if position == fields.len() {
            let name = field.name.to_owned();
            let place = field.position;
            fields.push(Field { key: key.to_owned(), name, arguments: arguments.clone(), fields: Vec::new(), place });
        }
        match fields.get_mut(position) {
            Some(known) if known.name == field.name && known.arguments == arguments => Ok(known),
            _ => Err(Problem::validation(format!("`{key}` stands for two different fields: give one another name"))
                .at(field.position)),
        }
    }

    fn is_wanted(&self, directives: &[Directive<'d, &'d str>]) -> Result<bool, Problem> {
        for directive in directives {
            let when = match directive.name {
                "include" => true,
                "skip" => false,
                name => {
                    let message = format!("there is no directive `@{name}`: there is @include and @skip");
                    return Err(Problem::validation(message).at(directive.position));
                }
            };
            let condition = directive.arguments.iter().find(|(name, _)| *name == "if");
            let condition = condition.map(|(_, value)| json(value, &self.variables)).transpose();
            match condition.map_err(|problem| problem.at(directive.position))? {
                Some(Json::Bool(condition)) if condition == when => {}
                Some(Json::Bool(_)) => return Ok(false),
                _ => {
                    let message = format!("`@{}` needs `if`, true or false", directive.name);
                    return Err(Problem::validation(message).at(directive.position));
                }
            }
        }
        Ok(true)
    }
}

/// A value with those of its variables. Enumerations become strings.
fn json<'d>(value: &Value<'d, &'d str>, variables: &HashMap<&'d str, Json>) -> Result<Json, Problem> {
    Ok(match value {
        Value::Variable(name) => variables
            .get(name)
            .cloned()
            .ok_or_else(|| Problem::validation(format!("the operation does not declare the variable `${name}`")))?,
        Value::Int(number) => number.as_i64().map_or(Json::Null, Json::from),
        Value::Float(number) => Json::from(*number),
        Value::String(text) => Json::from(text.as_str()),
        Value::Boolean(value) => Json::from(*value),
        Value::Null => Json::Null,
        Value::Enum(name) => Json::from(*name),
        Value::List(items) => Json::Array(items.iter().map(|item| json(item, variables)).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let member = |(name, value): (&&str, _)| Ok(((*name).to_owned(), json(value, variables)?));
            Json::Object(members.iter().map(member).collect::<Result<_, _>>()?)
        }
    })
}
