//! Keys as root metadata lists them (TUF 1.0, section 4.2).

use std::fmt;

use model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{PublicKey, tuf::json};

/// What a key is called in metadata. For keys that we list it is the SHA-256 of the key's canonical
/// JSON in hexadecimal; of foreign ones nothing is assumed but that one id names one key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

/// A public key in root metadata. Keys that are not Ed25519 are carried along, and verify nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Key {
    keytype: String,
    scheme: String,
    keyval: KeyValue,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct KeyValue {
    public: String,
}

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id that is this digest in hexadecimal.
    pub fn from_digest(digest: Digest) -> Self {
        Self(digest.to_string())
    }

    /// The digest that the id of a key of ours is; all zeros for a foreign id that is none.
    pub fn digest(&self) -> Digest {
        self.0.parse().unwrap_or_else(|_| Digest::new([0; 32]))
    }

    /// The id of this Ed25519 public key.
    pub fn of(public: &[u8; 32]) -> Self {
        let key = Key::ed25519(public);
        let value = json!({
            "keytype": key.keytype,
            "scheme": key.scheme,
            "keyval": { "public": key.keyval.public },
        });
        Self(crate::sha256(&json::canonical(&value)).to_string())
    }
}

impl Key {
    /// The entry for this Ed25519 public key.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        let keyval = KeyValue { public: to_hex(public) };
        Self { keytype: "ed25519".into(), scheme: "ed25519".into(), keyval }
    }

    /// The key, where it is one that we verify with.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.bytes().map(PublicKey::Ed25519)
    }

    /// The key's bytes: what tells two keys apart, whatever they are called.
    pub(crate) fn bytes(&self) -> Option<[u8; 32]> {
        (self.keytype == "ed25519" && self.scheme == "ed25519").then(|| from_hex(&self.keyval.public))?
    }

    /// Whether `signature`, in hexadecimal, is this key's over `message`. Strict: no point of small
    /// order, no encoding that is not canonical.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        match (self.public_key(), from_hex(signature)) {
            (Some(key), Some(signature)) => key.verify(message, &signature).is_ok(),
            _ => false,
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Lower-case hexadecimal.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_is_the_digest_of_the_canonical_key() {
        let canonical = format!(
            r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#,
            "07".repeat(32)
        );
        assert_eq!(KeyId::of(&[7; 32]).as_str(), crate::sha256(canonical.as_bytes()).to_string());
    }

    #[test]
    fn a_key_of_small_order_verifies_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!Key::ed25519(&identity).verifies(b"anything", &to_hex(&signature)));
    }
}
