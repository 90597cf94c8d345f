//! Signed objects: COSE_Sign1 (RFC 9052) over one integer-keyed map whose field 1 is its type.
//!
//! ```text
//! 18([ << {1: alg, 4: kid (b8)} >>, {}, << {1: typ, ...} >>, signature (b64) ])
//! signed = ["Signature1", << {1: alg, 4: kid} >>, h'', payload]
//! ```
//!
//! The algorithm follows from the key and is never negotiated: -19 for Ed25519 and -9 for P-256, the
//! fully specified ones of RFC 9864.

use zeroize::Zeroizing;

use crate::{
    Error, KeyId, PublicKey, Signer, Verified,
    cbor::{self, Limits, Map, Reader, Writer},
};

/// The COSE tag of COSE_Sign1.
const SIGN1: u64 = 18;
const ED25519: i64 = -19;
const ESP256: i64 = -9;
const ALG: i64 = 1;
const KID: i64 = 4;
const TYP: i64 = 1;

/// How deep the map of a signed object may nest.
const DEPTH: usize = 6;
/// What COSE adds to a payload, at most.
const OVERHEAD: usize = 128;

/// A signed kind of object.
pub(crate) trait Object: Sized {
    /// The domain tag: field 1 of the map.
    const TYP: &'static str;
    /// The longest map, in bytes.
    const MAX: usize;

    /// Writes the fields after the first, keys ascending.
    fn write(&self, map: &mut Writer);

    /// Reads the fields after the first, in ascending order.
    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error>;
}

/// A parsed COSE_Sign1 whose signature is not verified yet.
pub(crate) struct Sign1<'b> {
    algorithm: i64,
    kid: KeyId,
    protected: &'b [u8],
    payload: &'b [u8],
    signature: [u8; 64],
}

/// Something to be signed: its map, and what the signature covers.
pub(crate) struct Unsigned {
    protected: Vec<u8>,
    payload: Zeroizing<Vec<u8>>,
}

/// Signs `object` with an Ed25519 key, one of those that `trust/keys.cbor` lists.
pub(crate) fn sign<T: Object>(object: &T, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    match signer.public_key() {
        key @ PublicKey::Ed25519(_) => sign_as(object, signer, &key),
        PublicKey::P256(_) => Err(Error::Key { kind: "Ed25519" }),
    }
}

/// Signs `object` with a P-256 identity key: a device's, or a person's in its stead.
pub(crate) fn sign_by_device<T: Object>(object: &T, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    match signer.public_key() {
        key @ PublicKey::P256(_) => sign_as(object, signer, &key),
        PublicKey::Ed25519(_) => Err(Error::Key { kind: "P-256" }),
    }
}

/// Verifies that `bytes` are a `T` signed by this P-256 identity key.
pub(crate) fn verify_by_device<T: Object>(bytes: &[u8], key: &PublicKey) -> Result<Verified<T>, Error> {
    match key {
        PublicKey::P256(_) => Sign1::parse(bytes, T::MAX)?.verify(key),
        PublicKey::Ed25519(_) => Err(Error::Key { kind: "P-256" }),
    }
}

fn sign_as<T: Object>(object: &T, signer: &dyn Signer, key: &PublicKey) -> Result<Vec<u8>, Error> {
    let unsigned = Unsigned::new(object, key)?;
    let signature = signer.sign(&unsigned.message())?;
    Ok(unsigned.with(&signature))
}

impl Unsigned {
    pub(crate) fn new<T: Object>(object: &T, key: &PublicKey) -> Result<Self, Error> {
        let mut protected = Writer::with_capacity(16);
        protected.map(|map| {
            map.key(ALG).int(algorithm(key));
            map.key(KID).bytes(key.id().as_bytes());
        });
        Ok(Self { protected: protected.into_bytes(), payload: encode(object)? })
    }

    /// What the signature covers.
    pub(crate) fn message(&self) -> Zeroizing<Vec<u8>> {
        sig_structure(&self.protected, &self.payload)
    }

    pub(crate) fn with(&self, signature: &[u8; 64]) -> Vec<u8> {
        let mut out = Writer::with_capacity(self.payload.len() + OVERHEAD);
        out.tag(SIGN1).array(4).bytes(&self.protected).map(|_| ()).bytes(&self.payload).bytes(signature);
        out.into_bytes()
    }
}

impl<'b> Sign1<'b> {
    /// Parses a signed object whose map is at most `max` bytes long.
    pub(crate) fn parse(bytes: &'b [u8], max: usize) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes, &Limits { bytes: max + OVERHEAD, depth: 3, tag: Some(SIGN1) })?;
        if reader.array()? != 4 {
            return Err(cbor::Error::Value.into());
        }
        let protected = reader.bytes()?;
        reader.map(|_| Ok(()))?;
        let payload = reader.bytes()?;
        let signature = reader.fixed()?;
        let limits = Limits { bytes: 64, depth: 1, tag: None };
        let (algorithm, kid) = Reader::new(protected, &limits)?.map(|map| {
            let algorithm = map.required(ALG, "alg", Reader::int)?;
            Ok((algorithm, map.required(KID, "kid", Reader::fixed)?))
        })?;
        if ![ED25519, ESP256].contains(&algorithm) {
            return Err(Error::Algorithm { found: algorithm });
        }
        Ok(Self { algorithm, kid: KeyId::new(kid), protected, payload, signature })
    }

    /// The key that it says to be signed by.
    pub(crate) const fn kid(&self) -> KeyId {
        self.kid
    }

    /// Reads the map although nothing says who wrote it: for what must be known to find the key.
    pub(crate) fn unverified<T: Object>(&self) -> Result<T, Error> {
        decode(self.payload)
    }

    /// Verifies the signature, and only then reads the map.
    pub(crate) fn verify<T: Object>(&self, key: &PublicKey) -> Result<Verified<T>, Error> {
        if self.algorithm != algorithm(key) {
            return Err(Error::Algorithm { found: self.algorithm });
        }
        if self.kid != key.id() {
            return Err(Error::UnknownKey { kid: self.kid });
        }
        key.verify(&sig_structure(self.protected, self.payload), &self.signature)?;
        decode(self.payload).map(Verified::new)
    }
}

/// The map of `object`, its type in front, unless it is longer than anybody would read.
pub(crate) fn encode<T: Object>(object: &T) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Room for every ticket, so that no half of one is left behind where the bytes were before.
    let mut out = Writer::with_capacity(1024);
    out.map(|map| {
        map.key(TYP).text(T::TYP);
        object.write(map);
    });
    let map = Zeroizing::new(out.into_bytes());
    if map.len() > T::MAX { Err(cbor::Error::TooLong { limit: T::MAX }.into()) } else { Ok(map) }
}

/// Reads what [`encode`] wrote, and nothing else. Says nothing of who wrote it.
pub(crate) fn decode<T: Object>(bytes: &[u8]) -> Result<T, Error> {
    let mut reader = Reader::new(bytes, &Limits { bytes: T::MAX, depth: DEPTH, tag: None })?;
    let object = reader.map(|map| {
        if map.required(TYP, "typ", Reader::text)? != T::TYP {
            return Err(cbor::Error::Field { field: "typ" });
        }
        T::read(map)
    });
    object.map_err(|source| {
        if source == (cbor::Error::Field { field: "typ" }) {
            Error::Type { expected: T::TYP }
        } else {
            Error::Encoding { source }
        }
    })
}

const fn algorithm(key: &PublicKey) -> i64 {
    match key {
        PublicKey::Ed25519(_) => ED25519,
        PublicKey::P256(_) => ESP256,
    }
}

fn sig_structure(protected: &[u8], payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Writer::with_capacity(payload.len() + protected.len() + 32);
    out.array(4).text("Signature1").bytes(protected).bytes(&[]).bytes(payload);
    Zeroizing::new(out.into_bytes())
}

#[cfg(test)]
mod tests;
