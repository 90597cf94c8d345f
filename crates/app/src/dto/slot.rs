use model::{PersonName, UnixTime};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Opening, Secret};

/// One way into the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct VaultSlot {
    /// Names it in this vault: 16 hexadecimal digits.
    pub id: String,
    /// Where its key comes from.
    pub kind: String,
    /// What its holder calls it.
    pub label: String,
    /// What it takes to open it, in words.
    pub detail: String,
    /// The serial number of the token that opens it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub token: Option<String>,
    /// When it was made.
    pub created_at: UnixTime,
    /// Whether one can rely on it: recovery shares only once they opened the vault.
    pub counts: bool,
}

/// All ways into the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct VaultSlotList {
    /// Oldest first.
    pub slots: Vec<VaultSlot>,
}

/// Measures a passphrase.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct MeasurePassphrase {
    /// The passphrase.
    pub passphrase: Secret,
    /// Whose it shall be: what is guessed first of them counts as known.
    #[serde(default)]
    #[ts(optional)]
    pub holder: Option<PersonName>,
}

/// How hard a passphrase is to guess.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct PassphraseStrength {
    /// 0 (guessed at once) to 4 (very unguessable).
    pub score: u8,
    /// The decimal logarithm of the number of guesses.
    pub guesses_log10: f64,
    /// Whether a vault takes it.
    pub enough: bool,
    /// What to do better; empty if nothing.
    pub advice: String,
}

/// Puts a new passphrase in the place of an old one.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct ChangePassphrase {
    /// What opens the vault now. With a keyring or a token, the new one takes the place of all passphrases.
    pub old: Secret,
    /// What that opens it with.
    #[serde(default)]
    #[ts(optional, as = "Option<Opening>")]
    pub with: Opening,
    /// What shall open it.
    pub new: Secret,
    /// Spends less time on the passphrase. For training.
    #[serde(default)]
    pub light: bool,
}

/// Adds a passphrase beside the ways in that there are.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct AddPassphrase {
    /// What to call it.
    #[serde(default)]
    pub label: String,
    /// What shall open the vault too.
    pub passphrase: Secret,
    /// Spends less time on the passphrase. For training.
    #[serde(default)]
    pub light: bool,
}

/// Adds a passphrase that opens the vault only together with this computer's keyring.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct AddKeyring {
    /// What to call it.
    #[serde(default)]
    pub label: String,
    /// What shall open the vault too.
    pub passphrase: Secret,
    /// The slot that goes in its favour, by [`VaultSlot::id`].
    #[serde(default)]
    #[ts(optional)]
    pub replaces: Option<String>,
    /// Spends less time on the passphrase. For training.
    #[serde(default)]
    pub light: bool,
}

/// Adds a token, whose PIN was entered before.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct AddTokenSlot {
    /// What to call it.
    #[serde(default)]
    pub label: String,
    /// Its serial number.
    pub token: String,
    /// A P-256 key in it, by its id in hexadecimal; a fresh one if there is none.
    #[serde(default)]
    #[ts(optional)]
    pub key: Option<String>,
    /// The slot that goes in its favour, by [`VaultSlot::id`].
    #[serde(default)]
    #[ts(optional)]
    pub replaces: Option<String>,
}

/// A slot by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct SlotName {
    /// [`VaultSlot::id`].
    pub slot: String,
}

/// Brings a vault back from a backup or a kept generation.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct RestoreVault {
    /// The backup.
    pub file: String,
    /// What opened the vault when it was made.
    pub passphrase: Secret,
    /// What that opens it with.
    #[serde(default)]
    #[ts(optional, as = "Option<Opening>")]
    pub with: Opening,
    /// Puts it in the place of a vault that is there and works.
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub replace: bool,
}

/// Makes recovery shares and writes each to a file.
#[derive(Clone, Debug, Serialize, Deserialize, TS)]
pub struct MakeShares {
    /// What to call the set.
    #[serde(default)]
    pub label: String,
    /// How many shares open the vault.
    pub threshold: u8,
    /// Where each share goes: a new file or a terminal. As many shares are made as there are names.
    pub files: Vec<String>,
}

/// Recovery shares, entered to open the vault as a rehearsal.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct TestShares {
    /// The words of each share.
    pub shares: Vec<Secret>,
}

/// Opens the vault with recovery shares and gives it a new passphrase in the place of all others.
#[derive(Clone, Debug, Deserialize, TS)]
pub struct RestoreShares {
    /// The words of each share.
    pub shares: Vec<Secret>,
    /// What shall open the vault.
    pub new: Secret,
    /// A backup to bring back; the vault in the workspace if there is none.
    #[serde(default)]
    #[ts(optional)]
    pub file: Option<String>,
    /// Puts that backup in the place of a vault that is there and works.
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub replace: bool,
    /// Spends less time on the passphrase. For training.
    #[serde(default)]
    pub light: bool,
}
