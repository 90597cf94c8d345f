//! PKCS#11 tokens that keys of the vault live in.

use std::{path::Path, sync::Arc};

use protocol::ErrorCode;
use serde::{Deserialize, Serialize};
use vault::{KeyRole, Opener, SlotInfo, SlotKind, TokenSerial, Tokens, Vault};

use crate::{
    App, Error,
    command::{Handle, VaultAdoptTokenKey, VaultEnterPin, VaultForgetPins, VaultInitTokenKey, VaultTokens},
    dto::{
        AdoptTokenKey, EnterPin, InitTokenKey, ListTokens, Opening, Secret, TokenKeyRow, TokenList,
        TokenName, TokenRow, VaultStatus,
    },
    vaults::{algorithm, blocking, hex, status},
    workspace::{Workspace, read_json, write_json},
};

/// What opens a vault, as [`Opener`] borrows it.
pub(crate) struct Key {
    secret: Secret,
    with: With,
}

enum With {
    Nothing,
    Keyring,
    Token(Arc<Tokens>, TokenSerial),
}

impl Key {
    /// Finds the token, if it takes one: the one that is named, or else the only one that can be meant for these
    /// slots.
    pub(crate) fn new(
        workspace: &Workspace,
        secret: Secret,
        with: Opening,
        slots: &[SlotInfo],
    ) -> Result<Self, Error> {
        let with = match with {
            Opening::Passphrase => With::Nothing,
            Opening::Keyring => With::Keyring,
            Opening::Token { token } => {
                let tokens = load(workspace)?;
                let serial = match token {
                    Some(token) => token.parse()?,
                    None => meant(slots, &tokens)?,
                };
                With::Token(Arc::new(tokens), serial)
            }
        };
        Ok(Self { secret, with })
    }

    pub(crate) fn opener(&self) -> Opener<'_> {
        let secret = self.secret.expose();
        match &self.with {
            With::Nothing => Opener::Passphrase(secret),
            With::Keyring => Opener::Keyring(secret),
            With::Token(tokens, serial) => Opener::Token { tokens, serial, pin: secret },
        }
    }

    /// Lets the vault find keys of its own in the token, too.
    pub(crate) fn lend(&self, vault: &Vault) {
        if let With::Token(tokens, _) = &self.with {
            vault.set_tokens(Arc::clone(tokens));
        }
    }
}

/// Which PKCS#11 module this workspace uses.
#[derive(Serialize, Deserialize)]
struct Module {
    module: String,
}

impl Handle<VaultTokens> for App {
    async fn handle(&self, request: ListTokens) -> Result<TokenList, Error> {
        let vault = self.vault().ok();
        let workspace = self.workspace().clone();
        blocking(move || {
            if let Some(module) = request.module {
                drop(Tokens::load(Path::new(&module))?);
                workspace.prepare()?;
                write_json(&workspace.file("tokens.json"), &Module { module })?;
            }
            let tokens = load(&workspace)?;
            let known = vault.as_ref().map(Vault::keys).unwrap_or_default();
            let slots = vault.as_ref().map(Vault::slots).unwrap_or_default();
            let opens = |public: &[u8]| {
                slots
                    .iter()
                    .any(|slot| matches!(&slot.kind, SlotKind::Token(by) if by.public()[..] == *public))
            };
            let used = |public: &[u8]| {
                let signs = known.iter().find(|of| of.public == public).map(|of| of.role.as_str());
                signs.or_else(|| opens(public).then_some("slot")).map(str::to_owned)
            };
            let key = |key: vault::TokenKey| TokenKeyRow {
                id: hex(&key.id),
                label: key.label,
                algorithm: algorithm(key.algorithm),
                role: used(&key.public),
                public: hex(&key.public),
            };
            let row = |info: vault::TokenInfo| {
                let keys = tokens.keys(&info.serial)?.into_iter().map(key).collect();
                Ok(TokenRow {
                    serial: info.serial.to_string(),
                    label: info.label,
                    model: info.model,
                    last_try: info.last_try,
                    blocked: info.blocked,
                    keys,
                })
            };
            let rows = tokens.list()?.into_iter().map(row).collect::<Result<_, Error>>()?;
            Ok(TokenList { module: tokens.path().display().to_string(), tokens: rows })
        })
        .await
    }
}

impl Handle<VaultEnterPin> for App {
    async fn handle(&self, request: EnterPin) -> Result<VaultStatus, Error> {
        let vault = self.unlocked()?;
        let workspace = self.workspace().clone();
        blocking(move || {
            let tokens = load(&workspace)?;
            let serial = match &request.token {
                Some(token) => token.parse()?,
                None => only(&vault, &tokens)?,
            };
            vault.set_tokens(Arc::new(tokens));
            vault.enter_pin(&serial, request.pin.expose())?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultInitTokenKey> for App {
    async fn handle(&self, request: InitTokenKey) -> Result<VaultStatus, Error> {
        let vault = self.unlocked()?;
        let (role, serial) = (role(&request.role)?, request.token.parse::<TokenSerial>()?);
        let intent = vault.intent("vault.init_token_key", role.as_str(), serial.as_str(), self.now());
        blocking(move || {
            vault.generate_in_token(role, &serial, &intent)?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultAdoptTokenKey> for App {
    async fn handle(&self, request: AdoptTokenKey) -> Result<VaultStatus, Error> {
        let vault = self.unlocked()?;
        let (role, serial) = (role(&request.role)?, request.token.parse::<TokenSerial>()?);
        let intent = vault.intent("vault.adopt_token_key", role.as_str(), serial.as_str(), self.now());
        let id = unhex(&request.key)?;
        blocking(move || {
            vault.adopt_from_token(role, &serial, &id, &intent)?;
            Ok(status(&vault))
        })
        .await
    }
}

impl Handle<VaultForgetPins> for App {
    async fn handle(&self, request: TokenName) -> Result<VaultStatus, Error> {
        let vault = self.vault()?;
        vault.forget_wrong_pins(&request.token.parse()?)?;
        Ok(status(&vault))
    }
}

fn load(workspace: &Workspace) -> Result<Tokens, Error> {
    let path = workspace.file("tokens.json");
    if !path.exists() {
        return Err(Error::new(ErrorCode::PreconditionFailed, "no PKCS#11 module is set up")
            .detail(format!("there is no `{}`", path.display()))
            .hint("name one with `fleetseal vault token list --module /usr/lib/softhsm/libsofthsm2.so`"));
    }
    let found: Module = read_json(&path)?;
    Ok(Tokens::load(Path::new(&found.module))?)
}

/// The token that a PIN must be for: the one that the vault has keys in, or the only one there is.
fn only(vault: &Vault, tokens: &Tokens) -> Result<TokenSerial, Error> {
    let mut serials = vault.token_serials();
    if serials.is_empty() {
        serials = tokens.list()?.into_iter().map(|info| info.serial).collect();
    }
    which(serials)
}

/// The token that opens one of these slots: the only one, or the only one that is plugged in.
fn meant(slots: &[SlotInfo], tokens: &Tokens) -> Result<TokenSerial, Error> {
    let serial = |slot: &SlotInfo| match &slot.kind {
        SlotKind::Token(agreement) => Some(agreement.serial().clone()),
        SlotKind::Passphrase(_) | SlotKind::Keyring(_) | SlotKind::Shares { .. } => None,
    };
    let mut serials: Vec<TokenSerial> = slots.iter().filter_map(serial).collect();
    serials.sort();
    serials.dedup();
    if serials.len() != 1 {
        let present: Vec<TokenSerial> = tokens.list()?.into_iter().map(|info| info.serial).collect();
        serials = if serials.is_empty() {
            present
        } else {
            serials.into_iter().filter(|serial| present.contains(serial)).collect()
        };
    }
    which(serials)
}

fn which(mut serials: Vec<TokenSerial>) -> Result<TokenSerial, Error> {
    if serials.len() == 1
        && let Some(serial) = serials.pop()
    {
        return Ok(serial);
    }
    if serials.is_empty() {
        return Err(Error::new(
            ErrorCode::PreconditionFailed,
            "no token is plugged in that the PIN could be for",
        )
        .hint("plug it in; `fleetseal vault token list` shows what is there"));
    }
    Err(Error::new(ErrorCode::InvalidRequest, "which token is the PIN for?")
        .detail(serials.iter().map(TokenSerial::as_str).collect::<Vec<_>>().join(", "))
        .hint("name it with --pin-token SERIAL"))
}

fn role(text: &str) -> Result<KeyRole, Error> {
    let signing = || KeyRole::ALL.into_iter().filter(|role| role.algorithm().signs());
    signing().find(|role| role.as_str() == text).ok_or_else(|| {
        Error::new(ErrorCode::InvalidRequest, format!("`{text}` is no role of a key that signs"))
            .hint(signing().map(KeyRole::as_str).collect::<Vec<_>>().join(", "))
    })
}

pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, Error> {
    let digits = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(byte).collect::<Option<_>>().filter(|_| digits).ok_or_else(|| {
        Error::new(ErrorCode::InvalidRequest, format!("`{text}` names no key in a token"))
            .hint("`fleetseal vault token list` shows their ids, hexadecimal")
    })
}
