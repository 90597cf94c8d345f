//! Reading certificates. Nothing here says that one is to be trusted: see [`crate::verify_chain`].

use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged, asn1::AnyRef};
use model::{DeviceId, Digest, PersonName, Serial, SpkiDigest, UnixTime};
use pki_types::CertificateDer;

use crate::{
    Error, P256PublicKey,
    asn1::{Algorithm, BasicConstraints, Extension, Oid, Raw, Signed, Tbs, elements},
    kem,
    key::sha256,
    name, oid,
};

/// What every certificate of ours has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    sha256: Digest,
    key: P256PublicKey,
    serial: [u8; 16],
    not_before: UnixTime,
    not_after: UnixTime,
}

/// A device's certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceCertificate {
    certificate: Certificate,
    device: DeviceId,
    serial: Serial,
    kem_public: [u8; 32],
    domain: Box<str>,
}

/// A person's certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonCertificate {
    certificate: Certificate,
    person: PersonName,
    dns_name: Box<str>,
}

/// A server's certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerCertificate {
    certificate: Certificate,
    dns_names: Vec<Box<str>>,
}

impl Certificate {
    /// Reads any certificate of ours: strict DER, a P-256 key, a serial number of 16 octets.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        Parsed::from_der(der)?.certificate()
    }

    /// The certificate in DER.
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The SHA-256 of the certificate in DER.
    pub const fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The key that it names.
    pub const fn key(&self) -> &P256PublicKey {
        &self.key
    }

    /// The SHA-256 of the key's SubjectPublicKeyInfo.
    pub fn spki_digest(&self) -> SpkiDigest {
        self.key.spki_digest()
    }

    /// Its own serial number, big-endian.
    pub const fn serial(&self) -> &[u8; 16] {
        &self.serial
    }

    /// When it begins.
    pub const fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// When it ends; [`UnixTime::MAX`] is never.
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

impl DeviceCertificate {
    /// Reads a device's certificate and checks it against the profile.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let parsed = Parsed::leaf(der, oid::CLIENT_AUTH)?;
        let wrong = || Error::Malformed { what: "device certificate" };

        let names = parsed.alt_names()?;
        let [AltName::Uri(uri), AltName::Dns(dns), AltName::Other(module)] = names[..] else {
            return Err(wrong());
        };
        let uuid = uri.strip_prefix("urn:uuid:").ok_or_else(wrong)?;
        let device = name::device_id(uuid).ok_or_else(wrong)?;
        let (label, domain) = dns.split_once('.').ok_or_else(wrong)?;
        if label != uuid || !name::is_dns_name(domain) {
            return Err(wrong());
        }

        let serial = module_serial(module).map_err(Error::malformed("hardware module name"))?;
        let serial: Serial = serial.ok_or_else(wrong)?;
        if parsed.subject_attributes(oid::SERIAL_NUMBER)? != [name::printable_serial(&serial)] {
            return Err(wrong());
        }

        let kem = parsed.extension(oid::KEM_KEY);
        let kem_public = kem
            .and_then(|extension| kem::read(extension.value.as_bytes()))
            .ok_or(Error::Malformed { what: "KEM key" })?;
        Ok(Self { certificate: parsed.certificate()?, device, serial, kem_public, domain: domain.into() })
    }

    /// What every certificate has.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The device's id.
    pub const fn device_id(&self) -> DeviceId {
        self.device
    }

    /// The device's serial number.
    pub const fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The X25519 key that tickets and links for the device are sealed to.
    pub const fn kem_public(&self) -> &[u8; 32] {
        &self.kem_public
    }

    /// The name space of the station that issued it: `<station>.devices.<fleet domain>`.
    pub const fn station_domain(&self) -> &str {
        &self.domain
    }

    /// The SHA-256 of the identity key's SubjectPublicKeyInfo.
    pub fn spki_digest(&self) -> SpkiDigest {
        self.certificate.spki_digest()
    }
}

impl PersonCertificate {
    /// Reads a person's certificate and checks it against the profile.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let parsed = Parsed::leaf(der, oid::CLIENT_AUTH)?;
        let wrong = || Error::Malformed { what: "person's certificate" };
        let [AltName::Dns(dns_name)] = parsed.alt_names()?[..] else {
            return Err(wrong());
        };
        let [person] = parsed.subject_attributes(oid::COMMON_NAME)?[..] else {
            return Err(wrong());
        };
        Ok(Self {
            certificate: parsed.certificate()?,
            person: person.parse().map_err(|_| wrong())?,
            dns_name: dns_name.into(),
        })
    }

    /// What every certificate has.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whom it names. A name is no permission: roles hang on the key.
    pub const fn person(&self) -> &PersonName {
        &self.person
    }

    pub(crate) const fn dns_name(&self) -> &str {
        &self.dns_name
    }
}

impl ServerCertificate {
    /// Reads a server's certificate and checks it against the profile.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let parsed = Parsed::leaf(der, oid::SERVER_AUTH)?;
        let mut dns_names = Vec::new();
        for alt_name in parsed.alt_names()? {
            match alt_name {
                AltName::Dns(name) => dns_names.push(name.into()),
                AltName::Address => {}
                AltName::Uri(_) | AltName::Other(_) => {
                    return Err(Error::Malformed { what: "server's certificate" });
                }
            }
        }
        Ok(Self { certificate: parsed.certificate()?, dns_names })
    }

    /// What every certificate has.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The DNS names that it is valid for.
    pub fn dns_names(&self) -> &[Box<str>] {
        &self.dns_names
    }
}

/// A certificate in its parts, borrowed.
pub(crate) struct Parsed<'a> {
    der: &'a [u8],
    tbs: Tbs<'a>,
    extensions: Vec<Extension<'a>>,
}

#[derive(Clone, Copy)]
enum AltName<'a> {
    Dns(&'a str),
    Uri(&'a str),
    Address,
    /// The content of an otherName.
    Other(&'a [u8]),
}

/// The longest certificate that is read, in bytes. Ours have 500 to 1,000.
const MAX_LEN: usize = 16 * 1024;

impl<'a> Parsed<'a> {
    pub(crate) fn from_der(der: &'a [u8]) -> Result<Self, Error> {
        let wrong = Error::malformed("certificate");
        if der.len() > MAX_LEN {
            return Err(Error::Malformed { what: "certificate" });
        }
        let signed = Signed::from_der(der).map_err(&wrong)?;
        let tbs = Tbs::from_der(signed.body.0).map_err(&wrong)?;
        let again = tbs.to_der().map_err(&wrong)?;
        let outer = Signed { body: Raw(&again), ..signed }.to_der().map_err(&wrong)?;
        let extensions = tbs.extensions.clone().unwrap_or_default();
        let twice = |at: usize| extensions[..at].iter().any(|other| other.id == extensions[at].id);
        if outer != der
            || tbs.version != 2
            || tbs.algorithm != Algorithm::ECDSA_WITH_SHA256
            || signed.algorithm != Algorithm::ECDSA_WITH_SHA256
            || (0..extensions.len()).any(twice)
        {
            return Err(Error::Malformed { what: "certificate" });
        }
        Ok(Self { der, tbs, extensions })
    }

    /// A certificate that is no CA's, for one purpose alone.
    fn leaf(der: &'a [u8], usage: &[u8]) -> Result<Self, Error> {
        let parsed = Self::from_der(der)?;
        let basic = parsed.extension(oid::BASIC_CONSTRAINTS);
        let basic = basic.and_then(|basic| BasicConstraints::from_der(basic.value.as_bytes()).ok());
        if !basic.is_some_and(|basic| !basic.ca && basic.path_len.is_none())
            || parsed.extended_key_usages()? != Some(vec![Oid(usage)])
        {
            return Err(Error::Malformed { what: "leaf certificate" });
        }
        Ok(parsed)
    }

    pub(crate) fn certificate(&self) -> Result<Certificate, Error> {
        let serial = self.tbs.serial.as_bytes();
        Ok(Certificate {
            der: CertificateDer::from(self.der).into_owned(),
            sha256: sha256(self.der),
            key: P256PublicKey::from_spki(self.tbs.spki.0)?,
            serial: serial.try_into().map_err(|_| Error::Malformed { what: "serial number" })?,
            not_before: self.tbs.validity.not_before.instant(),
            not_after: self.tbs.validity.not_after.instant(),
        })
    }

    pub(crate) const fn spki(&self) -> &'a [u8] {
        self.tbs.spki.0
    }

    pub(crate) const fn subject(&self) -> &'a [u8] {
        self.tbs.subject.0
    }

    pub(crate) fn subject_attributes(&self, id: &[u8]) -> Result<Vec<&'a str>, Error> {
        name::attributes(self.tbs.subject.0, id).map_err(Error::malformed("subject"))
    }

    pub(crate) fn extension(&self, id: &[u8]) -> Option<Extension<'a>> {
        self.extensions.iter().find(|extension| extension.id == Oid(id)).copied()
    }

    pub(crate) fn extended_key_usages(&self) -> Result<Option<Vec<Oid<'a>>>, Error> {
        self.extension(oid::EXTENDED_KEY_USAGE)
            .map(|extension| Vec::<Oid<'a>>::from_der(extension.value.as_bytes()))
            .transpose()
            .map_err(Error::malformed("extended key usage"))
    }

    fn alt_names(&self) -> Result<Vec<AltName<'a>>, Error> {
        let wrong = Error::malformed("subject alternative name");
        let Some(extension) = self.extension(oid::SUBJECT_ALT_NAME) else {
            return Ok(Vec::new());
        };
        let list = AnyRef::from_der(extension.value.as_bytes()).map_err(&wrong)?;
        list.tag()
            .assert_eq(Tag::Sequence)
            .map_err(|_| Error::Malformed { what: "subject alternative name" })?;
        let mut names = SliceReader::new(list.value()).map_err(&wrong)?;
        let mut found = Vec::new();
        while !names.is_finished() {
            let element = names.tlv_bytes().map_err(&wrong)?;
            let content = AnyRef::from_der(element).map_err(&wrong)?.value();
            let text = std::str::from_utf8(content);
            found.push(match (element.first(), text) {
                (Some(0x82), Ok(name)) => AltName::Dns(name),
                (Some(0x86), Ok(uri)) => AltName::Uri(uri),
                (Some(0x87), _) => AltName::Address,
                (Some(0xa0), _) => AltName::Other(content),
                (_, _) => return Err(Error::Malformed { what: "subject alternative name" }),
            });
        }
        Ok(found)
    }
}

/// The serial number in the content of a hardwareModuleName otherName (RFC 4108, 5).
fn module_serial(other_name: &[u8]) -> der::Result<Option<Serial>> {
    let [kind, explicit] = elements(other_name)?[..] else { return Ok(None) };
    let [module] = elements(explicit.value())?[..] else { return Ok(None) };
    let [hardware_type, serial] = elements(module.value())?[..] else { return Ok(None) };
    let as_it_should = kind.tag() == Tag::ObjectIdentifier
        && kind.value() == oid::HARDWARE_MODULE_NAME
        && module.tag() == Tag::Sequence
        && hardware_type.tag() == Tag::ObjectIdentifier
        && serial.tag() == Tag::OctetString;
    let text = std::str::from_utf8(serial.value()).ok();
    Ok(text.filter(|_| as_it_should).and_then(|text| text.parse().ok()))
}
