use model::{KemKeyId, ModelName, UnixTime};

use crate::{KeyId, KeyRole, SignError, cbor};

/// Why an object was not made, not opened or not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not in the one encoding that is taken, or a field is missing, unknown or malformed.
    #[error("not in the encoding that is taken")]
    Encoding {
        /// Where and why.
        #[from]
        source: cbor::Error,
    },
    /// An algorithm other than the one that this kind of object and key fixes.
    #[error("algorithm {found} is not taken here")]
    Algorithm {
        /// The COSE algorithm number that the object carries.
        found: i64,
    },
    /// The signature is not that of the key, or not in canonical form.
    #[error("the signature does not verify")]
    Signature,
    /// The object is of another type than was asked for.
    #[error("not a `{expected}`")]
    Type {
        /// The type that was asked for.
        expected: &'static str,
    },
    /// No key with this id is trusted.
    #[error("key {kid} is not among the trusted keys")]
    UnknownKey {
        /// The key that the object names.
        kid: KeyId,
    },
    /// The key is trusted for something else.
    #[error("key {kid} is no {expected} key", expected = .expected.as_str())]
    Role {
        /// The key that the object names.
        kid: KeyId,
        /// What it would have to be.
        expected: KeyRole,
    },
    /// The key is trusted for other models.
    #[error("key {kid} does not cover model {model}")]
    Scope {
        /// The key that the object names.
        kid: KeyId,
        /// The model that it does not cover.
        model: ModelName,
    },
    /// The key is trusted no longer.
    #[error("key {kid} lapsed at {not_after}")]
    KeyLapsed {
        /// The key that the object names.
        kid: KeyId,
        /// When its trust ended.
        not_after: UnixTime,
    },
    /// The object speaks of another fleet, device, key, origin or payload.
    #[error("`{field}` is another than expected")]
    Foreign {
        /// The field that differs.
        field: &'static str,
    },
    /// The object counts only later.
    #[error("not valid before {not_before}")]
    NotYet {
        /// From when on it counts.
        not_before: UnixTime,
    },
    /// The object counts no longer.
    #[error("lapsed at {not_after}")]
    Lapsed {
        /// Until when it counted.
        not_after: UnixTime,
    },
    /// Fields that contradict one another or a rule.
    #[error("{reason}")]
    Inconsistent {
        /// Which rule.
        reason: &'static str,
    },
    /// A recipient of a content key who is not, or no longer, a vault member.
    #[error("{kem} is no vault member that may hold a content key")]
    Recipient {
        /// The recipient's key.
        kem: KemKeyId,
    },
    /// Not sealed for this key, this recipient and this type, or altered.
    #[error("cannot be opened with this key for this recipient")]
    Open,
    /// The recipient's key is of small order, or the provider failed.
    #[error("cannot be sealed to this key")]
    Seal,
    /// A key that does not parse, or is weak.
    #[error("not a usable {kind} key")]
    Key {
        /// The kind of key that was expected.
        kind: &'static str,
    },
    /// A text that is not a whole enrolment token.
    #[error("not an enrolment token, or not all of it")]
    Token,
    /// The key that should have signed did not.
    #[error("nothing was signed")]
    Sign {
        /// What it said.
        #[from]
        source: SignError,
    },
}
