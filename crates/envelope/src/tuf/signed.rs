//! Metadata with its signatures (TUF 1.0, section 4.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, KeyId, Metadata, Role, Root, json, key};
use crate::{PublicKey, SignError, Signer};

/// What our own metadata says it is written to. Any 1.x is read.
const SPEC_VERSION: &str = "1.0.31";
/// More signatures than any role has keys.
const MAX_SIGNATURES: usize = 256;

/// One role's metadata as a file: its content, the signatures, and the very bytes that were read.
///
/// Whoever holds one knows that it is well-formed; who signed it is another question, which
/// [`Root::verify`] answers.
#[derive(Clone, Debug)]
pub struct Signed<T> {
    signed: T,
    /// The signed part as it was read, with the fields that we do not know.
    body: Value,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
    raw: Vec<u8>,
}

/// A signature by the key that it names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signature {
    /// The key.
    pub keyid: KeyId,
    /// The signature in hexadecimal.
    pub sig: String,
}

/// How far metadata is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The keys that have signed, each once.
    pub signers: Vec<KeyId>,
    /// How many different keys have signed.
    pub have: u32,
    /// How many must.
    pub need: u32,
}

impl<T: Metadata> Signed<T> {
    /// `signed`, without signatures yet.
    ///
    /// # Errors
    /// It is no sound metadata of its role.
    pub fn new(signed: T) -> Result<Self, Error> {
        let malformed =
            |error: serde_json::Error| Error::Malformed { role: T::ROLE, reason: error.to_string() };
        let mut body = serde_json::to_value(&signed).map_err(malformed)?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("_type".into(), T::ROLE.as_str().into());
            fields.insert("spec_version".into(), SPEC_VERSION.into());
        }
        Ok(Self { signed, ..Self::parse(&render(&[], &body))? })
    }

    /// Reads a metadata file.
    ///
    /// # Errors
    /// It is too large, or no metadata of its role, or one key has signed twice.
    pub fn parse(raw: &[u8]) -> Result<Self, Error> {
        let role = T::ROLE;
        if raw.len() as u64 > role.max_bytes() {
            return Err(Error::TooLarge { role, max_bytes: role.max_bytes() });
        }
        let malformed = |reason: &str| Error::Malformed { role, reason: reason.to_owned() };
        let unreadable = |error: serde_json::Error| Error::Malformed { role, reason: error.to_string() };
        let mut file = json::parse(raw).map_err(unreadable)?;
        let mut part = |name| file.get_mut(name).map(Value::take).unwrap_or_default();
        let body = part("signed");
        let signatures = Vec::<Signature>::deserialize(part("signatures")).map_err(unreadable)?;
        if body["_type"] != role.as_str() {
            return Err(malformed("it is of another role"));
        }
        let spec = body["spec_version"].as_str().and_then(|version| version.split_once('.'));
        if spec.is_none_or(|(major, _)| major != "1") {
            return Err(malformed("it is not written to version 1 of the specification"));
        }
        let signed = T::deserialize(&body).map_err(unreadable)?;
        if signed.version() < 1 {
            return Err(malformed("a version below one"));
        }
        signed.check().map_err(malformed)?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(malformed("too many signatures"));
        }
        let ids: BTreeSet<_> = signatures.iter().map(|signature| &signature.keyid).collect();
        if ids.len() != signatures.len() {
            return Err(malformed("two signatures by one key"));
        }
        Ok(Self { signed, payload: json::canonical(&body), body, signatures, raw: raw.to_vec() })
    }

    /// The content.
    pub fn signed(&self) -> &T {
        &self.signed
    }

    /// The file's bytes.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// What signatures are made over: the canonical JSON of the signed part, unknown fields and all.
    pub fn signing_bytes(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, of which none is verified.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Signs with `signer`, in place of an earlier signature by the same key.
    ///
    /// # Errors
    /// The signer refused, or its key is not Ed25519.
    pub fn sign(&mut self, signer: &(impl Signer + ?Sized)) -> Result<(), SignError> {
        let PublicKey::Ed25519(public) = signer.public_key() else {
            return Err(SignError::Failed { reason: "metadata is signed with Ed25519 alone".into() });
        };
        let signature = signer.sign(&self.payload)?;
        self.attach(&public, &signature);
        Ok(())
    }

    /// Attaches a signature that was made elsewhere over [`Self::signing_bytes`], in place of an
    /// earlier one by the same key.
    pub fn attach(&mut self, public: &[u8; 32], signature: &[u8; 64]) {
        self.put(Signature { keyid: KeyId::of(public), sig: key::to_hex(signature) });
        self.raw = render(&self.signatures, &self.body);
    }

    /// Takes over the signatures of a copy that others signed.
    ///
    /// # Errors
    /// The copy is of other content.
    pub fn merge(&mut self, copy: &Self) -> Result<(), Error> {
        if copy.payload != self.payload {
            return Err(Error::OtherContent { role: T::ROLE });
        }
        copy.signatures.iter().cloned().for_each(|signature| self.put(signature));
        self.raw = render(&self.signatures, &self.body);
        Ok(())
    }

    fn put(&mut self, signature: Signature) {
        match self.signatures.iter_mut().find(|other| other.keyid == signature.keyid) {
            Some(other) => *other = signature,
            None => self.signatures.push(signature),
        }
    }
}

impl Signed<Root> {
    /// Verifies that this root may follow `old`: the next version, signed by the thresholds of both
    /// (TUF 1.0, section 5.3).
    ///
    /// # Errors
    /// It is not the next version, or either threshold is not met.
    pub fn verify_successor_of(&self, old: &Root) -> Result<(), Error> {
        old.verify(self)?;
        self.signed.verify(self)?;
        let expected = old.version.checked_add(1);
        if expected != Some(self.signed.version) {
            return Err(Error::VersionMismatch {
                role: Role::Root,
                expected: expected.unwrap_or(old.version),
                found: self.signed.version,
            });
        }
        Ok(())
    }
}

impl Root {
    /// Verifies that a threshold of different keys of its role signed `file`. One key counts once,
    /// under however many ids it is listed, and so does one person, however many keys they hold.
    ///
    /// # Errors
    /// The threshold is not met.
    pub fn verify<T: Metadata>(&self, file: &Signed<T>) -> Result<(), Error> {
        let Standing { have, need, .. } = self.standing(file);
        if have < need { Err(Error::ThresholdNotMet { role: T::ROLE, have, need }) } else { Ok(()) }
    }

    /// Who has signed `file`, and how many must.
    pub fn standing<T: Metadata>(&self, file: &Signed<T>) -> Standing {
        let role = self.role(T::ROLE);
        let (mut seen, mut people) = (BTreeSet::new(), BTreeSet::new());
        let mut signers = Vec::new();
        for Signature { keyid, sig } in &file.signatures {
            let Some(key) = self.keys.get(keyid).filter(|_| role.keyids.contains(keyid)) else { continue };
            let Some(bytes) = key.bytes() else { continue };
            let holder = self.holder(keyid);
            let spoke = seen.contains(&bytes) || holder.is_some_and(|holder| people.contains(holder));
            if !spoke && key.verifies(&file.payload, sig) {
                seen.insert(bytes);
                people.extend(holder);
                signers.push(keyid.clone());
            }
        }
        let have = u32::try_from(signers.len()).unwrap_or(u32::MAX);
        Standing { signers, have, need: role.threshold }
    }
}

fn render(signatures: &[Signature], body: &Value) -> Vec<u8> {
    serde_json::json!({ "signatures": signatures, "signed": body }).to_string().into_bytes()
}
