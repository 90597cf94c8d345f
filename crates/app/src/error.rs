use std::{error::Error as StdError, fmt};

use protocol::{ErrorBody, ErrorCode};

/// What every command says when it did not do what it was asked: a closed code for programs, a
/// sentence for people, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<ErrorBody>);

impl Error {
    /// An error of this code with this sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorBody::new(code, message)))
    }

    /// An error whose reason is another error.
    pub(crate) fn because(code: ErrorCode, message: impl Into<String>, source: impl StdError) -> Self {
        Self::new(code, message).detail(chain(&source))
    }

    /// Something that should not happen, and its reason.
    pub fn internal(message: impl Into<String>, source: impl StdError) -> Self {
        Self::because(ErrorCode::Internal, message, source)
    }

    /// A file that could not be used.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the system has more reasons than we have codes")]
    pub(crate) fn file(action: &str, path: &std::path::Path, source: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let (code, hint) = match source.kind() {
            K::NotFound => (ErrorCode::NotFound, "look at the path: a relative one begins in this folder"),
            K::IsADirectory | K::NotADirectory | K::InvalidData | K::UnexpectedEof => {
                (ErrorCode::InvalidRequest, "name a file of the right kind")
            }
            K::StorageFull | K::QuotaExceeded => (ErrorCode::StorageFull, "make room, then repeat it"),
            K::AlreadyExists => (ErrorCode::Conflict, "choose another name: nothing is overwritten"),
            _ => (ErrorCode::PreconditionFailed, "look at its owner, its mode and the disk"),
        };
        Self::because(code, format!("could not {action} `{}`", path.display()), source).hint(hint)
    }

    pub(crate) fn request(command: &str, source: &serde_json::Error) -> Self {
        Self::new(ErrorCode::InvalidRequest, format!("the request of `{command}` cannot be read"))
            .detail(source.to_string())
    }

    pub(crate) fn unknown_command(name: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no command `{name}`"))
    }

    /// With the reason why.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The error as it crosses to a screen or a script.
    pub fn body(&self) -> &ErrorBody {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {}

impl From<ErrorBody> for Error {
    fn from(body: ErrorBody) -> Self {
        Self(Box::new(body))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what nobody can act on shares a code")]
impl From<vault::Error> for Error {
    fn from(error: vault::Error) -> Self {
        use envelope::log::Error as L;
        use vault::Error as E;
        let (code, hint) = match &error {
            full if full.is_full() => {
                (ErrorCode::StorageFull, "make room on this computer, then repeat it: nothing was lost")
            }
            E::Io { action, path, source } => return Self::file(action, path, source),
            E::Missing { .. } => (ErrorCode::NotFound, "make one with `fleetseal vault create`"),
            E::Exists { .. } => (ErrorCode::Conflict, "choose another place"),
            E::Exposed { .. } => (
                ErrorCode::VaultUntrusted,
                "find out who changed its owner or mode, then close it with chmod go-rwx",
            ),
            E::InUse { .. } => (ErrorCode::Conflict, "close the other program that uses this vault"),
            E::Damaged { .. } | E::AuditBroken { .. } => {
                (ErrorCode::VaultUntrusted, "restore a backup, and find out who wrote to the vault's folder")
            }
            E::OlderThanLastSeen { .. } => (
                ErrorCode::VaultUntrusted,
                "somebody put an older vault in its place: restore the newest backup",
            ),
            E::WeakPassphrase { .. } => {
                (ErrorCode::InvalidRequest, "four or more random words make a good one")
            }
            E::WrongPassphrase { .. } | E::TooEarly { .. } => {
                (ErrorCode::WrongPassphrase, "wait, then try again; each wrong try doubles the wait")
            }
            E::NoSlot { .. } => (ErrorCode::NotFound, "`fleetseal vault slot list` shows what opens it"),
            E::UnknownSlot { .. } => (ErrorCode::NotFound, "`fleetseal vault slot list` shows the slots"),
            E::LastSlot => (
                ErrorCode::PreconditionFailed,
                "add another passphrase first, or test a set of recovery shares: they count once they were tested",
            ),
            E::TooManySlots { .. } => (ErrorCode::PreconditionFailed, "remove a slot first"),
            E::SlotForeign { .. } => {
                (ErrorCode::VaultUntrusted, "restore a backup, and find out who wrote to the vault's folder")
            }
            E::SlotLabel | E::Params { .. } => (ErrorCode::InvalidRequest, "choose other values"),
            E::ShareNumbers { .. } => (ErrorCode::InvalidRequest, "3 of 5 is a good choice"),
            E::ShareWord { .. } | E::ShareLength { .. } | E::ShareChecksum => {
                (ErrorCode::InvalidRequest, "compare the words with the paper, in their order")
            }
            E::ShareFormat => (ErrorCode::InvalidRequest, "a newer version of Fleetseal may have made it"),
            E::SharesMixed | E::ShareTwice { .. } | E::SharesTooFew { .. } => {
                (ErrorCode::InvalidRequest, "take different shares with the same set number")
            }
            E::SharesForeign { .. } => (
                ErrorCode::NotFound,
                "`fleetseal vault slot list` shows the sets; an older backup may still open with this one",
            ),
            E::SharesWrong { .. } => (ErrorCode::WrongPassphrase, "find out whose share was exchanged"),
            E::NoKeyring { .. } => (
                ErrorCode::PreconditionFailed,
                "log in to a session with a keyring (Secret Service), or open the vault in another way",
            ),
            E::KeyringLocked => (ErrorCode::PreconditionFailed, "unlock the keyring, then repeat it"),
            E::KeyringFailed { .. } => {
                (ErrorCode::PreconditionFailed, "look at the keyring, or open the vault in another way")
            }
            E::KeyringLacks => (
                ErrorCode::NotFound,
                "this slot opens on the computer and for the user that it was made by: open the vault in another way",
            ),
            E::Derivation => {
                (ErrorCode::Busy, "close other programs: it takes as much memory as the slot says")
            }
            E::Interrupted { .. } => (ErrorCode::VaultLocked, "unlock the vault and begin anew"),
            E::TokenModule { .. } => {
                (ErrorCode::InvalidRequest, "name the file of the token's PKCS#11 module by its whole path")
            }
            E::NoTokens { .. } => {
                (ErrorCode::PreconditionFailed, "name it with `fleetseal vault token list --module FILE`")
            }
            E::NoToken { .. } | E::WrongToken { .. } => (
                ErrorCode::PreconditionFailed,
                "plug the right token in; `fleetseal vault token list` shows what is there",
            ),
            E::TokenForeign { .. } => (
                ErrorCode::NotFound,
                "plug in a token that opens it, or open it in another way; `fleetseal vault slot list` shows them",
            ),
            E::TokenPulled { .. } | E::TokenSwapped { .. } => {
                (ErrorCode::PreconditionFailed, "plug the token in again and repeat it: nothing was lost")
            }
            E::TokenTwice { .. } => (ErrorCode::PreconditionFailed, "leave only one of them plugged in"),
            E::TokenKeyOther { .. } | E::TokenKeyLoose { .. } => (
                ErrorCode::Untrusted,
                "find out who wrote to the token; make a key with `fleetseal vault token init-key`",
            ),
            E::TokenKeyMissing { .. } => {
                (ErrorCode::NotFound, "`fleetseal vault token list` shows the keys in each token")
            }
            E::TokenFailed { .. } | E::TokenRefused { .. } => {
                (ErrorCode::PreconditionFailed, "try the token with its maker's tool")
            }
            E::NoPin { .. } => (ErrorCode::VaultLocked, "hand it in by --pin-fd"),
            E::WrongPin { .. } => (ErrorCode::WrongPassphrase, "look the PIN up before the next try"),
            E::PinCapped { .. } => (
                ErrorCode::WrongPassphrase,
                "log in once with the maker's tool, then run `fleetseal vault token forget-pins`",
            ),
            E::PinBlocked { .. } => (
                ErrorCode::WrongPassphrase,
                "unblock it with the security officer's PIN and the maker's tool",
            ),
            E::SerialText | E::NotInToken | E::KeyTwice { .. } => (
                ErrorCode::InvalidRequest,
                "`fleetseal vault show` and `vault token list` show what there is",
            ),
            E::Log { source: L::Shorter { .. } | L::Fork { .. } } => {
                (ErrorCode::LogForked, "somebody cut or rewrote that log: find out who, before you go on")
            }
            E::Log { .. } => (ErrorCode::Untrusted, ""),
            E::Locked => (ErrorCode::VaultLocked, "unlock the vault first"),
            E::OtherVault | E::BackupIncomplete { .. } => {
                (ErrorCode::PreconditionFailed, "make a new backup with `fleetseal vault backup`")
            }
            E::NoKey { .. } | E::NoRole { .. } => {
                (ErrorCode::NotFound, "another key holder's vault may hold it")
            }
            _ => (ErrorCode::Internal, ""),
        };
        let mapped = Self::new(code, error.to_string());
        let mapped = match StdError::source(&error) {
            Some(source) => mapped.detail(chain(source)),
            None => mapped,
        };
        if hint.is_empty() { mapped } else { mapped.hint(hint) }
    }
}

impl From<envelope::Error> for Error {
    fn from(error: envelope::Error) -> Self {
        Self::because(ErrorCode::InvalidObject, "a signed object does not verify", error)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all but a lock is our fault")]
impl From<envelope::SignError> for Error {
    fn from(error: envelope::SignError) -> Self {
        match error {
            envelope::SignError::Locked => {
                Self::new(ErrorCode::VaultLocked, "the vault is locked").hint("unlock the vault first")
            }
            envelope::SignError::Unavailable { reason } => Self::new(ErrorCode::PreconditionFailed, reason)
                .hint("see to the token (`fleetseal vault token list`), hand its PIN in by --pin-fd, then repeat it"),
            other => Self::internal("nothing was signed", other),
        }
    }
}

impl From<pki::Error> for Error {
    fn from(error: pki::Error) -> Self {
        Self::because(ErrorCode::Untrusted, "a certificate is not what it should be", error)
    }
}

impl From<pki::CsrError> for Error {
    fn from(error: pki::CsrError) -> Self {
        Self::because(ErrorCode::InvalidCsr, "the certificate request breaks the policy", error)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what nobody can act on shares a code")]
impl From<backend::Error> for Error {
    fn from(error: backend::Error) -> Self {
        use backend::Error as E;
        let (code, hint) = match &error {
            E::File { .. } | E::KeyFile { .. } => {
                (ErrorCode::PreconditionFailed, "look at the folder's owner, its mode and the free space")
            }
            E::Store(store::Error::Busy) => {
                return Self::new(ErrorCode::Busy, "another program serves from this data folder")
                    .hint("there is one backend for a folder: end the other one, or name another --data");
            }
            E::Store(store::Error::Full) => (ErrorCode::StorageFull, "make room, then start it again"),
            E::NotInitialised => (ErrorCode::PreconditionFailed, "run `fleetseal serve --init FILE` first"),
            E::NotAdopted => (ErrorCode::PreconditionFailed, "run it with --adopt and the founding file"),
            E::Origin { .. } => (ErrorCode::InvalidRequest, "it looks like https://updates.example.com:8443"),
            E::Founding { .. } | E::Envelope(_) | E::Metadata(_) | E::Certificate(_) => (
                ErrorCode::Untrusted,
                "nothing was changed; look at the founding file, and whose backend this is",
            ),
            _ => (ErrorCode::Internal, ""),
        };
        let mapped = Self::because(code, "the backend could not do it", &error);
        if hint.is_empty() { mapped } else { mapped.hint(hint) }
    }
}

/// An error and all its sources in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
