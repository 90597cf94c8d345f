//! Ways into the vault: each slot gives the master key to whoever brings the slot's own key.
//!
//! A slot's key (of 32 bytes: derived from a passphrase, put together from shares, computed by a
//! token) is expanded to two: an X25519 key whose public half stands in the slot, and a key for
//! authentication that stands there too, sealed under the master key. A new master key is sealed to both:
//! so it can be handed to every slot while only one of them is there, no slot that was removed gets it,
//! and nobody can slip a master key of their own under a slot that they do not open.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree as agree_on};
use minicbor::{Decoder, Encoder};
use model::UnixTime;
use subtle::ConstantTimeEq;

use crate::{
    Error,
    file::{Malformed, Written, array, field, fixed, instant},
    key::mac,
    sealed::{Sealed, Secret, expand, random, random_secret},
    vault::VaultId,
};

mod agreement;
mod kind;
mod part;

pub use agreement::Agreement;
pub use kind::{Derivation, SlotKind};
pub use part::KeyringPart;

/// The longest label of a slot, in bytes.
const LONGEST_LABEL: usize = 128;

/// Names a slot of a vault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId([u8; 8]);

/// What may be known of a slot while the vault is locked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotInfo {
    /// Names it in this vault.
    pub id: SlotId,
    /// What its holder calls it; may be empty.
    pub label: String,
    /// When its key was made.
    pub created_at: UnixTime,
    /// Where its key comes from.
    pub kind: SlotKind,
}

/// One way to the master key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) info: SlotInfo,
    /// The X25519 public half of the slot's key.
    receiver: [u8; 32],
    /// The slot's authentication key, under the master key.
    authentication: Sealed,
    /// The X25519 public half that this master key was sealed with.
    ephemeral: [u8; 32],
    /// The master key.
    master: Sealed,
}

impl Slot {
    /// A slot that `key` opens.
    pub(crate) fn new(
        vault: &VaultId,
        (label, kind): (&str, SlotKind),
        key: &Secret,
        master: &Secret,
        now: UnixTime,
    ) -> Result<Self, Error> {
        if label.len() > LONGEST_LABEL || label.chars().any(char::is_control) {
            return Err(Error::SlotLabel);
        }
        let info = SlotInfo { id: SlotId(random()?), label: label.to_owned(), created_at: now, kind };
        let authentication = expand(key, &[b"fleetseal-vault/1 slot authentication"]);
        seal(vault, info, public(&receiving(key))?, &authentication, master)
    }

    /// The master key, if `key` is this slot's key.
    pub(crate) fn open(&self, vault: &VaultId, key: &Secret) -> Option<Secret> {
        let receiving = receiving(key);
        if !bool::from(public(&receiving).ok()?[..].ct_eq(&self.receiver[..])) {
            return None;
        }
        let authentication = expand(key, &[b"fleetseal-vault/1 slot authentication"]);
        let shared = agree(&receiving, &self.ephemeral).ok()?;
        let wrapping = wrapping(&authentication, &shared, &self.ephemeral, &self.receiver);
        self.master.open(&wrapping, &aad(vault, &self.info))
    }

    /// The same slot with another master key in it; its own key need not be there.
    pub(crate) fn rewrap(&self, vault: &VaultId, old: &Secret, new: &Secret) -> Result<Self, Error> {
        let authentication = self
            .authentication
            .open(&keeping(old), &aad(vault, &self.info))
            .ok_or(Error::SlotForeign { id: self.info.id })?;
        seal(vault, self.info.clone(), self.receiver, &authentication, new)
    }

    pub(crate) fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        e.map(8)?.u8(1)?.bytes(&self.info.id.0)?.u8(2)?.str(&self.info.label)?;
        e.u8(3)?.u64(self.info.created_at.as_secs())?.u8(4)?;
        self.info.kind.write(e)?;
        e.u8(5)?.bytes(&self.receiver)?.u8(6)?;
        self.authentication.write(e)?;
        e.u8(7)?.bytes(&self.ephemeral)?.u8(8)?;
        self.master.write(e)
    }

    pub(crate) fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        d.map()?;
        field(d, 1)?;
        let id = SlotId(fixed(d)?);
        field(d, 2)?;
        let label = d.str()?.to_owned();
        if label.len() > LONGEST_LABEL {
            return Err(Malformed("a label is too long"));
        }
        field(d, 3)?;
        let created_at = instant(d)?;
        field(d, 4)?;
        let info = SlotInfo { id, label, created_at, kind: SlotKind::read(d)? };
        field(d, 5)?;
        let receiver = fixed(d)?;
        field(d, 6)?;
        let authentication = Sealed::read(d)?;
        field(d, 7)?;
        let ephemeral = fixed(d)?;
        field(d, 8)?;
        Ok(Self { info, receiver, authentication, ephemeral, master: Sealed::read(d)? })
    }
}

impl Sealed {
    pub(crate) fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        e.array(3)?.bytes(&self.nonce)?.bytes(&self.commitment)?.bytes(&self.ciphertext)?;
        Ok(())
    }

    pub(crate) fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        array(d, 3)?;
        Ok(Self { nonce: fixed(d)?, commitment: fixed(d)?, ciphertext: fixed(d)? })
    }
}

fn seal(
    vault: &VaultId,
    info: SlotInfo,
    receiver: [u8; 32],
    authentication: &Secret,
    master: &Secret,
) -> Result<Slot, Error> {
    let aad = aad(vault, &info);
    let secret = random_secret()?;
    let ephemeral = public(&secret)?;
    let wrapping = wrapping(authentication, &agree(&secret, &receiver)?, &ephemeral, &receiver);
    Ok(Slot {
        info,
        receiver,
        authentication: Sealed::seal(&keeping(master), &aad, authentication)?,
        ephemeral,
        master: Sealed::seal(&wrapping, &aad, master)?,
    })
}

/// The X25519 private half of a slot's key.
fn receiving(key: &Secret) -> Secret {
    expand(key, &[b"fleetseal-vault/1 slot receiving"])
}

/// What slots' authentication keys are sealed under.
fn keeping(master: &Secret) -> Secret {
    expand(master, &[b"fleetseal-vault/1 slot keeping"])
}

fn wrapping(authentication: &Secret, shared: &Secret, ephemeral: &[u8; 32], receiver: &[u8; 32]) -> Secret {
    mac(authentication, &[b"fleetseal-vault/1 slot wrapping", &shared[..], ephemeral, receiver]).into()
}

fn public(secret: &Secret) -> Result<[u8; 32], Error> {
    let key = PrivateKey::from_private_key(&X25519, &secret[..]).map_err(|_| Error::Provider)?;
    let public = key.compute_public_key().map_err(|_| Error::Provider)?;
    public.as_ref().try_into().map_err(|_| Error::Provider)
}

fn agree(secret: &Secret, public: &[u8; 32]) -> Result<Secret, Error> {
    let key = PrivateKey::from_private_key(&X25519, &secret[..]).map_err(|_| Error::Provider)?;
    agree_on(&key, UnparsedPublicKey::new(&X25519, public), Error::Provider, |shared| {
        let mut out = Secret::default();
        out.copy_from_slice(shared);
        Ok(out)
    })
}

/// Deterministic CBOR, so that no two slots share it.
fn aad(vault: &VaultId, info: &SlotInfo) -> Vec<u8> {
    let mut e = Encoder::new(Vec::with_capacity(160));
    let written = (|| -> Written {
        e.array(4)?.str("fleetseal-vault/1 slot")?.bytes(vault.as_bytes())?.bytes(&info.id.0)?;
        info.kind.fixed().write(&mut e)
    })();
    written.expect("a vector takes every byte");
    e.into_writer()
}

impl SlotId {
    /// The id with these bytes.
    pub const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

impl std::str::FromStr for SlotId {
    type Err = ();

    /// Reads what [`fmt::Display`] wrote: 16 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| digits).ok_or(())?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    const VAULT: VaultId = VaultId::new([7; 16]);
    const NOON: UnixTime = UnixTime::from_secs(1_790_000_000);

    fn slot(key: &Secret, master: &Secret) -> Slot {
        let kind = SlotKind::Passphrase(Derivation { params: Params::floor(), salt: [9; 16] });
        Slot::new(&VAULT, ("mine", kind), key, master, NOON).unwrap()
    }

    fn secret() -> Secret {
        random_secret().unwrap()
    }

    #[test]
    fn a_slot_opens_with_its_key_in_its_vault_alone() {
        let (key, master) = (secret(), secret());
        let made = slot(&key, &master);
        assert!(*made.open(&VAULT, &key).unwrap() == *master);
        assert!(made.open(&VAULT, &secret()).is_none());
        assert!(made.open(&VaultId::new([8; 16]), &key).is_none());
        let other = slot(&key, &master);
        let mut swapped = made;
        swapped.info.id = other.info.id;
        assert!(swapped.open(&VAULT, &key).is_none(), "under another id");
    }

    #[test]
    fn a_new_master_key_reaches_a_slot_whose_own_key_is_not_there() {
        let (key, old, new) = (secret(), secret(), secret());
        let rewrapped = slot(&key, &old).rewrap(&VAULT, &old, &new).unwrap();
        assert!(*rewrapped.open(&VAULT, &key).unwrap() == *new);
        let foreign = slot(&key, &old).rewrap(&VAULT, &new, &new);
        assert!(matches!(foreign, Err(Error::SlotForeign { .. })), "under another master key");
    }

    #[test]
    fn whoever_does_not_know_a_slots_key_can_slip_no_master_key_under_it() {
        let (key, master, theirs) = (secret(), secret(), secret());
        let mine = slot(&key, &master);
        let forged = seal(&VAULT, mine.info.clone(), mine.receiver, &secret(), &theirs).unwrap();
        assert!(forged.open(&VAULT, &key).is_none());
    }

    #[test]
    fn whoever_knows_an_old_master_key_does_not_get_the_new_one() {
        let (key, old, new) = (secret(), secret(), secret());
        let before = slot(&key, &old);
        let after = before.rewrap(&VAULT, &old, &new).unwrap();
        let authentication = before.authentication.open(&keeping(&old), &aad(&VAULT, &before.info)).unwrap();
        let guess = wrapping(&authentication, &secret(), &after.ephemeral, &after.receiver);
        assert!(after.master.open(&guess, &aad(&VAULT, &after.info)).is_none());
    }
}
