//! What travels between device, operator and backend: JSON over mutually authenticated TLS 1.3.
//!
//! Signed and sealed objects (COSE, DER, TUF metadata) travel inside as base64 and are read by the
//! crate that owns their format. Everything here is version 1 of the wire: paths begin with `/v1/`,
//! and a field is only ever added, never given another meaning.

mod base64;
pub mod device;
mod error;
pub mod operator;
pub mod smp;

pub use base64::Base64;
pub use error::{ErrorBody, ErrorCode, FieldError};

/// ALPN (RFC 7301) of the enrolment endpoint: here alone a device may show a self-signed certificate.
pub const ALPN_ENROL: &[u8] = b"fleetseal-enrol/1";
/// ALPN of everything else.
pub const ALPN_HTTP: &[u8] = b"http/1.1";

/// The largest JSON body that is read, in bytes. Batches are cut to fit.
pub const MAX_JSON_BYTES: usize = 4 * 1024 * 1024;
