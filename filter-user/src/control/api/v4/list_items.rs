//! Items of lists.
//!
//! At Cloudflare a change of items is an operation that ends later; here it is in force when the call returns. The operation that the
//! SDKs ask for afterwards is known by its id alone, which holds the moment of its end.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use cidr::IpCidr;
use filter_rules::List;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::answer::{Answer, MAX_PER_PAGE, Page};
use super::super::caller::Caller;
use super::super::dto::{self, Envelope};
use super::super::error::ApiError;
use super::super::request::{Body, Items, Named, Search};
use super::lists::find;
use crate::control::Control;
use crate::model::{self, Change, ItemId, ListId, ListKind, Scope, Timestamp};

/// Most bytes of a body with items.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;

/// Items of a part of the list if the call does not say.
const PART: usize = 500;

/// Which items.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Where the last part ended: its `result_info.cursors.after`.
    cursor: Option<String>,
    /// Items of a part: 1 to 1000, 500 by default.
    #[param(minimum = 1, maximum = 1000)]
    per_page: Option<usize>,
    /// Only items with this in their value or comment.
    search: Option<String>,
}

/// Lists the items of a list, part by part.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/rules/lists/{list}/items", tag = "lists", params(Which),
    responses((status = 200, body = Envelope<Vec<dto::ListItem>>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, list)): Named<(String, String)>,
    Search(which): Search<Which>,
) -> Result<Page<dto::ListItem>, ApiError> {
    caller.account(&account, Scope::Read)?;
    let (state, _) = control.state().await;
    let list = find(&state, &list)?;
    let length = which.per_page.unwrap_or(PART);
    if !(1..=MAX_PER_PAGE).contains(&length) {
        return Err(ApiError::invalid("/per_page", format!("a part has 1 to {MAX_PER_PAGE} items")));
    }
    let parse =
        |text: &String| text.parse().map_err(|_| ApiError::invalid("/cursor", "this is not the cursor of an answer"));
    let after: Option<ItemId> = which.cursor.as_ref().filter(|cursor| !cursor.is_empty()).map(parse).transpose()?;
    let holds = |item: &model::ListItem| {
        let search = which.search.as_deref();
        search.is_none_or(|text| item.value.contains(text) || item.comment.contains(text))
    };
    let mut rest = state.items(list.id).filter(|item| after.is_none_or(|after| item.id > after) && holds(item));
    let part: Vec<_> = rest.by_ref().take(length).collect();
    let last = part.last().map(|item| item.id.to_string());
    let after = rest.next().and(last);
    Ok(Page::part(part.into_iter().map(|item| shown(item, list.kind)).collect(), after))
}

/// Adds items to a list; one with the value of an item that is there replaces it.
#[utoipa::path(post, path = "/client/v4/accounts/{account}/rules/lists/{list}/items", tag = "lists",
    request_body = Vec<dto::NewItem>, responses((status = 200, body = Envelope<dto::Operation>)))]
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(path): Named<(String, String)>,
    Items(wanted): Items<Vec<dto::NewItem>>,
) -> Result<Answer<dto::Operation>, ApiError> {
    write(&control, &caller, path, wanted, |list, items, at| Change::AddItems { list, items, at }).await
}

/// Replaces all items of a list.
#[utoipa::path(put, path = "/client/v4/accounts/{account}/rules/lists/{list}/items", tag = "lists",
    request_body = Vec<dto::NewItem>, responses((status = 200, body = Envelope<dto::Operation>)))]
pub(super) async fn replace(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named(path): Named<(String, String)>,
    Items(wanted): Items<Vec<dto::NewItem>>,
) -> Result<Answer<dto::Operation>, ApiError> {
    write(&control, &caller, path, wanted, |list, items, at| Change::SetItems { list, items, at }).await
}

async fn write(
    control: &Arc<Control>,
    caller: &Caller,
    (account, list): (String, String),
    wanted: Vec<dto::NewItem>,
    change: impl FnOnce(ListId, Vec<model::ListItem>, Timestamp) -> Change + Send + 'static,
) -> Result<Answer<dto::Operation>, ApiError> {
    caller.account(&account, Scope::Rules)?;
    let plan = move |state: &model::State| {
        let list = find(state, &list)?;
        let at = Timestamp::now();
        let items = wanted.into_iter().enumerate();
        let items = items.map(|(place, item)| parsed(list.id, list.kind, &format!("/{place}"), item, at));
        Ok::<_, ApiError>((vec![change(list.id, items.collect::<Result<_, _>>()?, at)], ()))
    };
    control.change(caller.intent("list items"), plan).await?;
    Ok(Answer(dto::Operation { operation_id: operation(Timestamp::now()) }))
}

/// Takes items out of a list.
#[utoipa::path(delete, path = "/client/v4/accounts/{account}/rules/lists/{list}/items", tag = "lists",
    request_body = dto::RemoveItems, responses((status = 200, body = Envelope<dto::Operation>)))]
pub(super) async fn remove(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, list)): Named<(String, String)>,
    Body(wanted): Body<dto::RemoveItems>,
) -> Result<Answer<dto::Operation>, ApiError> {
    caller.account(&account, Scope::Rules)?;
    let plan = move |state: &model::State| {
        let list = find(state, &list)?.id;
        let items = wanted.items.iter().map(|item| item.id.parse()).collect::<Result<Vec<ItemId>, _>>()?;
        Ok::<_, ApiError>((vec![Change::RemoveItems { list, items, at: Timestamp::now() }], ()))
    };
    control.change(caller.intent("list items"), plan).await?;
    Ok(Answer(dto::Operation { operation_id: operation(Timestamp::now()) }))
}

/// Shows an item of a list.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/rules/lists/{list}/items/{item}", tag = "lists",
    responses((status = 200, body = Envelope<dto::ListItem>)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Named((account, list, item)): Named<(String, String, String)>,
) -> Result<Answer<dto::ListItem>, ApiError> {
    caller.account(&account, Scope::Read)?;
    let (state, _) = control.state().await;
    let list = find(&state, &list)?;
    let id: ItemId = item.parse()?;
    let found = match state.record(&model::RecordKey::ListItem(list.id, id)) {
        Some(model::Record::ListItem(item)) => Some(shown(item, list.kind)),
        _ => None,
    };
    found.map(Answer).ok_or_else(|| ApiError::no_object(format!("there is no item {id} in this list")))
}

/// Says what became of an operation: it was over when its call returned.
#[utoipa::path(get, path = "/client/v4/accounts/{account}/rules/lists/bulk_operations/{operation}", tag = "lists",
    responses((status = 200, body = Envelope<dto::OperationState>)))]
pub(super) async fn operation_state(
    caller: Caller,
    Named((account, id)): Named<(String, String)>,
) -> Result<Answer<dto::OperationState>, ApiError> {
    caller.account(&account, Scope::Read)?;
    let completed = completed(&id).ok_or_else(|| ApiError::no_object("there is no such operation"))?;
    let completed = completed.rfc3339_seconds();
    Ok(Answer(dto::OperationState { id, status: "completed".to_owned(), completed }))
}

/// The id of an operation that ended at a moment: its second, and a part of a digest by which ids of ours are known.
fn operation(at: Timestamp) -> String {
    let seconds = format!("{:016x}", at.unix_seconds());
    format!("{seconds}{}", mark(&seconds))
}

fn completed(id: &str) -> Option<Timestamp> {
    let (seconds, rest) = id.split_at_checked(16)?;
    let at = Timestamp::from_unix_seconds(i64::from_str_radix(seconds, 16).ok()?);
    (rest == mark(seconds)).then_some(at)
}

fn mark(seconds: &str) -> String {
    let digest = digest(&SHA256, format!("list operation {seconds}").as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// An item in the one form in which it is stored.
fn parsed(
    list: ListId,
    kind: ListKind,
    pointer: &str,
    item: dto::NewItem,
    at: Timestamp,
) -> Result<model::ListItem, ApiError> {
    let value = match (kind, item.ip, item.asn, item.hostname) {
        (ListKind::Ip, Some(text), None, None) => address(&format!("{pointer}/ip"), &text),
        (ListKind::Asn, None, Some(number), None) => Ok(number.to_string()),
        (ListKind::Hostname, None, None, Some(name)) => hostname(&format!("{pointer}/hostname"), &name),
        (ListKind::Ip, ..) => {
            Err(ApiError::invalid(pointer, "an item of this list has `ip`, and nothing else but `comment`"))
        }
        (ListKind::Asn, ..) => {
            Err(ApiError::invalid(pointer, "an item of this list has `asn`, and nothing else but `comment`"))
        }
        (ListKind::Hostname, ..) => {
            Err(ApiError::invalid(pointer, "an item of this list has `hostname`, and nothing else but `comment`"))
        }
    }?;
    let comment = item.comment.unwrap_or_default();
    Ok(model::ListItem { list, id: ItemId::generate(), value, comment, created: at, modified: at })
}

fn address(pointer: &str, text: &str) -> Result<String, ApiError> {
    let network: IpCidr = text.parse().map_err(|error: cidr::errors::NetworkParseError| {
        let shown: String = text.chars().take(100).collect();
        ApiError::invalid(pointer, format!("{shown:?} is no address and no network: {error}"))
    })?;
    Ok(network.to_string())
}

fn hostname(pointer: &str, name: &dto::Hostname) -> Result<String, ApiError> {
    if name.exclude_exact_hostname.is_some() {
        let message =
            "`*.example.com` stands for the names below, `example.com` for the name itself: list what you mean";
        return Err(ApiError::invalid(format!("{pointer}/exclude_exact_hostname"), message));
    }
    let text = name.url_hostname.as_str();
    List::hosts([text]).map_err(|error| ApiError::invalid(format!("{pointer}/url_hostname"), error.to_string()))?;
    let (wildcard, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
    Ok(format!("{wildcard}{}", filter_rules::normalise_host(name)))
}

fn shown(item: &model::ListItem, kind: ListKind) -> dto::ListItem {
    let value = item.value.clone();
    let (ip, asn, hostname) = match kind {
        ListKind::Ip => (Some(value), None, None),
        ListKind::Asn => (None, value.parse().ok(), None),
        ListKind::Hostname => (None, None, Some(dto::Hostname { url_hostname: value, exclude_exact_hostname: None })),
    };
    dto::ListItem {
        id: item.id.to_string(),
        ip,
        asn,
        hostname,
        comment: item.comment.clone(),
        created_on: item.created.to_string(),
        modified_on: item.modified.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_known_by_its_id() {
        let at = Timestamp::from_unix_seconds(1_795_478_400);
        let id = operation(at);
        assert_eq!((id.len(), completed(&id)), (32, Some(at)));
        for other in ["", "x", &"0".repeat(32), &id.replace('6', "7"), &"é".repeat(16)] {
            assert_eq!(completed(other), None, "{other}");
        }
    }

    #[test]
    fn an_address_has_one_spelling_and_a_network_no_host_bits() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1/32", Some("192.0.2.1")),
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("2001:DB8::/32", Some("2001:db8::/32")),
            ("192.0.2.1/24", None),
            ("192.0.2.0/33", None),
            ("example.com", None),
            ("", None),
        ] {
            assert_eq!(address("/ip", text).ok().as_deref(), expected, "{text}");
        }
    }
}
