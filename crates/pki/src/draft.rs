//! A certificate before its signature.

use der::{
    Encode,
    asn1::{BitStringRef, IntRef, OctetStringRef},
};
use model::{Random, Seconds, UnixTime};
use pki_types::CertificateDer;

use crate::{
    Error, P256PublicKey, P256Signer,
    asn1::{Algorithm, Extension, Oid, Raw, Signed, Tbs, Time, Validity, oid, sequence, tlv},
    certificate::Parsed,
    key::signature_der,
    oid,
};

pub(crate) struct Draft<'a> {
    pub(crate) serial: [u8; 16],
    pub(crate) issuer: &'a [u8],
    pub(crate) issuer_key: &'a P256PublicKey,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    pub(crate) subject: &'a [u8],
    pub(crate) key: &'a P256PublicKey,
    pub(crate) extensions: Vec<Ext>,
}

#[derive(Clone)]
pub(crate) struct Ext {
    pub(crate) id: &'static [u8],
    pub(crate) critical: bool,
    pub(crate) value: Vec<u8>,
}

/// A verifier's clock may be slow by this much.
const BACKDATE: Seconds = Seconds::minutes(5);

impl Draft<'_> {
    /// Adds both key identifiers, signs, and reads the result back: it must carry the very key.
    pub(crate) fn sign(mut self, signer: &dyn P256Signer) -> Result<CertificateDer<'static>, Error> {
        let wrong = Error::malformed("certificate");
        let authority = tlv(0x80, &[&self.issuer_key.key_id()]);
        self.extensions.push(Ext {
            id: oid::SUBJECT_KEY_IDENTIFIER,
            critical: false,
            value: tlv(0x04, &[&self.key.key_id()]),
        });
        self.extensions.push(Ext {
            id: oid::AUTHORITY_KEY_IDENTIFIER,
            critical: false,
            value: sequence(&[&authority]),
        });
        let spki = self.key.spki_der();
        let tbs = Tbs {
            version: 2,
            serial: IntRef::new(&self.serial).map_err(&wrong)?,
            algorithm: Algorithm::ECDSA_WITH_SHA256,
            issuer: Raw(self.issuer),
            validity: Validity {
                not_before: Time::new(self.not_before),
                not_after: Time::new(self.not_after),
            },
            subject: Raw(self.subject),
            spki: Raw(&spki),
            extensions: Some(
                self.extensions
                    .iter()
                    .map(|ext| {
                        let value = OctetStringRef::new(&ext.value)?;
                        Ok(Extension { id: Oid(ext.id), critical: ext.critical, value })
                    })
                    .collect::<der::Result<_>>()
                    .map_err(&wrong)?,
            ),
        };
        let body = tbs.to_der().map_err(&wrong)?;
        let der = seal(&body, signer)?;
        if Parsed::from_der(&der)?.spki() != spki {
            return Err(Error::KeyChanged);
        }
        Ok(der.into())
    }
}

impl Ext {
    pub(crate) fn extended_key_usage(usages: &[&[u8]]) -> Self {
        let usages: Vec<Vec<u8>> = usages.iter().map(|usage| oid(usage)).collect();
        let value = sequence(&usages.iter().map(Vec::as_slice).collect::<Vec<_>>());
        Self { id: oid::EXTENDED_KEY_USAGE, critical: false, value }
    }
}

/// Signs a body with ECDSA and SHA-256 and joins both into one structure.
pub(crate) fn seal(body: &[u8], signer: &dyn P256Signer) -> Result<Vec<u8>, Error> {
    let signature = signature_der(&signer.sign(body)?);
    let signed = Signed {
        body: Raw(body),
        algorithm: Algorithm::ECDSA_WITH_SHA256,
        signature: BitStringRef::from_bytes(&signature).map_err(Error::malformed("signature"))?,
    };
    signed.to_der().map_err(Error::malformed("signed structure"))
}

/// 126 random bits in an INTEGER that always has 16 octets and is positive.
pub(crate) fn random_serial(random: &mut dyn Random) -> [u8; 16] {
    let mut serial = [0; 16];
    random.fill(&mut serial);
    certificate_serial(serial)
}

/// A certificate's serial number from 16 unpredictable bytes: an INTEGER (RFC 5280, 4.1.2.2) that always
/// has 16 octets and is positive.
pub const fn certificate_serial(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[0] = bytes[0] & 0x3f | 0x40;
    bytes
}

/// Shortly before `now`, but not before the issuer began.
pub(crate) fn not_before(now: UnixTime, issuer: UnixTime) -> UnixTime {
    (now - BACKDATE).max(issuer)
}
