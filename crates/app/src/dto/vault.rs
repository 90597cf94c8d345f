use std::fmt;

use model::{PersonName, UnixTime};
use protocol::Base64;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use zeroize::Zeroizing;

use super::VaultSlot;

/// A text that is read once and never shown, logged or sent back.
#[derive(Clone, Deserialize, TS)]
#[serde(from = "String")]
#[ts(type = "string")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Makes a person's vault in an empty workspace.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct CreateVault {
    /// Whose it is.
    pub holder: PersonName,
    /// What opens it.
    pub passphrase: Secret,
    /// Spends less time on the passphrase: 64 MiB instead of what suits this computer. For training.
    #[serde(default)]
    pub light: bool,
}

/// What a passphrase opens a vault with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Opening {
    /// Nothing else.
    #[default]
    Passphrase,
    /// The keyring of this computer.
    Keyring,
    /// A token. What stands for the passphrase is its PIN.
    Token {
        /// The token's serial number; not needed where there is only one.
        #[serde(default)]
        #[ts(optional)]
        token: Option<String>,
    },
}

/// Opens the vault.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct Passphrase {
    /// What opens it.
    pub passphrase: Secret,
    /// What it opens it with.
    #[serde(default)]
    #[ts(optional, as = "Option<Opening>")]
    pub with: Opening,
}

/// Copies the sealed vault to a file.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct BackupVault {
    /// Where to.
    pub file: String,
}

/// Opens a backup as a rehearsal, and remembers that it opened.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct TestRestore {
    /// The backup.
    pub file: String,
    /// What opens it.
    pub passphrase: Secret,
    /// What that opens it with.
    #[serde(default)]
    #[ts(optional, as = "Option<Opening>")]
    pub with: Opening,
}

/// The vault at a glance. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct VaultStatus {
    /// Whose it is.
    pub holder: PersonName,
    /// Whether it is open.
    pub unlocked: bool,
    /// How often it was saved.
    #[ts(type = "number")]
    pub generation: u64,
    /// When a backup that holds every root and CA key of now last opened in a rehearsal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub backup_proven_at: Option<UnixTime>,
    /// When a backup last opened in a rehearsal, whatever it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub backup_tested_at: Option<UnixTime>,
    /// The roles of root and CA keys that no tested backup holds: they were made since.
    #[serde(default)]
    pub backup_lacks: Vec<String>,
    /// The ways in.
    #[serde(default)]
    pub slots: Vec<VaultSlot>,
    /// Its keys.
    pub keys: Vec<VaultKey>,
}

/// The public side of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct VaultKey {
    /// What it is for.
    pub role: String,
    /// Its algorithm.
    pub algorithm: String,
    /// Its public half, hexadecimal; empty for a symmetric key.
    pub public: String,
    /// The serial number of the token that it lives in, if it is not in the vault itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub token: Option<String>,
}

/// What a person hands to whoever founds the fleet or adds them to it: public halves only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct MemberCard {
    /// Who.
    pub holder: PersonName,
    /// Ed25519 keys, hexadecimal.
    pub root: String,
    /// See [`root`](Self::root).
    pub targets: String,
    /// See [`root`](Self::root).
    pub ticket: String,
    /// See [`root`](Self::root).
    pub seal: String,
    /// See [`root`](Self::root).
    pub grant: String,
    /// See [`root`](Self::root).
    pub audit: String,
    /// X25519, hexadecimal.
    pub kem: String,
    /// A certificate request (PKCS#10, DER) for the operator identity.
    pub identity: Base64,
}
