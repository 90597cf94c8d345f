use std::{io, path::PathBuf};

use envelope::SignError;
use model::Seconds;

use crate::{KeyId, KeyRole, SetId, SlotId, TokenSerial};

/// Why the vault did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no vault in this folder.
    #[error("no vault in `{}`", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// Something is there already, and nothing is overwritten.
    #[error("`{}` exists already", path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// Others could read or replace it, so that nothing in it can be believed.
    #[error("`{}` must belong to you, be no link, and be closed to group and others", path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
    },
    /// Another process holds this vault open.
    #[error("the vault in `{}` is in use by another program", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The file is not what this vault wrote: edited, cut or of a newer format.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that was wrong.
        reason: &'static str,
    },
    /// A key file of an earlier day stands in the place of the newest.
    #[error("the vault is older (generation {generation}) than last seen ({last_seen})")]
    OlderThanLastSeen {
        /// The generation in the file.
        generation: u64,
        /// The highest one that state file or audit log remember.
        last_seen: u64,
    },
    /// Derivation parameters outside what is safe and bearable.
    #[error("refused derivation parameters: {reason}")]
    Params {
        /// Which bound they break.
        reason: &'static str,
    },
    /// Deriving a key from the passphrase failed, most likely for want of memory.
    #[error("failed to derive a key from the passphrase")]
    Derivation,
    /// The passphrase is too easy to guess.
    #[error("the passphrase is too weak: {reason}")]
    WeakPassphrase {
        /// What to do better.
        reason: String,
    },
    /// The passphrase opens no slot.
    #[error("wrong passphrase; next try in {} s", wait.0)]
    WrongPassphrase {
        /// How long the next try is refused.
        wait: Seconds,
    },
    /// After wrong passphrases, the next try is not taken yet.
    #[error("too many wrong passphrases; next try in {} s", wait.0)]
    TooEarly {
        /// How long to wait.
        wait: Seconds,
    },
    /// There is no slot of this kind.
    #[error("no {kind} slot opens this vault")]
    NoSlot {
        /// The kind asked for.
        kind: &'static str,
    },
    /// There is no such slot in this vault.
    #[error("no slot {id} in this vault")]
    UnknownSlot {
        /// The slot asked for.
        id: SlotId,
    },
    /// A slot that was not made for the present master key: its row was swapped or edited.
    #[error("slot {id} is not of this vault's making")]
    SlotForeign {
        /// The slot.
        id: SlotId,
    },
    /// Without this slot nobody could be sure to open the vault again: a set of shares counts once it was tested.
    #[error("the last slot that can be relied upon stays")]
    LastSlot,
    /// The vault has as many slots as it can.
    #[error("a vault has at most {most} slots")]
    TooManySlots {
        /// The most slots.
        most: usize,
    },
    /// A slot's label is longer than 128 bytes or holds control characters.
    #[error("a slot's label has at most 128 bytes and no control characters")]
    SlotLabel,
    /// A set of shares with these numbers would be of no use.
    #[error("shares need a threshold from 2 up to their count, and a count of at most {most}")]
    ShareNumbers {
        /// The most shares.
        most: u8,
    },
    /// A word of a share is in no list.
    #[error("word {at} of the share is unknown")]
    ShareWord {
        /// Its place, from 1.
        at: usize,
    },
    /// A share has another number of words.
    #[error("a share has 32 words, not {words}")]
    ShareLength {
        /// How many there were.
        words: usize,
    },
    /// The words of a share do not fit together: one was misread, or two changed places.
    #[error("the checksum of the share does not fit its words")]
    ShareChecksum,
    /// A share of another format.
    #[error("the share is of a format that is not known here")]
    ShareFormat,
    /// Shares of several sets.
    #[error("the shares are not all of one set")]
    SharesMixed,
    /// One share came twice.
    #[error("share {index} is there twice")]
    ShareTwice {
        /// Which.
        index: u8,
    },
    /// Fewer shares than their set asks for.
    #[error("{have} of the {need} shares that are needed")]
    SharesTooFew {
        /// How many there were.
        have: usize,
        /// How many it takes.
        need: usize,
    },
    /// A set of shares that no slot of this vault was made for, or no longer.
    #[error("the shares are of set {set}, which does not open this vault")]
    SharesForeign {
        /// The set.
        set: SetId,
    },
    /// Enough shares of the right set, with a good checksum each, that do not give the key.
    #[error("the shares do not open the vault: one of them is false; next try in {} s", wait.0)]
    SharesWrong {
        /// How long the next try is refused.
        wait: Seconds,
    },
    /// Nothing on this computer keeps secrets for this user.
    #[error("no keyring answers on this computer: {reason}")]
    NoKeyring {
        /// What was tried, and what came of it.
        reason: String,
    },
    /// The keyring is locked, and was not unlocked when it asked.
    #[error("the keyring of this computer is locked")]
    KeyringLocked,
    /// The keyring refused something.
    #[error("the keyring of this computer failed to {action}: {reason}")]
    KeyringFailed {
        /// What was being done, as a verb.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// The keyring does not have the slot's part: it is another computer's, another user's, or was emptied.
    #[error("the keyring of this computer has no part of a slot of this vault")]
    KeyringLacks,
    /// The vault is locked.
    #[error("the vault is locked")]
    Locked,
    /// The vault was locked while it was signing: nothing was given out.
    #[error(
        "the vault was locked before all {messages} messages were signed; none of the signatures left it"
    )]
    Interrupted {
        /// How many there were.
        messages: usize,
    },
    /// What is there is no PKCS#11 module.
    #[error("`{}` cannot be used as a PKCS#11 module: {reason}", path.display())]
    TokenModule {
        /// Its path.
        path: PathBuf,
        /// What it or the system said.
        reason: String,
    },
    /// The PKCS#11 module failed before it came to a token.
    #[error("the PKCS#11 module failed: {reason}")]
    TokenFailed {
        /// What it said.
        reason: String,
    },
    /// No PKCS#11 module was named, and the key lives in a token.
    #[error("the key lives in token {serial}, and no PKCS#11 module is set up")]
    NoTokens {
        /// The token.
        serial: TokenSerial,
    },
    /// The token is not plugged in, nor is any other.
    #[error("token {serial} is not plugged in")]
    NoToken {
        /// The token.
        serial: TokenSerial,
    },
    /// Another token is plugged in.
    #[error("token {serial} is not plugged in; there is {}", list(found))]
    WrongToken {
        /// The token asked for.
        serial: TokenSerial,
        /// What is there.
        found: Vec<TokenSerial>,
    },
    /// No slot of the vault was made for this token.
    #[error("token {serial} opens no slot of this vault; {} would", list(known))]
    TokenForeign {
        /// The token.
        serial: TokenSerial,
        /// Those that open one.
        known: Vec<TokenSerial>,
    },
    /// Two tokens say that they have this serial number.
    #[error("two tokens have the serial number {serial}")]
    TokenTwice {
        /// The serial number.
        serial: TokenSerial,
    },
    /// The token was pulled out while it was used; nothing was given out.
    #[error("token {serial} was pulled out while it was at work; nothing was given out")]
    TokenPulled {
        /// The token.
        serial: TokenSerial,
    },
    /// The token was exchanged while it was used; nothing was given out.
    #[error("token {serial} was exchanged for {found} while it was at work; nothing was given out")]
    TokenSwapped {
        /// The token that was there.
        serial: TokenSerial,
        /// What is there now.
        found: TokenSerial,
    },
    /// The token refused something.
    #[error("failed to {action} token {serial}: {reason}")]
    TokenRefused {
        /// The token.
        serial: TokenSerial,
        /// What was being done, as a verb.
        action: &'static str,
        /// What its module said.
        reason: String,
    },
    /// The token has no such key.
    #[error("token {serial} does not have the key")]
    TokenKeyMissing {
        /// The token.
        serial: TokenSerial,
    },
    /// The token has another key in the place of the one that the vault knows.
    #[error("the key in token {serial} is not the one that the vault knows")]
    TokenKeyOther {
        /// The token.
        serial: TokenSerial,
    },
    /// The key could be taken out of its token.
    #[error("the key in token {serial} could leave it: it is extractable or not sensitive")]
    TokenKeyLoose {
        /// The token.
        serial: TokenSerial,
    },
    /// A serial number that is empty, too long or not plain text.
    #[error("a token's serial number has 1 to 64 plain characters")]
    SerialText,
    /// The token's PIN was not entered since the vault was unlocked.
    #[error("the PIN of token {serial} is needed")]
    NoPin {
        /// The token.
        serial: TokenSerial,
    },
    /// The PIN is wrong.
    #[error("wrong PIN for token {serial}; {left} more before no PIN is taken here")]
    WrongPin {
        /// The token.
        serial: TokenSerial,
        /// How many more are taken.
        left: u32,
    },
    /// So many wrong PINs that the next might block the token.
    #[error("no more PINs are taken for token {serial}: another wrong one might block it")]
    PinCapped {
        /// The token.
        serial: TokenSerial,
    },
    /// The token has blocked its PIN.
    #[error("token {serial} has blocked its PIN")]
    PinBlocked {
        /// The token.
        serial: TokenSerial,
    },
    /// The key is in the vault already.
    #[error("key {id} is in the vault already")]
    KeyTwice {
        /// The key.
        id: KeyId,
    },
    /// Keys of this kind are never in a token.
    #[error("keys of this kind do not live in tokens")]
    NotInToken,
    /// The key is in a token and not in the vault.
    #[error("the key lives in a token and not in the vault")]
    NotInVault,
    /// There is no such key in this vault.
    #[error("no key {id} in this vault")]
    NoKey {
        /// The key asked for.
        id: KeyId,
    },
    /// There is no key with this role in this vault.
    #[error("no {} key in this vault", role.as_str())]
    NoRole {
        /// The role asked for.
        role: KeyRole,
    },
    /// The key's role does not allow this use.
    #[error("a {} key is not for this", role.as_str())]
    WrongUse {
        /// The role of the key.
        role: KeyRole,
    },
    /// A vault holds one key of this role, and it is there already.
    #[error("the vault has its {} key already", role.as_str())]
    OnlyOne {
        /// The role asked for.
        role: KeyRole,
    },
    /// The vault holds as many keys as it can.
    #[error("a vault holds at most {most} keys")]
    Full {
        /// The most keys.
        most: usize,
    },
    /// The backup is of another vault.
    #[error("the backup is of another vault")]
    OtherVault,
    /// The backup lacks a key that the vault has.
    #[error("the backup lacks key {id}; make a new one")]
    BackupIncomplete {
        /// The first key that it lacks.
        id: KeyId,
    },
    /// The audit log could not be read or written.
    #[error("failed to use the audit log")]
    Audit {
        /// What the database said.
        #[source]
        source: rusqlite::Error,
    },
    /// The audit log was edited, cut or reordered.
    #[error("the audit log is broken at entry {seq}")]
    AuditBroken {
        /// The first entry that does not fit.
        seq: u64,
    },
    /// A log's head was not believed.
    #[error("a log's head is not believed")]
    Log {
        /// Why.
        source: envelope::log::Error,
    },
    /// An intent's action is empty, or one of its texts is longer than 1,024 bytes.
    #[error("an audit entry needs an action, and texts of at most 1024 bytes")]
    AuditText,
    /// A fresh signature did not verify: the machine computes wrongly, and nothing was given out.
    #[error("a fresh signature did not verify")]
    SelfCheck,
    /// The system gave no random bytes, or the provider failed.
    #[error("the cryptographic provider failed")]
    Provider,
}

impl Error {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether there is no room left on the disk.
    pub fn is_full(&self) -> bool {
        let file = |source: &io::Error| {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        matches!(self, Self::Io { source, .. } if file(source))
            || matches!(self, Self::Audit { source }
                if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}

impl From<Error> for SignError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "what nobody can mend on the spot is one failure")]
    fn from(error: Error) -> Self {
        match error {
            Error::Locked => Self::Locked,
            Error::Interrupted { .. }
            | Error::NoTokens { .. }
            | Error::NoToken { .. }
            | Error::WrongToken { .. }
            | Error::TokenForeign { .. }
            | Error::TokenTwice { .. }
            | Error::TokenPulled { .. }
            | Error::TokenSwapped { .. }
            | Error::TokenRefused { .. }
            | Error::TokenKeyMissing { .. }
            | Error::TokenKeyOther { .. }
            | Error::NoPin { .. }
            | Error::WrongPin { .. }
            | Error::PinCapped { .. }
            | Error::PinBlocked { .. } => Self::Unavailable { reason: error.to_string() },
            other => Self::Failed { reason: other.to_string() },
        }
    }
}

fn list(found: &[TokenSerial]) -> String {
    found.iter().map(TokenSerial::as_str).collect::<Vec<_>>().join(", ")
}
