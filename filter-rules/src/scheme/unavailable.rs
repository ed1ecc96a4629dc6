//! Cloudflare's fields that this filter refuses, with the reason it gives.

/// Name prefixes and why no field under them has a value here.
const UNAVAILABLE: &[(&str, &str)] = &[
    ("http.request.body.", "the verdict falls before the request's body is read"),
    ("http.response.", "the verdict falls before there is a response"),
    ("raw.http.response.", "the verdict falls before there is a response"),
    ("cf.bot_management.", "bot scores are computed by Cloudflare's service"),
    ("cf.client.bot", "the list of verified bots is kept by Cloudflare's service"),
    ("cf.verified_bot_category", "the list of verified bots is kept by Cloudflare's service"),
    ("cf.waf.", "attack scores and content scans are computed by Cloudflare's service"),
    ("cf.llm.", "prompts are in the request's body, which is not read before the verdict"),
    ("cf.worker.", "there are no Cloudflare Workers in front of this filter"),
    ("cf.api_gateway.", "it belongs to Cloudflare's API Shield service"),
    ("cf.hostname.metadata", "it belongs to Cloudflare for SaaS"),
    ("http.request.jwt.", "tokens are not validated by this filter"),
];

/// Why a field Cloudflare has is refused here; `None` for a name this crate has never heard of.
pub(crate) fn why_unavailable(name: &str) -> Option<&'static str> {
    let known_here = super::Field::from_name(name).is_some();
    UNAVAILABLE.iter().find(|(prefix, _)| !known_here && name.starts_with(prefix)).map(|(_, why)| *why)
}
