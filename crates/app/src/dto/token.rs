use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::Secret;

/// Looks for PKCS#11 tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS)]
pub struct ListTokens {
    /// The PKCS#11 module to use from now on, by its absolute path; the one named last if there is none.
    #[serde(default)]
    #[ts(optional)]
    pub module: Option<String>,
}

/// The tokens that are plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TokenList {
    /// The PKCS#11 module that shows them.
    pub module: String,
    /// The tokens.
    pub tokens: Vec<TokenRow>,
}

/// A token that is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TokenRow {
    /// Its serial number, which it is told by.
    pub serial: String,
    /// What its holder calls it.
    pub label: String,
    /// Its model.
    pub model: String,
    /// Whether the next wrong PIN blocks it.
    pub last_try: bool,
    /// Whether it is blocked.
    pub blocked: bool,
    /// The key pairs in it that could sign for a vault.
    pub keys: Vec<TokenKeyRow>,
}

/// A key pair in a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TokenKeyRow {
    /// Names it in its token, hexadecimal.
    pub id: String,
    /// What its holder calls it.
    pub label: String,
    /// How it signs.
    pub algorithm: String,
    /// Its public half, hexadecimal.
    pub public: String,
    /// What this vault uses it for, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub role: Option<String>,
}

/// Logs in to a token until the vault is locked.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct EnterPin {
    /// The token's serial number; not needed where there is only one.
    #[serde(default)]
    #[ts(optional)]
    pub token: Option<String>,
    /// Its PIN.
    pub pin: Secret,
}

/// Makes a key in a token.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct InitTokenKey {
    /// The token's serial number.
    pub token: String,
    /// What the key is for, such as `targets`.
    pub role: String,
}

/// Takes a key that is in a token already.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct AdoptTokenKey {
    /// The token's serial number.
    pub token: String,
    /// [`TokenKeyRow::id`].
    pub key: String,
    /// What the key shall be for, such as `targets`.
    pub role: String,
}

/// A token by its serial number.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct TokenName {
    /// [`TokenRow::serial`].
    pub token: String,
}
