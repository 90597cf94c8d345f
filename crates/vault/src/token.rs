//! PKCS#11 tokens: keys that are made in a token, sign there and never leave it.
//!
//! A token is told by its serial number and a key by its public half; slot numbers change with every
//! plugging in and say nothing. One use of a token at a time: logging in holds for a whole program.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as P11, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
        elliptic_curve::{EcKdf, Ecdh1DeriveParams},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use zeroize::Zeroizing;

use crate::{
    Algorithm, Error,
    key::verify,
    sealed::{Secret, random},
};

/// The curve of a key as PKCS#11 names it, DER: PrintableString `edwards25519` (PKCS#11 3.0, 2.3.10), which
/// older tokens take too.
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";
/// The same as an object identifier: 1.3.101.112 (RFC 8410).
const ED25519_OID: &[u8] = b"\x06\x03\x2b\x65\x70";
/// The object identifier of P-256: 1.2.840.10045.3.1.7.
const P256_OID: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// A token's serial number, as its maker wrote it into the token.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenSerial(String);

/// A token that is plugged in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenInfo {
    /// Its serial number.
    pub serial: TokenSerial,
    /// What its holder calls it.
    pub label: String,
    /// Its model.
    pub model: String,
    /// Whether the next wrong PIN blocks it.
    pub last_try: bool,
    /// Whether it is blocked: only its security officer's PIN helps.
    pub blocked: bool,
}

/// A key pair in a token that could sign for a vault, or open a slot of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenKey {
    /// Names it in its token (`CKA_ID`).
    pub id: Vec<u8>,
    /// What its holder calls it.
    pub label: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Its public half.
    pub public: Vec<u8>,
}

/// Where a key of a vault is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TokenPlace {
    pub(crate) serial: TokenSerial,
    /// `CKA_ID`.
    pub(crate) id: Vec<u8>,
}

/// The tokens that a PKCS#11 module shows.
pub struct Tokens {
    path: PathBuf,
    module: Arc<Mutex<Pkcs11>>,
}

/// The modules that this program has loaded, each once: a module is set up, and a token is logged in to, for
/// the whole program, so that nobody may use one beside somebody else.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Mutex<Pkcs11>>>> = Mutex::new(BTreeMap::new());

/// What a token is entered with: lent by a vault while it is unlocked.
pub(crate) struct Login<'a> {
    pub(crate) place: &'a TokenPlace,
    pub(crate) pin: &'a str,
}

/// Asked between two signatures whether to go on.
pub(crate) type GoOn<'a> = &'a (dyn Fn() -> Result<(), Error> + Sync);

impl Tokens {
    /// Loads a PKCS#11 module, such as `/usr/lib/softhsm/libsofthsm2.so`. It runs in this process: it must be
    /// one that the holder trusts.
    ///
    /// # Errors
    /// The path is not absolute, or what is there is no PKCS#11 module.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let failed = |reason: String| Error::TokenModule { path: path.to_owned(), reason };
        if !path.is_absolute() {
            return Err(failed("its path must be absolute".to_owned()));
        }
        let file = fs::canonicalize(path).map_err(|error| failed(error.to_string()))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(&file) {
            return Ok(Self { path: path.to_owned(), module: Arc::clone(module) });
        }
        let module = Pkcs11::new(path).map_err(|error| failed(error.to_string()))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(P11::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error.to_string())),
        }
        let module = Arc::new(Mutex::new(module));
        loaded.insert(file, Arc::clone(&module));
        Ok(Self { path: path.to_owned(), module })
    }

    /// The module's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens that are plugged in and set up.
    ///
    /// # Errors
    /// The module failed.
    pub fn list(&self) -> Result<Vec<TokenInfo>, Error> {
        Ok(present(&self.module())?.into_iter().map(|(_, info)| info).collect())
    }

    /// The key pairs in a token that could sign for a vault; their public halves need no PIN.
    ///
    /// # Errors
    /// The token is not there, or failed.
    pub fn keys(&self, serial: &TokenSerial) -> Result<Vec<TokenKey>, Error> {
        let module = self.module();
        let session = module.open_ro_session(find(&module, serial)?).map_err(refused(serial, "open"))?;
        public_keys(&session, serial)
    }

    /// Tries a PIN.
    pub(crate) fn check_pin(&self, serial: &TokenSerial, pin: &str) -> Result<(), Error> {
        let module = self.module();
        drop(login(&module, serial, pin, false)?);
        Ok(())
    }

    /// Makes a key pair in a token that signs; its private half never leaves it.
    pub(crate) fn generate(
        &self,
        serial: &TokenSerial,
        pin: &str,
        algorithm: Algorithm,
        label: &str,
    ) -> Result<TokenKey, Error> {
        self.make(serial, pin, algorithm, label, (Attribute::Sign(true), Attribute::Verify(true)))
    }

    /// Makes a P-256 key pair in a token that agrees with other points, and does nothing else.
    pub(crate) fn generate_agreeing(&self, serial: &TokenSerial, pin: &str) -> Result<TokenKey, Error> {
        let purpose = (Attribute::Derive(true), Attribute::Derive(true));
        self.make(serial, pin, Algorithm::P256, "fleetseal slot", purpose)
    }

    fn make(
        &self,
        serial: &TokenSerial,
        pin: &str,
        algorithm: Algorithm,
        label: &str,
        (private_use, public_use): (Attribute, Attribute),
    ) -> Result<TokenKey, Error> {
        let module = self.module();
        let session = login(&module, serial, pin, true)?;
        let id = random::<8>()?.to_vec();
        let (mechanism, curves): (_, &[&[u8]]) = match algorithm {
            Algorithm::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, &[EDWARDS25519, ED25519_OID]),
            Algorithm::P256 => (Mechanism::EccKeyPairGen, &[P256_OID]),
            Algorithm::X25519 | Algorithm::Hmac => return Err(Error::NotInToken),
        };
        let name = || [Attribute::Id(id.clone()), Attribute::Label(label.as_bytes().to_vec())];
        let mut private = vec![
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            private_use,
        ];
        private.extend(name());
        let mut made = Err(Error::NotInToken);
        for curve in curves {
            let mut public = vec![
                Attribute::Token(true),
                Attribute::Private(false),
                public_use.clone(),
                Attribute::EcParams(curve.to_vec()),
            ];
            public.extend(name());
            made = session
                .generate_key_pair(&mechanism, &public, &private)
                .map_err(refused(serial, "make a key in"));
            if made.is_ok() {
                break;
            }
        }
        made?;
        let key = public_keys(&session, serial)?.into_iter().find(|key| key.id == id);
        let key = key.ok_or_else(|| Error::TokenKeyMissing { serial: serial.clone() })?;
        session.close(&id, serial)?;
        Ok(key)
    }

    /// Signs every message in the token, in order, and verifies each under `public` before any is given
    /// out.
    pub(crate) fn sign(
        &self,
        at: &Login<'_>,
        (algorithm, public): (Algorithm, &[u8]),
        messages: &[&[u8]],
        go_on: GoOn<'_>,
    ) -> Result<Vec<[u8; 64]>, Error> {
        let module = self.module();
        let serial = &at.place.serial;
        let (session, key) = enter(&module, at, public)?;
        let mut signatures = Vec::with_capacity(messages.len());
        for message in messages {
            go_on()?;
            let made = match algorithm {
                Algorithm::Ed25519 => {
                    let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
                    session.session.sign(&Mechanism::Eddsa(pure), key, message)
                }
                Algorithm::P256 => {
                    session.session.sign(&Mechanism::Ecdsa, key, envelope::sha256(message).as_bytes())
                }
                Algorithm::X25519 | Algorithm::Hmac => return Err(Error::NotInToken),
            };
            // A token that went away or was exchanged says so in as many ways as there are modules: look.
            still_there(&module, &session.slot, serial)?;
            let made = made.map_err(refused(serial, "sign in"))?;
            let signature = made.as_slice().try_into().map_err(|_| Error::SelfCheck)?;
            verify(algorithm, public, message, &signature)?;
            signatures.push(signature);
        }
        Ok(signatures)
    }

    /// What a key in the token and `point` agree on: the first coordinate of their product (ECDH, P-256).
    pub(crate) fn agree(
        &self,
        at: &Login<'_>,
        public: &[u8],
        point: &[u8],
        go_on: GoOn<'_>,
    ) -> Result<Secret, Error> {
        let module = self.module();
        let serial = &at.place.serial;
        let (session, key) = enter(&module, at, public)?;
        go_on()?;
        let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::ValueLen(32.into()),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ];
        // It lives in the token's session, which ends with this function.
        let agreed = session
            .derive_key(&mechanism, key, &wanted)
            .and_then(|agreed| session.get_attributes(agreed, &[AttributeType::Value]));
        still_there(&module, &session.slot, serial)?;
        let mut secret = Secret::default();
        match agreed.map_err(refused(serial, "agree with the key in"))?.pop() {
            Some(Attribute::Value(value)) if value.len() == secret.len() => {
                secret.copy_from_slice(&Zeroizing::new(value));
            }
            Some(_) | None => return Err(Error::SelfCheck),
        }
        Ok(secret)
    }

    fn module(&self) -> MutexGuard<'_, Pkcs11> {
        self.module.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that logs out when it is dropped.
struct LoggedIn {
    session: Session,
    slot: Slot,
}

impl std::ops::Deref for LoggedIn {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl LoggedIn {
    /// Refuses a fresh key that could leave its token.
    fn close(self, id: &[u8], serial: &TokenSerial) -> Result<(), Error> {
        let place = TokenPlace { serial: serial.clone(), id: id.to_vec() };
        private_key(&self.session, &place).map(drop)
    }
}

impl Drop for LoggedIn {
    fn drop(&mut self) {
        if let Err(error) = self.session.logout() {
            tracing::debug!(%error, "failed to log out of a token");
        }
    }
}

fn present(module: &Pkcs11) -> Result<Vec<(Slot, TokenInfo)>, Error> {
    let failed = |error: P11| Error::TokenFailed { reason: error.to_string() };
    let mut found = Vec::new();
    for slot in module.get_slots_with_token().map_err(failed)? {
        // One that is pulled out just now is not there.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if info.token_initialized() {
            let info = TokenInfo {
                serial: TokenSerial(info.serial_number().trim().to_owned()),
                label: info.label().trim().to_owned(),
                model: info.model().trim().to_owned(),
                last_try: info.user_pin_final_try(),
                blocked: info.user_pin_locked(),
            };
            found.push((slot, info));
        }
    }
    Ok(found)
}

/// The slot with this token; the serial number decides, not the place.
fn find(module: &Pkcs11, serial: &TokenSerial) -> Result<Slot, Error> {
    let present = present(module)?;
    let mut same = present.iter().filter(|(_, info)| info.serial == *serial);
    match (same.next(), same.next()) {
        (Some((slot, info)), None) if !info.blocked => Ok(*slot),
        (Some((_, _)), None) => Err(Error::PinBlocked { serial: serial.clone() }),
        (Some(_), Some(_)) => Err(Error::TokenTwice { serial: serial.clone() }),
        (None, _) if present.is_empty() => Err(Error::NoToken { serial: serial.clone() }),
        (None, _) => Err(Error::WrongToken {
            serial: serial.clone(),
            found: present.into_iter().map(|(_, info)| info.serial).collect(),
        }),
    }
}

/// That the token in this slot is still the same one.
fn still_there(module: &Pkcs11, slot: &Slot, serial: &TokenSerial) -> Result<(), Error> {
    let gone = || Error::TokenPulled { serial: serial.clone() };
    let now = present(module).map_err(|_| gone())?.into_iter().find(|(at, _)| at == slot);
    match now {
        Some((_, info)) if info.serial == *serial => Ok(()),
        Some((_, info)) => Err(Error::TokenSwapped { serial: serial.clone(), found: info.serial }),
        None => Err(gone()),
    }
}

fn login(module: &Pkcs11, serial: &TokenSerial, pin: &str, write: bool) -> Result<LoggedIn, Error> {
    let slot = find(module, serial)?;
    let opened = if write { module.open_rw_session(slot) } else { module.open_ro_session(slot) };
    let session = opened.map_err(refused(serial, "open"))?;
    let enter = || session.login(UserType::User, Some(&AuthPin::new(pin.into())));
    let entered = match enter() {
        // A login that somebody left behind says nothing of this PIN.
        Err(P11::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session.logout().and_then(|()| enter()),
        entered => entered,
    };
    match entered {
        Ok(()) => Ok(LoggedIn { session, slot }),
        Err(P11::Pkcs11(RvError::PinLocked, _)) => Err(Error::PinBlocked { serial: serial.clone() }),
        Err(P11::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) => {
            Err(Error::WrongPin { serial: serial.clone(), left: 0 })
        }
        Err(error) => Err(refused(serial, "log in to")(error)),
    }
}

/// Logs in and gives the private half of the key at this place, if its public half is this one.
fn enter(module: &Pkcs11, at: &Login<'_>, public: &[u8]) -> Result<(LoggedIn, ObjectHandle), Error> {
    let serial = &at.place.serial;
    let session = login(module, serial, at.pin, false)?;
    let keys = public_keys(&session.session, serial)?;
    if keys.iter().any(|key| key.id == at.place.id && key.public != public) {
        return Err(Error::TokenKeyOther { serial: serial.clone() });
    }
    let key = private_key(&session.session, at.place)?;
    Ok((session, key))
}

/// The private half, if it is there and cannot leave.
fn private_key(session: &Session, place: &TokenPlace) -> Result<ObjectHandle, Error> {
    let serial = &place.serial;
    let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(place.id.clone())];
    let found = session.find_objects(&wanted).map_err(refused(serial, "look for a key in"))?;
    let &[key] = found.as_slice() else {
        return Err(Error::TokenKeyMissing { serial: serial.clone() });
    };
    let wanted = [AttributeType::Sensitive, AttributeType::Extractable];
    let attributes = session.get_attributes(key, &wanted).map_err(refused(serial, "look at a key in"))?;
    let stays = attributes.contains(&Attribute::Sensitive(true))
        && attributes.contains(&Attribute::Extractable(false));
    if stays { Ok(key) } else { Err(Error::TokenKeyLoose { serial: serial.clone() }) }
}

fn public_keys(session: &Session, serial: &TokenSerial) -> Result<Vec<TokenKey>, Error> {
    let wanted = [Attribute::Class(ObjectClass::PUBLIC_KEY)];
    let mut keys = Vec::new();
    for found in session.find_objects(&wanted).map_err(refused(serial, "look for keys in"))? {
        let wanted = [
            AttributeType::Id,
            AttributeType::Label,
            AttributeType::KeyType,
            AttributeType::EcParams,
            AttributeType::EcPoint,
        ];
        // Keys of other kinds lack some of these.
        let Ok(attributes) = session.get_attributes(found, &wanted) else { continue };
        let (mut id, mut label, mut kind, mut curve, mut point) = (vec![], vec![], None, vec![], vec![]);
        for attribute in attributes {
            #[expect(clippy::wildcard_enum_match_arm, reason = "only what was asked for comes back")]
            match attribute {
                Attribute::Id(value) => id = value,
                Attribute::Label(value) => label = value,
                Attribute::KeyType(value) => kind = Some(value),
                Attribute::EcParams(value) => curve = value,
                Attribute::EcPoint(value) => point = value,
                _ => {}
            }
        }
        let algorithm = match kind {
            Some(KeyType::EC_EDWARDS) if curve == EDWARDS25519 || curve == ED25519_OID => Algorithm::Ed25519,
            Some(KeyType::EC) if curve == P256_OID => Algorithm::P256,
            _ => continue,
        };
        // An octet string (DER) around the point; some tokens leave it out.
        let length = algorithm.public_len();
        let public = match point.as_slice() {
            [0x04, len, inner @ ..] if usize::from(*len) == length && inner.len() == length => inner.to_vec(),
            inner if inner.len() == length => inner.to_vec(),
            _ => continue,
        };
        let label = String::from_utf8_lossy(&label).into_owned();
        keys.push(TokenKey { id, label, algorithm, public });
    }
    Ok(keys)
}

/// What the module said, and what was being done in which token.
#[expect(clippy::wildcard_enum_match_arm, reason = "modules have more reasons than anybody can act on")]
fn refused(serial: &TokenSerial, action: &'static str) -> impl FnOnce(P11) -> Error {
    let serial = serial.clone();
    move |error| match error {
        P11::Pkcs11(RvError::DeviceRemoved | RvError::TokenNotPresent | RvError::SessionHandleInvalid, _) => {
            Error::TokenPulled { serial }
        }
        error => Error::TokenRefused { serial, action, reason: error.to_string() },
    }
}

impl TokenSerial {
    /// The longest serial number that is kept, in bytes.
    const LONGEST: usize = 64;

    /// The serial number as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TokenSerial {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let sane = (1..=Self::LONGEST).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        if sane { Ok(Self(text.to_owned())) } else { Err(Error::SerialText) }
    }
}

impl fmt::Display for TokenSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TokenSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.path).finish()
    }
}

/// A PIN while its vault is unlocked.
pub(crate) struct Pin {
    pub(crate) serial: TokenSerial,
    pub(crate) pin: Zeroizing<String>,
}
