//! Certificate signing requests (PKCS #10, RFC 2986): what we take from one, and how we make one.
//!
//! A request gives us a public key, proof that its maker holds the private one, a device's KEM key and
//! its serial number. Everything else in the certificate comes from the profile, so everything else
//! in the request is ignored; but one that asks to be a CA is refused, for its maker means harm.

use std::collections::BTreeSet;

use der::{Decode, Encode, Reader, SliceReader, asn1::BitStringRef};
use model::{Serial, SpkiDigest};

use crate::{
    P256PublicKey, P256Signer, SignError,
    asn1::{
        Algorithm, BasicConstraints, Extension, Oid, Raw, RequestInfo, Signed, elements, oid, sequence, tlv,
    },
    kem,
    key::signature_der,
    name, oid,
};

/// The longest request that is read, in bytes. Real ones have 300 to 1,000.
const MAX_LEN: usize = 8 * 1024;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// More bytes than any honest request has.
    #[error("the request has {len} bytes, more than {MAX_LEN}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Not a request in strict DER, or bytes follow it.
    #[error("malformed request: {what}")]
    Malformed {
        /// The part that is wrong.
        what: &'static str,
    },
    /// The key is not on P-256, or not written as a named curve and an uncompressed point.
    #[error("the key is not a public key on P-256")]
    NotP256,
    /// Signed with something other than ECDSA and SHA-256.
    #[error("the request is not signed with ECDSA and SHA-256")]
    Algorithm,
    /// The signature is not by the key in the request.
    #[error("the request is not signed by its own key")]
    Possession,
    /// An attribute or extension stands there twice.
    #[error("{what} stands in the request twice")]
    Duplicate {
        /// What does.
        what: &'static str,
    },
    /// It asks to be a CA, or for a CA's key usage.
    #[error("the request asks for a CA certificate")]
    AsksForCa,
    /// The KEM key is missing, of another kind, of small order or not canonical.
    #[error("the request carries no sound KEM key")]
    Kem,
    /// The serial number in the subject is none that a device may have.
    #[error("the serial number in the request is not valid")]
    Serial,
}

/// A device's request that passed the policy: P-256 identity key, possession proven, one KEM key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Csr {
    key: P256PublicKey,
    kem_public: [u8; 32],
    serial: Option<Serial>,
}

/// A person's or server's request that passed the policy: P-256 key, possession proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdentityCsr {
    key: P256PublicKey,
}

impl Csr {
    /// Reads a device's request in DER and checks it against the policy.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        let request = Request::parse(der)?;
        let kem = request.extension(oid::KEM_KEY).filter(|extension| !extension.critical);
        let kem_public = kem.and_then(|kem| kem::read(kem.value.as_bytes())).ok_or(CsrError::Kem)?;
        Ok(Self { key: request.key, kem_public, serial: request.serial()? })
    }

    /// The identity key.
    pub const fn key(&self) -> &P256PublicKey {
        &self.key
    }

    /// The SHA-256 of the identity key's SubjectPublicKeyInfo.
    pub fn spki_digest(&self) -> SpkiDigest {
        self.key.spki_digest()
    }

    /// The X25519 key that tickets and links are sealed to.
    pub const fn kem_public(&self) -> &[u8; 32] {
        &self.kem_public
    }

    /// The serial number that the device says it has, to be compared with the expected one.
    pub const fn serial(&self) -> Option<&Serial> {
        self.serial.as_ref()
    }
}

impl IdentityCsr {
    /// Reads a person's or a server's request in DER and checks it against the policy.
    ///
    /// # Errors
    /// The first rule that it breaks; a KEM key has no place in it.
    pub fn parse(der: &[u8]) -> Result<Self, CsrError> {
        let request = Request::parse(der)?;
        if request.extension(oid::KEM_KEY).is_some() {
            return Err(CsrError::Kem);
        }
        Ok(Self { key: request.key })
    }

    /// The key.
    pub const fn key(&self) -> &P256PublicKey {
        &self.key
    }

    /// The SHA-256 of the key's SubjectPublicKeyInfo.
    pub fn spki_digest(&self) -> SpkiDigest {
        self.key.spki_digest()
    }
}

/// A device's request: its identity key signs itself, the KEM key and the serial number.
///
/// # Errors
/// The identity key signed nothing.
pub fn build(
    identity: &dyn P256Signer,
    kem_public: &[u8; 32],
    serial: Option<&Serial>,
) -> Result<Vec<u8>, SignError> {
    let serial = serial.map(name::printable_serial);
    let subject: Vec<_> = serial.iter().map(|serial| (oid::SERIAL_NUMBER, serial.as_str())).collect();
    let extension = sequence(&[&oid(oid::KEM_KEY), &tlv(0x04, &[&kem::spki(kem_public)])]);
    let attribute = sequence(&[&oid(oid::EXTENSION_REQUEST), &tlv(0x31, &[&sequence(&[&extension])])]);
    sign(identity, &name::distinguished(&subject), &attribute)
}

/// A person's or a server's request: a key and nothing else.
///
/// # Errors
/// The key signed nothing.
pub fn build_identity(identity: &dyn P256Signer) -> Result<Vec<u8>, SignError> {
    sign(identity, &name::distinguished(&[]), &[])
}

fn sign(identity: &dyn P256Signer, subject: &[u8], attributes: &[u8]) -> Result<Vec<u8>, SignError> {
    let failed = |_| SignError::Failed { reason: "the key is no point on P-256".into() };
    let key = P256PublicKey::from_sec1(identity.public_key_sec1()).map_err(failed)?;
    let info = sequence(&[&[0x02, 0x01, 0x00], subject, &key.spki_der(), &tlv(0xa0, &[attributes])]);
    let signature = signature_der(&identity.sign(&info)?);
    let algorithm = sequence(&[&oid(oid::ECDSA_WITH_SHA256)]);
    Ok(sequence(&[&info, &algorithm, &tlv(0x03, &[&[0], &signature])]))
}

/// What all requests have in common, with the rules that hold for all.
struct Request<'a> {
    key: P256PublicKey,
    subject: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

impl<'a> Request<'a> {
    fn parse(der: &'a [u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_LEN {
            return Err(CsrError::TooLong { len: der.len() });
        }
        let malformed = |what| move |_| CsrError::Malformed { what };
        let signed = Signed::from_der(der).map_err(malformed("its outer structure"))?;
        let info = RequestInfo::from_der(signed.body.0).map_err(malformed("its inner structure"))?;
        if info.version != 0 {
            return Err(CsrError::Malformed { what: "its version" });
        }
        // One value has one encoding: what is written back differs from what is not DER.
        let again = Signed { body: Raw(&info.to_der().map_err(malformed("its inner structure"))?), ..signed };
        if again.to_der().as_deref() != Ok(der) {
            return Err(CsrError::Malformed { what: "not in DER" });
        }
        if signed.algorithm != Algorithm::ECDSA_WITH_SHA256 {
            return Err(CsrError::Algorithm);
        }
        let key = P256PublicKey::from_spki(info.spki.0).map_err(|_| CsrError::NotP256)?;
        let signature = bytes(signed.signature).ok_or(CsrError::Possession)?;
        if !key.verifies(signed.body.0, signature) {
            return Err(CsrError::Possession);
        }
        let extensions = extensions(info.attributes)?;
        let request = Self { key, subject: info.subject.0, extensions };
        request.refuse_ca()?;
        Ok(request)
    }

    fn extension(&self, id: &[u8]) -> Option<&Extension<'a>> {
        self.extensions.iter().find(|extension| extension.id == Oid(id))
    }

    fn refuse_ca(&self) -> Result<(), CsrError> {
        if let Some(basic) = self.extension(oid::BASIC_CONSTRAINTS) {
            let basic = BasicConstraints::from_der(basic.value.as_bytes())
                .map_err(|_| CsrError::Malformed { what: "its basic constraints" })?;
            if basic.ca || basic.path_len.is_some() {
                return Err(CsrError::AsksForCa);
            }
        }
        if let Some(usage) = self.extension(oid::KEY_USAGE) {
            let bits = BitStringRef::from_der(usage.value.as_bytes())
                .map_err(|_| CsrError::Malformed { what: "its key usage" })?;
            // keyCertSign and cRLSign (RFC 5280, 4.2.1.3).
            if [5, 6].iter().any(|&bit| bits.get(bit) == Some(true)) {
                return Err(CsrError::AsksForCa);
            }
        }
        match self.extension(oid::NAME_CONSTRAINTS) {
            Some(_) => Err(CsrError::AsksForCa),
            None => Ok(()),
        }
    }

    fn serial(&self) -> Result<Option<Serial>, CsrError> {
        let malformed = |_| CsrError::Malformed { what: "its subject" };
        match name::attributes(self.subject, oid::SERIAL_NUMBER).map_err(malformed)?[..] {
            [] => Ok(None),
            [text] => name::read_serial(text).map(Some).ok_or(CsrError::Serial),
            [_, _, ..] => Err(CsrError::Duplicate { what: "the serial number" }),
        }
    }
}

/// The extensions that a request asks for, from its `[0] IMPLICIT SET OF Attribute`.
fn extensions(attributes: Raw<'_>) -> Result<Vec<Extension<'_>>, CsrError> {
    let malformed = |_| CsrError::Malformed { what: "its attributes" };
    let mut seen = BTreeSet::new();
    let mut extensions = Vec::new();
    for attribute in set_of(attributes.0, 0xa0)? {
        let [kind, values] = raw_elements(attribute, 0x30)?[..] else {
            return Err(CsrError::Malformed { what: "its attributes" });
        };
        let kind = Oid::from_der(kind).map_err(malformed)?;
        if !seen.insert(kind.0) {
            return Err(CsrError::Duplicate { what: "an attribute" });
        }
        let values = set_of(values, 0x31)?;
        if kind == Oid(oid::EXTENSION_REQUEST) {
            let [list] = values[..] else {
                return Err(CsrError::Duplicate { what: "the extension request" });
            };
            extensions = raw_elements(list, 0x30)?
                .into_iter()
                .map(|extension| canonical_extension(extension).ok_or(()))
                .collect::<Result<Vec<_>, ()>>()
                .map_err(|()| CsrError::Malformed { what: "its extensions" })?;
        }
    }
    let ids: BTreeSet<_> = extensions.iter().map(|extension| extension.id.0).collect();
    if ids.len() != extensions.len() {
        return Err(CsrError::Duplicate { what: "an extension" });
    }
    Ok(extensions)
}

fn canonical_extension(der: &[u8]) -> Option<Extension<'_>> {
    let extension = Extension::from_der(der).ok()?;
    (extension.to_der().ok()? == der).then_some(extension)
}

/// The elements of a SET OF, which DER wants in ascending order (X.690, 11.6).
fn set_of(der: &[u8], tag: u8) -> Result<Vec<&[u8]>, CsrError> {
    let elements = raw_elements(der, tag)?;
    if !elements.is_sorted() {
        return Err(CsrError::Malformed { what: "a set out of order" });
    }
    Ok(elements)
}

/// The elements, headers included, inside the one element `der` with this tag.
fn raw_elements(der: &[u8], tag: u8) -> Result<Vec<&[u8]>, CsrError> {
    let malformed = |_| CsrError::Malformed { what: "its attributes" };
    let content = match elements(der).map_err(malformed)?[..] {
        [outer] if der.first() == Some(&tag) => outer.value(),
        _ => return Err(CsrError::Malformed { what: "its attributes" }),
    };
    let mut reader = SliceReader::new(content).map_err(malformed)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(reader.tlv_bytes().map_err(malformed)?);
    }
    Ok(found)
}

fn bytes(bits: BitStringRef<'_>) -> Option<&[u8]> {
    bits.as_bytes()
}
