//! `/api/v1`: revocation lists of uploaded CAs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A CA that was uploaded, and what is known of its CRL.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UploadedAuthority {
    /// UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its subject.
    pub subject: String,
    /// The zone it is bound to; absent if it is the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Last moment of its life, RFC 3339.
    pub expires_on: String,
    /// Its CRL; absent if it has none, so that only what is revoked here is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<Crl>,
}

/// The CRL of an uploaded CA.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Crl {
    /// Id of the CA.
    pub authority: String,
    /// Name of the CA.
    pub name: String,
    /// `current`; `expired` when its `nextUpdate` is past; `missing` when none was loaded yet.
    pub state: String,
    /// Whether certificates of the CA are refused, because of `state` and `when_stale`.
    pub refuses: bool,
    /// What becomes of the CA's certificates while the list is expired or missing: `deny` or `allow`.
    pub when_stale: String,
    /// Where complete lists come from; absent if they are uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where delta lists come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_source: Option<String>,
    /// How often a server is asked; a file is looked at every two seconds.
    pub refresh_seconds: u32,
    /// What is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<LoadedCrl>,
    /// What came of the last look at each source, and of the last upload.
    pub checks: Vec<CrlCheck>,
}

/// A list that is in force.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadedCrl {
    /// Its number, hexadecimal; that of the last delta if there was one.
    pub number: String,
    /// When it was made, RFC 3339.
    pub this_update: String,
    /// Until when it can be relied on, RFC 3339; absent if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_update: Option<String>,
    /// How many certificates it revokes.
    pub entries: usize,
    /// When it was loaded, RFC 3339.
    pub loaded_at: String,
}

/// What came of lists that came in one way.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CrlCheck {
    /// `source`, `delta_source` or `upload`.
    pub way: String,
    /// The last time, RFC 3339; absent if it was not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The last time that was good, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<String>,
    /// Why it was not good the last time; the list before stays in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How often it was not good, one after the other.
    pub failures: u32,
}

/// Has the CRL of an uploaded CA loaded and watched.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetCrl {
    /// The absolute path of a file, or an http or https URL. Without one, lists are uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The same, for delta lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_source: Option<String>,
    /// How often a server is asked: 60 to 604800, 3600 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_seconds: Option<u32>,
    /// What becomes of the CA's certificates while the list is expired or missing: `deny`, which is the default, or `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_stale: Option<String>,
}
