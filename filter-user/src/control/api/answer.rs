//! Answers of the API: the envelope, and pages of lists.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::dto::{Envelope, Note, ResultInfo};
use super::error::ApiError;

/// A call that did what it was asked.
pub(super) struct Answer<T>(pub(super) T);

/// The same, with something to say beside the result.
pub(super) struct Noted<T>(pub(super) T, pub(super) Note);

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    items: Vec<T>,
    info: ResultInfo,
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        envelope(self.0, Vec::new(), None)
    }
}

impl<T: Serialize> IntoResponse for Noted<T> {
    fn into_response(self) -> Response {
        envelope(self.0, vec![self.1], None)
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        envelope(self.items, Vec::new(), Some(self.info))
    }
}

fn envelope<T: Serialize>(result: T, messages: Vec<Note>, result_info: Option<ResultInfo>) -> Response {
    let envelope = Envelope { success: true, errors: Vec::new(), messages, result, result_info };
    Json(envelope).into_response()
}

/// Items of a page if the call does not say.
const PER_PAGE: usize = 20;

/// Most items of a page.
pub(super) const MAX_PER_PAGE: usize = 1_000;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Number of the page, from 1. Past the end there is an empty one.
    #[param(minimum = 1)]
    page: Option<usize>,
    /// Items of a page: 1 to 1000, 20 by default.
    #[param(minimum = 1, maximum = 1000)]
    per_page: Option<usize>,
    /// The same as `per_page`, and wins.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// How many items to pass over; wins over `page`.
    offset: Option<usize>,
}

impl Paging {
    /// One page of the items, in their order; only what is on it is made.
    pub(super) fn page<S, T>(
        &self,
        items: impl ExactSizeIterator<Item = S>,
        shown: impl FnMut(S) -> T,
    ) -> Result<Page<T>, ApiError> {
        let per_page = self.limit.or(self.per_page).unwrap_or(PER_PAGE);
        if !(1..=MAX_PER_PAGE).contains(&per_page) {
            return Err(ApiError::invalid("/per_page", format!("a page has 1 to {MAX_PER_PAGE} items")));
        }
        let page = self.page.unwrap_or(1).max(1);
        let offset = self.offset.unwrap_or_else(|| (page - 1).saturating_mul(per_page));
        let total_count = items.len();
        let items: Vec<T> = items.skip(offset).take(per_page).map(shown).collect();
        let info = ResultInfo {
            page: Some(page),
            per_page: Some(per_page),
            count: items.len(),
            total_count: Some(total_count),
            total_pages: Some(total_count.div_ceil(per_page)),
            cursors: None,
        };
        Ok(Page { items, info })
    }
}

impl<T> Page<T> {
    /// A whole list that has no pages.
    pub(super) fn whole(items: Vec<T>) -> Self {
        let count = items.len();
        let info = ResultInfo {
            page: Some(1),
            per_page: Some(count.max(1)),
            count,
            total_count: Some(count),
            total_pages: Some(1),
            cursors: None,
        };
        Self { items, info }
    }

    /// A part of a list, and where the next one begins if there is one.
    pub(super) fn part(items: Vec<T>, after: Option<String>) -> Self {
        let cursors = after.map(|after| super::dto::Cursors { after });
        let info = ResultInfo {
            page: None,
            per_page: None,
            count: items.len(),
            total_count: None,
            total_pages: None,
            cursors,
        };
        Self { items, info }
    }
}
