//! The sealed key file: deterministic CBOR, every byte of it under the header's MAC.
//!
//! ```text
//! {1: "fleetseal-vault/1", 2: vault id b16, 3: holder, 4: generation, 5: created_at,
//!  6: [audit seq, audit hash b32],
//!  7: [slot: {1: id b8, 2: label, 3: created_at, 4: kind, 5: receiving half b32,
//!             6: sealed authentication key, 7: ephemeral half b32, 8: sealed master key}],
//!  8: [key: {1: id b8, 2: role, 3: algorithm, 4: public half, 5: created_at, 6: first generation,
//!            7: sealed DEK, 8: sealed key} or, of a key that lives in a token, 7: [serial, CKA_ID]}],
//!  9: [proven_at, generation] of the last backup restored as a test; absent before the first,
//!  10: header MAC b32}
//! sealed = [nonce b24, commitment b32, ciphertext b48]
//! kind = [1, KiB, passes, lanes, salt b16] for a passphrase
//!      | [2, KiB, passes, lanes, salt b16, entry b16] for a passphrase together with a keyring
//!      | [3, serial, CKA_ID, public half b65, point b65] for a token
//!      | [4, set b4, threshold, count, proven_at or 0] for recovery shares
//! ```
//!
//! slot key → master key → HKDF → {key-encryption key, MAC key}; each key under a DEK of its own, both
//! bound to vault, key id, role, algorithm, public half, times and the file's generation. Each save
//! seals everything anew.

use envelope::cbor;
use minicbor::{Decoder, Encoder};
use model::{Digest, PersonName, UnixTime};
use subtle::ConstantTimeEq;

use crate::{
    AuditHead, Error, KeyId, KeyInfo, KeyRole,
    key::mac,
    sealed::{Sealed, Secret, expand, random_secret},
    slot::Slot,
    token::TokenPlace,
    vault::VaultId,
};

/// The longest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// The most keys of one vault.
pub(crate) const MAX_KEYS: usize = 512;
pub(crate) const MAX_SLOTS: usize = 16;
const TYP: &str = "fleetseal-vault/1";
/// The last field: its number, the head of a 32-byte string, the MAC.
const MAC_FIELD: usize = 1 + 2 + 32;

/// The key file, sealed as it stands on the disk.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) id: VaultId,
    pub(crate) holder: PersonName,
    pub(crate) generation: u64,
    pub(crate) created_at: UnixTime,
    /// The audit log's head when this was saved: a log that was cut below it is noticed.
    pub(crate) audit: AuditHead,
    pub(crate) slots: Vec<Slot>,
    pub(crate) keys: Vec<Entry>,
    pub(crate) proof: Option<Proof>,
    mac: [u8; 32],
}

/// What may be known of a key without opening it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Public {
    pub(crate) id: KeyId,
    pub(crate) role: KeyRole,
    pub(crate) public: Vec<u8>,
    pub(crate) created_at: UnixTime,
    /// The first generation of the file that held it.
    pub(crate) since: u64,
    /// The token that it lives in, if it is not here.
    pub(crate) token: Option<TokenPlace>,
}

/// One key: sealed here, or in a token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) public: Public,
    /// Its DEK, and the key under that; nothing of a key that lives in a token.
    sealed: Option<(Sealed, Sealed)>,
}

/// That a backup was restored as a test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) at: UnixTime,
    /// The generation in the backup.
    pub(crate) generation: u64,
}

/// A key file to be: what a save seals.
pub(crate) struct Draft<'a> {
    pub(crate) id: VaultId,
    pub(crate) holder: PersonName,
    pub(crate) generation: u64,
    pub(crate) created_at: UnixTime,
    pub(crate) audit: AuditHead,
    pub(crate) slots: Vec<Slot>,
    pub(crate) proof: Option<Proof>,
    pub(crate) keys: Vec<(Public, Option<&'a Secret>)>,
}

/// The first thing that is wrong with a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl From<minicbor::decode::Error> for Malformed {
    fn from(_: minicbor::decode::Error) -> Self {
        Self("a field has another type, size or place")
    }
}

/// Whether these bytes have the form of a key file, so that a damaged copy is told from one that is whole.
/// Says nothing of what is sealed within: only unlocking does.
///
/// # Errors
/// What is wrong with them.
pub fn check_form(bytes: &[u8]) -> Result<(), &'static str> {
    KeyFile::decode(bytes).map(drop).map_err(|Malformed(reason)| reason)
}

impl Draft<'_> {
    /// Seals all keys anew under `master`.
    pub(crate) fn seal(self, master: &Secret) -> Result<KeyFile, Error> {
        let kek = kek(&self.id, master);
        let seal = |(public, secret): (Public, Option<&Secret>)| {
            let aad = |layer| public.aad(&self.id, self.generation, layer);
            let seal = |secret| {
                let dek = random_secret()?;
                Ok::<_, Error>((Sealed::seal(&kek, &aad(1), &dek)?, Sealed::seal(&dek, &aad(2), secret)?))
            };
            let sealed = secret.map(seal).transpose()?;
            Ok(Entry { public, sealed })
        };
        let keys = self.keys.into_iter().map(seal).collect::<Result<_, Error>>()?;
        let mut file = KeyFile {
            id: self.id,
            holder: self.holder,
            generation: self.generation,
            created_at: self.created_at,
            audit: self.audit,
            slots: self.slots,
            keys,
            proof: self.proof,
            mac: [0; 32],
        };
        file.mac = file.compute_mac(master);
        Ok(file)
    }
}

impl KeyFile {
    /// Opens every key that is here, in the order of [`Self::keys`]: each entry first, which
    /// says more, then the header's MAC. Each public half is recomputed from the private one.
    pub(crate) fn open(&self, master: &Secret) -> Result<Vec<Option<Secret>>, Malformed> {
        let sound = bool::from(self.compute_mac(master)[..].ct_eq(&self.mac[..]));
        let kek = kek(&self.id, master);
        let open = |entry: &Entry| {
            let aad = |layer| entry.public.aad(&self.id, self.generation, layer);
            let Some((dek, key)) = &entry.sealed else { return Ok(None) };
            let dek = dek.open(&kek, &aad(1)).ok_or(Malformed("the row of a key was edited or swapped"))?;
            let secret =
                key.open(&dek, &aad(2)).ok_or(Malformed("the row of a key was edited or swapped"))?;
            let public = entry.public.role.algorithm().public_half(&secret);
            if public.as_deref() != Some(&entry.public.public) {
                return Err(Malformed("a public half is not that of its key"));
            }
            Ok(Some(secret))
        };
        let secrets = self.keys.iter().map(open).collect::<Result<_, _>>()?;
        if sound { Ok(secrets) } else { Err(Malformed("the header's MAC does not fit")) }
    }

    /// What may be known of all keys.
    pub(crate) fn infos(&self) -> Vec<KeyInfo> {
        let info = |entry: &Entry| {
            let Public { id, role, public, created_at, since, token } = entry.public.clone();
            let token = token.map(|place| place.serial);
            let tested = self.proof.is_some_and(|proof| since <= proof.generation);
            KeyInfo { id, role, public, created_at, backup_proven: tested && token.is_none(), token }
        };
        self.keys.iter().map(info).collect()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::with_capacity(1024));
        self.write(&mut e).expect("a vector takes every byte");
        e.into_writer()
    }

    /// Reads a file that [`Self::encode`] wrote, byte for byte.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        cbor::check(bytes, &cbor::Limits { bytes: MAX_BYTES, depth: 5, tag: None })
            .map_err(|_| Malformed("not deterministic CBOR"))?;
        let file = Self::read(&mut Decoder::new(bytes))?;
        let ids = || file.keys.iter().map(|entry| entry.public.id);
        let slots = || file.slots.iter().map(|slot| slot.info.id);
        if slots().enumerate().any(|(at, id)| slots().take(at).any(|before| before == id)) {
            return Err(Malformed("a slot stands twice"));
        }
        if ids().enumerate().any(|(at, id)| ids().take(at).any(|before| before == id)) {
            return Err(Malformed("a key stands twice"));
        }
        if file.encode() != bytes {
            return Err(Malformed("fields are unknown or out of place"));
        }
        Ok(file)
    }

    fn compute_mac(&self, master: &Secret) -> [u8; 32] {
        let key = expand(master, &[b"fleetseal-vault/1 header mac", self.id.as_bytes()]);
        let bytes = self.encode();
        mac(&key, &[&bytes[..bytes.len() - MAC_FIELD]])
    }

    fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        e.map(if self.proof.is_some() { 10 } else { 9 })?;
        e.u8(1)?.str(TYP)?;
        e.u8(2)?.bytes(self.id.as_bytes())?;
        e.u8(3)?.str(self.holder.as_str())?;
        e.u8(4)?.u64(self.generation)?;
        e.u8(5)?.u64(self.created_at.as_secs())?;
        e.u8(6)?.array(2)?.u64(self.audit.seq)?.bytes(self.audit.hash.as_bytes())?;
        e.u8(7)?.array(self.slots.len() as u64)?;
        for slot in &self.slots {
            slot.write(e)?;
        }
        e.u8(8)?.array(self.keys.len() as u64)?;
        for entry in &self.keys {
            entry.write(e)?;
        }
        if let Some(proof) = self.proof {
            e.u8(9)?.array(2)?.u64(proof.at.as_secs())?.u64(proof.generation)?;
        }
        e.u8(10)?.bytes(&self.mac)?;
        Ok(())
    }

    fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let fields = d.map()?;
        field(d, 1)?;
        if d.str()? != TYP {
            return Err(Malformed("another format or version"));
        }
        field(d, 2)?;
        let id = VaultId::new(fixed(d)?);
        field(d, 3)?;
        let holder = d.str()?.parse().map_err(|_| Malformed("the holder's name is no name"))?;
        field(d, 4)?;
        let generation = d.u64()?;
        field(d, 5)?;
        let created_at = instant(d)?;
        field(d, 6)?;
        array(d, 2)?;
        let audit = AuditHead { seq: d.u64()?, hash: Digest::new(fixed(d)?) };
        field(d, 7)?;
        let slots = list(d, MAX_SLOTS, Slot::read)?;
        if slots.is_empty() {
            return Err(Malformed("no slot opens it"));
        }
        field(d, 8)?;
        let keys = list(d, MAX_KEYS, Entry::read)?;
        let proof = match fields {
            Some(10) => {
                field(d, 9)?;
                array(d, 2)?;
                Some(Proof { at: instant(d)?, generation: d.u64()? })
            }
            _ => None,
        };
        field(d, 10)?;
        let mac = fixed(d)?;
        Ok(Self { id, holder, generation, created_at, audit, slots, keys, proof, mac })
    }
}

impl Public {
    fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        e.u8(1)?.bytes(self.id.as_bytes())?;
        e.u8(2)?.u8(self.role.number())?;
        e.u8(3)?.u8(self.role.algorithm().number())?;
        e.u8(4)?.bytes(&self.public)?;
        e.u8(5)?.u64(self.created_at.as_secs())?;
        e.u8(6)?.u64(self.since)?;
        Ok(())
    }

    /// What sealing binds a key to; `layer` is 1 for its DEK, 2 for the key itself.
    fn aad(&self, vault: &VaultId, generation: u64, layer: u8) -> Vec<u8> {
        let mut e = Encoder::new(Vec::with_capacity(160));
        let written = (|| -> Written {
            e.array(5)?.str(TYP)?.bytes(vault.as_bytes())?.u64(generation)?.u8(layer)?.map(6)?;
            self.write(&mut e)
        })();
        written.expect("a vector takes every byte");
        e.into_writer()
    }
}

impl Entry {
    fn write(&self, e: &mut Encoder<Vec<u8>>) -> Written {
        match (&self.sealed, &self.public.token) {
            (Some((dek, key)), _) => {
                self.public.write(e.map(8)?)?;
                dek.write(e.u8(7)?)?;
                key.write(e.u8(8)?)
            }
            (None, place) => {
                self.public.write(e.map(7)?)?;
                let (serial, id) = place.as_ref().map_or(("", &[][..]), |at| (at.serial.as_str(), &at.id));
                e.u8(7)?.array(2)?.str(serial)?.bytes(id)?;
                Ok(())
            }
        }
    }

    fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let fields = d.map()?;
        field(d, 1)?;
        let id = KeyId::new(fixed(d)?);
        field(d, 2)?;
        let role = KeyRole::from_number(d.u8()?).ok_or(Malformed("a role is unknown"))?;
        field(d, 3)?;
        if d.u8()? != role.algorithm().number() {
            return Err(Malformed("an algorithm is not that of its role"));
        }
        field(d, 4)?;
        let public = d.bytes()?.to_vec();
        if public.len() != role.algorithm().public_len() || KeyId::of(&public) != id {
            return Err(Malformed("a public half does not fit its id"));
        }
        field(d, 5)?;
        let created_at = instant(d)?;
        field(d, 6)?;
        let since = d.u64()?;
        field(d, 7)?;
        let (token, sealed) = if fields == Some(7) {
            array(d, 2)?;
            let serial = d.str()?.parse().map_err(|_| Malformed("a token's serial number is none"))?;
            (Some(TokenPlace { serial, id: d.bytes()?.to_vec() }), None)
        } else {
            let dek = Sealed::read(d)?;
            field(d, 8)?;
            (None, Some((dek, Sealed::read(d)?)))
        };
        Ok(Self { public: Public { id, role, public, created_at, since, token }, sealed })
    }
}

pub(crate) type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

pub(crate) fn field(d: &mut Decoder<'_>, number: u8) -> Result<(), Malformed> {
    if d.u8()? == number { Ok(()) } else { Err(Malformed("fields are unknown or out of place")) }
}

pub(crate) fn fixed<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], Malformed> {
    d.bytes()?.try_into().map_err(|_| Malformed("a byte string has another length"))
}

pub(crate) fn instant(d: &mut Decoder<'_>) -> Result<UnixTime, Malformed> {
    Ok(UnixTime::from_secs(d.u64()?))
}

pub(crate) fn array(d: &mut Decoder<'_>, items: u64) -> Result<(), Malformed> {
    if d.array()? == Some(items) { Ok(()) } else { Err(Malformed("an array has another length")) }
}

pub(crate) fn list<T>(
    d: &mut Decoder<'_>,
    most: usize,
    read: impl Fn(&mut Decoder<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let items = d.array()?.and_then(|items| usize::try_from(items).ok()).filter(|items| *items <= most);
    (0..items.ok_or(Malformed("a list is too long"))?).map(|_| read(d)).collect()
}

fn kek(vault: &VaultId, master: &Secret) -> Secret {
    expand(master, &[b"fleetseal-vault/1 key kek", vault.as_bytes()])
}

#[cfg(test)]
mod tests;
