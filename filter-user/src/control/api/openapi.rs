//! The OpenAPI document, made from the handlers themselves, and the page that shows it.

use std::sync::Arc;

use axum::Router;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, Required, ResponseBuilder,
    SecurityRequirement,
};
use utoipa::{ToSchema as _, openapi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::dto::Failure;
use super::{v1, v4};
use crate::control::Control;

/// Where the document is.
const DOCUMENT: &str = "/api/openapi.json";

/// Where the page that shows it is.
const PAGE: &str = "/api/docs";

/// Whether nobody need say who he is to read this: the document and its page tell what is in the source.
pub(super) fn is_public(path: &str) -> bool {
    path == DOCUMENT || path == PAGE || path.strip_prefix(PAGE).is_some_and(|rest| rest.starts_with('/'))
}

/// The OpenAPI document.
pub fn document() -> OpenApi {
    described(v4::routes().merge(v1::routes())).1
}

/// Routes and document apart; the document with what all operations have in common.
pub(super) fn described(routes: OpenApiRouter<Arc<Control>>) -> (Router<Arc<Control>>, OpenApi) {
    let (routes, found) = routes.split_for_parts();
    let info = InfoBuilder::new()
        .title("mtls-filter")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "`/client/v4` speaks Cloudflare's API for client certificates, hosts, rules and lists, so that its SDKs and \
             Terraform's provider need only another base URL. `/api/v1` is this program's own.",
        ))
        .build();
    let mut document = OpenApiBuilder::new().info(info).paths(found.paths).components(found.components).build();
    let components = document.components.get_or_insert_default();
    let mut schemas = Vec::new();
    Failure::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(FAILURE.to_owned(), Failure::schema());
    components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Auth-Key")));
    components.add_security_scheme("key", key);
    document.security = Some(vec![requirement("token"), requirement("key")]);
    for (path, item) in &mut document.paths.paths {
        complete(path, item);
    }
    (routes, document)
}

/// Name of the schema of an answer that says what is wrong.
const FAILURE: &str = "Failure";

fn requirement(name: &str) -> SecurityRequirement {
    SecurityRequirement::new(name, Vec::<String>::new())
}

/// Adds to each operation of a path what its handler does not say: the parts of the path, how it fails, `If-Match` of writes.
fn complete(path: &str, item: &mut PathItem) {
    let names: Vec<&str> =
        path.split('/').filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}'))).collect();
    let writes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    for operation in writes.into_iter().flatten() {
        operation.parameters.get_or_insert_default().push(RefOr::T(if_match()));
    }
    let all = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
    for operation in all.into_iter().flatten() {
        describe(operation, &names);
        // Handlers of one name are in several modules; the id must be of one operation.
        operation.operation_id = None;
    }
}

fn describe(operation: &mut Operation, names: &[&str]) {
    let parameters = operation.parameters.get_or_insert_default();
    parameters.splice(0..0, names.iter().map(|name| RefOr::T(in_path(name))));
    let content = ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name(FAILURE)))).build();
    let failure = ResponseBuilder::new()
        .description("What was wrong, and what to do: `errors` says it.")
        .content("application/json", content)
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(failure));
}

fn in_path(name: &str) -> Parameter {
    let description = match name {
        "zone" => "A zone, by id or name.",
        "account" => "The account: `GET /client/v4/accounts` lists it.",
        "scope" => "`zones` or `accounts`.",
        "scope_id" => "A zone, by id or name, or the account.",
        "host" => "A host of the configuration.",
        "phase" => "`http_request_firewall_custom`.",
        "version" => "The number of a version.",
        "ray" => "A ray id: 16 hexadecimal digits.",
        "setting" => "The name of a setting.",
        "certificate" | "authority" => "A UUID.",
        "address" => "An IP address.",
        _ => "32 lower-case hexadecimal digits.",
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(openapi::schema::SchemaType::Type(Type::String))))
        .build()
}

fn if_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The `ETag` of an earlier answer: the change is refused with 409 if anything was changed since.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(openapi::schema::SchemaType::Type(Type::String))))
        .build()
}

/// The document, and the page that shows it. All of it is in the program: no other server is asked for anything.
pub(super) fn pages(document: OpenApi) -> Router {
    let config = Config::from(DOCUMENT).validator_url("none").persist_authorization(false);
    SwaggerUi::new(PAGE).config(config).url(DOCUMENT, document).into()
}
