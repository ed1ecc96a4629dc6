//! Lists that rules can name, as Cloudflare's API has them.

use std::sync::Arc;

use axum::extract::State;
use filter_rules::{Expression, ListProblem, Lists};

use super::super::answer::{Answer, Page};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Named};
use crate::control::Control;
use crate::model::{self, Change, ListId, ListKind, ListRecord, Scope, Timestamp};

/// Lists the lists.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/rules/lists", tag = "lists",
    responses((status = 200, body = Envelope<Vec<dto::List>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(account): Named<String>,
) -> Result<Page<dto::List>, ApiError> {
    caller.account(&account, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Page::whole(state.lists().map(|list| shown(list, &state)).collect()))
}

/// Makes a list.
#[utoipa::path(post, path = "/client/v4/accounts/{account}/rules/lists", tag = "lists", request_body = dto::CreateList,
    responses((status = 200, body = Envelope<dto::List>)))]
pub(super) async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(account): Named<String>,
    Body(wanted): Body<dto::CreateList>,
) -> Result<Answer<dto::List>, ApiError> {
    caller.account(&account, Scope::Rules)?;
    let kind = kind(&wanted.kind)?;
    let now = Timestamp::now();
    let record = ListRecord {
        id: ListId::generate(),
        kind,
        name: wanted.name,
        description: wanted.description.unwrap_or_default(),
        created: now,
        modified: now,
    };
    let plan = move |_: &model::State| Ok::<_, ApiError>((vec![Change::AddList(record.clone())], record));
    let changed = control.change(caller.intent("list create"), plan).await?;
    Ok(Answer(shown(&changed.value, &changed.state)))
}

/// Shows a list.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/rules/lists/{list}", tag = "lists",
    responses((status = 200, body = Envelope<dto::List>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, list)): Named<(String, String)>,
) -> Result<Answer<dto::List>, ApiError> {
    caller.account(&account, Scope::Read)?;
    let (state, _) = control.state().await;
    Ok(Answer(shown(find(&state, &list)?, &state)))
}

/// Describes a list.
#[utoipa::path(put, path = "/client/v4/accounts/{account}/rules/lists/{list}", tag = "lists",
    request_body = dto::DescribeList, responses((status = 200, body = Envelope<dto::List>)))]
pub(super) async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, list)): Named<(String, String)>,
    Body(wanted): Body<dto::DescribeList>,
) -> Result<Answer<dto::List>, ApiError> {
    caller.account(&account, Scope::Rules)?;
    let id = list.clone();
    let plan = move |state: &model::State| {
        let id = find(state, &id)?.id;
        Ok::<_, ApiError>((
            vec![Change::DescribeList { id, description: wanted.description, at: Timestamp::now() }],
            (),
        ))
    };
    let changed = control.change(caller.intent("list update"), plan).await?;
    Ok(Answer(shown(find(&changed.state, &list)?, &changed.state)))
}

/// Forgets a list that no rule names.
#[utoipa::path(delete, path = "/client/v4/accounts/{account}/rules/lists/{list}", tag = "lists",
    responses((status = 200, body = Envelope<dto::Id>)))]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, list)): Named<(String, String)>,
) -> Result<Answer<dto::Id>, ApiError> {
    caller.account(&account, Scope::Rules)?;
    let plan = move |state: &model::State| {
        let record = find(state, &list)?;
        let users = references(state, &record.name);
        if users > 0 {
            let message = format!("the list ${} is in use by {users} rules: change the rules first", record.name);
            return Err(ApiError::conflict(message));
        }
        Ok((vec![Change::RemoveList(record.id)], record.id))
    };
    let changed = control.change(caller.intent("list delete"), plan).await?;
    Ok(Answer(dto::Id { id: changed.value.to_string() }))
}

fn kind(name: &str) -> Result<ListKind, ApiError> {
    match name {
        "ip" => Ok(ListKind::Ip),
        "hostname" => Ok(ListKind::Hostname),
        "asn" => Ok(ListKind::Asn),
        "redirect" => {
            Err(ApiError::invalid("/kind", "this filter does not redirect: there are `ip`, `hostname` and `asn`"))
        }
        other => {
            let shown: String = other.chars().take(100).collect();
            Err(ApiError::invalid("/kind", format!("there is no kind {shown:?}; there are `ip`, `hostname` and `asn`")))
        }
    }
}

const fn kind_name(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Ip => "ip",
        ListKind::Hostname => "hostname",
        ListKind::Asn => "asn",
    }
}

/// A list, by id.
pub(super) fn find<'s>(state: &'s model::State, id: &str) -> Result<&'s Arc<ListRecord>, ApiError> {
    let id: ListId = id.parse()?;
    state.list(id).ok_or_else(|| ApiError::no_object(format!("there is no list {id}")))
}

/// How many rules name a list.
fn references(state: &model::State, name: &str) -> usize {
    let rulesets = state.records().filter_map(|record| match record {
        model::Record::Ruleset(ruleset) => Some(ruleset),
        _ => None,
    });
    // What cannot hold the name need not be parsed.
    let marked = format!("${name}");
    let rules = rulesets.flat_map(|ruleset| ruleset.rules.iter()).filter(|rule| rule.expression.contains(&marked));
    rules.filter(|rule| names(&rule.expression, name)).count()
}

fn names(expression: &str, wanted: &str) -> bool {
    let Ok(parsed) = Expression::parse(expression) else { return false };
    // Without lists, every use of one is a problem.
    let uses = parsed.list_problems(&Lists::default());
    uses.iter().any(|used| matches!(used, ListProblem::Unknown { name, .. } if &**name == wanted))
}

fn shown(list: &ListRecord, state: &model::State) -> dto::List {
    dto::List {
        id: list.id.to_string(),
        kind: kind_name(list.kind).to_owned(),
        name: list.name.clone(),
        description: list.description.clone(),
        num_items: state.item_count(list.id),
        num_referencing_filters: references(state, &list.name),
        created_on: list.created.to_string(),
        modified_on: list.modified.to_string(),
    }
}
