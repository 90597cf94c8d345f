//! Keys of a vault that live in tokens.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{
    Error, Intent, KeyId, KeyInfo, KeyRole, TokenKey, TokenSerial, Tokens, Vault,
    file::Public,
    inside::Change,
    token::{Login, TokenPlace},
};

impl Vault {
    /// Says where tokens are looked for.
    pub fn set_tokens(&self, tokens: Arc<Tokens>) {
        self.inner().tokens = Some(tokens);
    }

    /// The tokens that its keys live in, each once.
    pub fn token_serials(&self) -> Vec<TokenSerial> {
        let mut serials: Vec<_> = self.keys().into_iter().filter_map(|key| key.token).collect();
        serials.sort();
        serials.dedup();
        serials
    }

    /// Logs in to a token, and keeps its PIN until the vault is locked. After two wrong PINs in a row no more
    /// are taken, across restarts, so that the token never blocks itself.
    ///
    /// # Errors
    /// The vault is locked, the token is not there, the PIN is wrong, or too many were.
    pub fn enter_pin(&self, serial: &TokenSerial, pin: &str) -> Result<(), Error> {
        let tokens = self.tokens(serial)?;
        self.shared.tries.pin(serial, || tokens.check_pin(serial, pin))?;
        let mut inner = self.unlocked()?;
        inner.open.as_mut().ok_or(Error::Locked)?.keep_pin(serial, pin);
        Ok(())
    }

    /// Takes PINs for a token again, after too many wrong ones. To be called once its holder has made sure
    /// with the maker's tool that the token is not about to block itself.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn forget_wrong_pins(&self, serial: &TokenSerial) -> Result<(), Error> {
        self.shared.tries.forget_pins(serial)
    }

    /// Makes a key with this role in a token, whose PIN was entered before.
    ///
    /// # Errors
    /// The vault is locked or full, keys with this role do not live in tokens, the token is not there or
    /// refuses, or the save failed; then the key stays in the token, and [`Self::adopt_from_token`] takes it.
    pub fn generate_in_token(
        &self,
        role: KeyRole,
        serial: &TokenSerial,
        intent: &Intent,
    ) -> Result<KeyInfo, Error> {
        let (tokens, pin) = self.prepare(role, serial, intent)?;
        let label = format!("fleetseal {}", role.as_str());
        let key = self.with_pin(serial, || tokens.generate(serial, &pin, role.algorithm(), &label))?;
        self.take_in(role, serial, key, intent)
    }

    /// Takes a key that lives in a token into the vault, with this role, once it has signed a test message.
    ///
    /// # Errors
    /// As [`Self::generate_in_token`]; the token has no such key, it is of another algorithm, or it could leave
    /// the token.
    pub fn adopt_from_token(
        &self,
        role: KeyRole,
        serial: &TokenSerial,
        id: &[u8],
        intent: &Intent,
    ) -> Result<KeyInfo, Error> {
        let (tokens, pin) = self.prepare(role, serial, intent)?;
        let wanted = |key: &TokenKey| key.id == id && key.algorithm == role.algorithm();
        let key = tokens.keys(serial)?.into_iter().find(wanted);
        let key = key.ok_or_else(|| Error::TokenKeyMissing { serial: serial.clone() })?;
        let place = TokenPlace { serial: serial.clone(), id: key.id.clone() };
        let login = Login { place: &place, pin: &pin };
        let by = (key.algorithm, key.public.as_slice());
        self.with_pin(serial, || tokens.sign(&login, by, &[b"fleetseal-vault/1 adopt"], &|| Ok(())))?;
        self.take_in(role, serial, key, intent)
    }

    fn prepare(
        &self,
        role: KeyRole,
        serial: &TokenSerial,
        intent: &Intent,
    ) -> Result<(Arc<Tokens>, Zeroizing<String>), Error> {
        // Heads are signed whenever the vault is unlocked, and no token is asked for that.
        if !role.algorithm().signs() || role == KeyRole::Audit {
            return Err(Error::NotInToken);
        }
        let tokens = self.tokens(serial)?;
        let inner = self.unlocked()?;
        inner.check_room(&[role])?;
        let pin = inner.pin(serial)?;
        inner.audit.append(intent, inner.file.generation, None)?;
        Ok((tokens, pin))
    }

    fn take_in(
        &self,
        role: KeyRole,
        serial: &TokenSerial,
        key: TokenKey,
        intent: &Intent,
    ) -> Result<KeyInfo, Error> {
        let mut inner = self.unlocked()?;
        let id = KeyId::of(&key.public);
        if inner.uses(&key.public) {
            return Err(Error::KeyTwice { id });
        }
        let token = Some(TokenPlace { serial: serial.clone(), id: key.id });
        let since = inner.file.generation + 1;
        let public = Public { id, role, public: key.public, created_at: intent.at, since, token };
        self.shared.save(&mut inner, Change { keys: vec![(public, None)], ..Change::default() })?;
        inner.file.infos().pop().ok_or(Error::NoKey { id })
    }

    /// Uses the PIN of a token that is kept while the vault is unlocked. One that the token refuses counts as a
    /// wrong try and is forgotten at once.
    pub(crate) fn with_pin<T>(
        &self,
        serial: &TokenSerial,
        enter: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        // What was lent before is forgotten with it.
        drop(self.unlocked()?.pin(serial)?);
        let entered = self.shared.tries.kept_pin(serial, enter);
        if let Err(Error::WrongPin { .. } | Error::PinBlocked { .. } | Error::PinCapped { .. }) = entered
            && let Some(open) = &mut self.inner().open
        {
            open.pins.retain(|pin| pin.serial != *serial);
        }
        entered
    }

    pub(crate) fn tokens(&self, serial: &TokenSerial) -> Result<Arc<Tokens>, Error> {
        self.unlocked()?.tokens.clone().ok_or_else(|| Error::NoTokens { serial: serial.clone() })
    }
}
