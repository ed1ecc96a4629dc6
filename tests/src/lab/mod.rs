//! A scenario's whole world: `client — edge — origin`, each a network namespace of its own.
//!
//! ```text
//!   namespace client            namespace edge                    namespace origin
//!   curl, openssl s_client      mtls-filter                       echo, nginx
//!   client0 10.77.1.1/24 ────── edge0 10.77.1.2/24
//!           fd77:1::1/64              fd77:1::2/64
//!                               edge1 10.77.2.1/24 ────────────── origin0 10.77.2.2/24
//!                                     fd77:2::1/64                        fd77:2::2/64
//!                                                       terminates TLS on 10.77.2.3 and fd77:2::3
//! ```
//!
//! A scenario takes a [`Setup`], starts it and plays:
//!
//! ```no_run
//! use filter_tests::lab::{API, Setup};
//!
//! fn revocation_ends_access_on_an_open_connection(setup: Setup) -> anyhow::Result<()> {
//!     let lab = setup.start()?;
//!     lab.filter.protect(API)?;
//!     let alice = lab.filter.client_certificate("alice")?;
//!     let mut connection = lab.connect(API).certificate(&alice).open()?;
//!     assert_eq!(connection.get("/")?.status, 200);
//!     lab.filter.revoke(&alice)?;
//!     assert_eq!(connection.get("/")?.status, 403);
//!     Ok(())
//! }
//! ```
//!
//! Everything is removed when the [`Lab`] is dropped, when a test panics, on Ctrl-C, and, should the process be killed
//! outright, by the next lab that starts on the machine. The host's own links are never touched, and the lab checks that
//! at its end.

mod client;
mod config;
mod datapath;
mod filter;
mod host;
mod namespace;
mod network;
mod openssl_authority;
mod origin;
mod patience;
mod pki;
mod process;
mod programs;
mod receiver;
mod registry;
mod setup;

pub use client::{Connection, Curl, CurlAnswer, Exchange, Load, Openssl, Outcome, Response, Sample, Tls, TlsClient};
pub use config::{Config, DEAD_ORIGINS, Host, PROXY_ORIGINS, TLS_ORIGINS, Upstream, Zone};
pub use datapath::Datapath;
pub use filter::{Api, CertificateRow, CommandOutcome, Filter, Status};
pub use namespace::Namespace;
pub use network::{
    CLIENT_IPV4, CLIENT_IPV6, EDGE_IPV4, EDGE_IPV6, Network, ORIGIN_IPV4, TLS_ORIGIN_IPV4, TLS_ORIGIN_IPV6,
};
pub use openssl_authority::OpensslAuthority;
pub use origin::{Echo, ListServer, Manner, Nginx, RecordedRequest, hex, replace};
pub use patience::{SLOWNESS_VARIABLE, patience};
pub use pki::{Authority, ClientCertificate, Issued};
pub use process::Process;
pub use programs::find_nginx;
pub use receiver::Receiver;
pub use registry::unique_name;
pub use setup::{API, Lab, OTHER_API, Setup, UNKNOWN, WWW, run};

/// Makes one `#[test]` per datapath of each function: the same statement must hold with XDP in front and without.
///
/// The functions take a [`Setup`] and return `anyhow::Result<()>`. A function that is left out of the list is dead code,
/// which the lint refuses.
#[macro_export]
macro_rules! on_every_datapath {
    ($($test:ident),+ $(,)?) => {
        mod native {
            $(#[test] fn $test() -> anyhow::Result<()> {
                $crate::lab::run($crate::lab::Datapath::Native, super::$test)
            })+
        }
        mod socket {
            $(#[test] fn $test() -> anyhow::Result<()> {
                $crate::lab::run($crate::lab::Datapath::Socket, super::$test)
            })+
        }
    };
}

/// Makes one `#[test]` of each function, without XDP: for what does not depend on how packets arrive.
#[macro_export]
macro_rules! in_socket_mode {
    ($($test:ident),+ $(,)?) => {
        mod socket {
            $(#[test] fn $test() -> anyhow::Result<()> {
                $crate::lab::run($crate::lab::Datapath::Socket, super::$test)
            })+
        }
    };
}
