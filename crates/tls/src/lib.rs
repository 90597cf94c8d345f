//! TLS 1.3 (RFC 8446) between devices, people and the backend, always mutually authenticated (R1).
//!
//! [`ServerTls`] serves one port with two endpoints, told apart by ALPN: the normal one, where a
//! client shows a certificate of the fleet, and the enrolment one, where a device shows a self-signed
//! certificate over its new key. [`ClientTls`] is the other end. Who is there is a [`PeerIdentity`];
//! what they may do is decided at every request by whoever knows that identity.

mod client;
mod clock;
mod error;
mod identity;
mod peer;
mod provider;
mod serve;
mod server;
mod ticket;
mod verifier;

pub use client::{ClientTls, Time};
pub use clock::{Clock, SystemClock};
pub use error::{Error, is_alert};
pub use identity::Identity;
pub use peer::PeerIdentity;
pub use pki_types::CertificateDer;
pub use serve::{Limits, serve};
pub use server::ServerTls;

/// ALPN (RFC 7301) of the enrolment endpoint.
pub const ALPN_ENROL: &[u8] = b"fleetseal-enrol/1";
/// ALPN of the normal endpoint.
pub const ALPN_HTTP: &[u8] = b"http/1.1";
