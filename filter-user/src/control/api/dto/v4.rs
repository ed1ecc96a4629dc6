//! What Cloudflare's v4 API has of certificates, zones and accounts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A client certificate, in the form of Cloudflare's API.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClientCertificate {
    /// UUID.
    pub id: String,
    /// PEM.
    pub certificate: String,
    /// The request it was issued for, as it came.
    pub csr: Option<String>,
    /// Who issued it.
    pub certificate_authority: Issuer,
    /// Subject: CN.
    pub common_name: Option<String>,
    /// Subject: O.
    pub organization: Option<String>,
    /// Subject: OU.
    pub organizational_unit: Option<String>,
    /// Subject: C.
    pub country: Option<String>,
    /// Subject: ST.
    pub state: Option<String>,
    /// Subject: L.
    pub location: Option<String>,
    /// Decimal.
    pub serial_number: String,
    /// Lower-case hexadecimal.
    pub ski: String,
    /// Lower-case hexadecimal.
    pub fingerprint_sha256: String,
    /// Such as `ECDSAWithSHA256`.
    pub signature: String,
    /// RFC 3339.
    pub issued_on: String,
    /// RFC 3339.
    pub expires_on: String,
    /// Days from `issued_on` to `expires_on`.
    pub validity_days: u32,
    /// `active` or `revoked`.
    pub status: String,
}

/// Who issued a certificate.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Issuer {
    /// UUID.
    pub id: String,
    /// Name.
    pub name: String,
}

/// Asks for a certificate.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCertificate {
    /// PEM.
    pub csr: String,
    /// Days of validity.
    pub validity_days: u32,
}

/// Takes a revocation back. The SDKs send `{}` where a caller leaves the field out, which means the same.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reactivate {
    /// `false` is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactivate: Option<bool>,
}

/// The hosts on which clients are asked for a certificate of an authority.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostnameAssociation {
    /// Names of hosts of the zone.
    pub hostnames: Vec<String>,
    /// An uploaded CA; the zone's managed one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls_certificate_id: Option<String>,
}

/// Uploads a CA.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMtlsCertificate {
    /// Must be true: only authorities are taken.
    pub ca: bool,
    /// The certificate of the CA, PEM.
    pub certificates: String,
    /// A name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Is refused: a CA is trusted by its certificate alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
}

/// An uploaded CA.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MtlsCertificate {
    /// UUID.
    pub id: String,
    /// Always true.
    pub ca: bool,
    /// PEM.
    pub certificates: String,
    /// RFC 3339.
    pub expires_on: String,
    /// Distinguished name, as RFC 2253 writes it.
    pub issuer: String,
    /// A name.
    pub name: String,
    /// Decimal.
    pub serial_number: String,
    /// Such as `SHA256WithRSA`.
    pub signature: String,
    /// `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    /// RFC 3339.
    pub uploaded_on: String,
    /// RFC 3339; the same.
    pub updated_at: String,
}

/// What an uploaded CA is used for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MtlsAssociation {
    /// `client_certificates`, with the zone.
    pub service: String,
    /// `active`.
    pub status: String,
}

/// Uploads a CA and binds it to hosts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccessCertificate {
    /// The certificate of the CA, PEM.
    pub certificate: String,
    /// A name.
    pub name: String,
    /// Hosts on which its certificates count.
    #[serde(default)]
    pub associated_hostnames: Vec<String>,
}

/// Binds an uploaded CA to other hosts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccessCertificate {
    /// Hosts on which its certificates count.
    pub associated_hostnames: Vec<String>,
    /// Its name; cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An uploaded CA and its hosts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AccessCertificate {
    /// UUID.
    pub id: String,
    /// Hosts on which its certificates count.
    pub associated_hostnames: Vec<String>,
    /// RFC 3339.
    pub expires_on: String,
    /// SHA-256 over the certificate, lower-case hexadecimal.
    pub fingerprint: String,
    /// A name.
    pub name: String,
}

/// Settings of hosts with client certificates.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessSettings {
    /// One for each host that is to be set.
    pub settings: Vec<AccessSetting>,
}

/// Settings of a host with client certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessSetting {
    /// The host.
    pub hostname: String,
    /// Always false: there is no such network here.
    pub china_network: bool,
    /// Whether upstreams are told of the client's certificate.
    pub client_certificate_forwarding: bool,
}

/// Whatever has an id and a name.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Named {
    /// Its id; null for what has none here.
    pub id: Option<String>,
    /// Its name; null for what has none here.
    pub name: Option<String>,
}

/// The account of a zone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountReference {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A zone, in the form of Cloudflare's API.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CloudflareZone {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The domain.
    pub name: String,
    /// `active`.
    pub status: String,
    /// Always false.
    pub paused: bool,
    /// `full`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The account.
    pub account: AccountReference,
    /// The account again.
    pub owner: Named,
    /// There is one plan, with everything.
    pub plan: Plan,
    /// Facts of Cloudflare's that do not arise here.
    pub meta: ZoneMeta,
    /// Always 0.
    pub development_mode: u32,
    /// Always empty: name servers are somebody else's.
    pub name_servers: Vec<String>,
    /// Always null.
    pub original_name_servers: Option<Vec<String>>,
    /// Always null.
    pub original_registrar: Option<String>,
    /// Always null.
    pub original_dnshost: Option<String>,
    /// When its CA was made, RFC 3339.
    pub created_on: String,
    /// When its rules were modified last, RFC 3339.
    pub modified_on: String,
    /// When its CA was made, RFC 3339.
    pub activated_on: Option<String>,
}

/// A plan.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Facts of Cloudflare's zones that do not arise here.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ZoneMeta {
    /// Always 0.
    pub step: u32,
    /// Always 0.
    pub page_rule_quota: u32,
    /// Always 0.
    pub custom_certificate_quota: u32,
    /// Always false.
    pub phishing_detected: bool,
}

/// A setting of a zone.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// Its name.
    pub id: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Whether it can be changed here.
    pub editable: bool,
    /// When it was modified last; null for what never was.
    pub modified_on: Option<String>,
}

/// Changes a setting.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSetting {
    /// Its value.
    pub value: serde_json::Value,
    /// Its name, which SDKs may repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Which headers requests and responses get.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedHeaders {
    /// For requests to upstreams.
    #[serde(default)]
    pub managed_request_headers: Vec<ManagedHeader>,
    /// For responses to clients.
    #[serde(default)]
    pub managed_response_headers: Vec<ManagedHeader>,
}

/// A set of headers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedHeader {
    /// Its name.
    pub id: String,
    /// Whether it is added.
    pub enabled: bool,
    /// Always false.
    #[serde(default)]
    pub has_conflict: bool,
    /// Always empty.
    #[serde(default)]
    pub conflicts_with: Vec<String>,
}

/// An account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `standard`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was made; null.
    pub created_on: Option<String>,
}

/// Whose token it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The id of the token.
    pub id: String,
    /// Null: tokens have no e-mail address.
    pub email: Option<String>,
    /// The name of the token.
    pub first_name: Option<String>,
    /// Null.
    pub last_name: Option<String>,
    /// Always false.
    pub suspended: bool,
}

/// A token, seen by itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VerifiedToken {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `active`.
    pub status: String,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
}
