//! The fleet's root and its issuing CAs.

use der::{Decode, asn1::AnyRef};
use model::{Random, SpkiDigest, StationName, UnixTime};
use pki_types::CertificateDer;

use crate::{
    Certificate, Error, FleetDomain, Organization, P256PublicKey, P256Signer,
    asn1::{BasicConstraints, Oid, elements, sequence, tlv},
    certificate::Parsed,
    draft::{Draft, Ext, not_before, random_serial},
    name, oid,
};

/// What a CA may issue, as its certificate says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CaRole {
    /// Issuing CAs (RFC 5280 path length 1).
    Root,
    /// The devices that one station provisions; their DNS names lie below `domain`.
    Devices {
        /// `<station>.devices.<fleet domain>`.
        domain: Box<str>,
    },
    /// People; their DNS names lie below `domain`.
    People {
        /// `people.<fleet domain>`.
        domain: Box<str>,
    },
    /// Servers, under whatever names they have.
    Servers,
    /// Gateways, which are servers to devices and clients of the backend.
    Gateways {
        /// `gateways.<fleet domain>`.
        domain: Box<str>,
    },
}

/// A CA's certificate, parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaCertificate {
    certificate: Certificate,
    role: CaRole,
    organization: Organization,
    subject: Box<[u8]>,
}

/// A CA that can issue: its certificate and the key behind it.
pub struct Ca<'a> {
    certificate: &'a CaCertificate,
    signer: &'a dyn P256Signer,
}

/// The root of a fleet.
#[derive(Clone, Debug)]
pub struct RootProfile {
    /// Whose fleet it is.
    pub organization: Organization,
}

/// An issuing CA, to be certified by the root.
#[derive(Clone, Debug)]
pub struct CaProfile {
    /// What it shall issue.
    pub kind: CaKind,
    /// Under which its name space lies.
    pub domain: FleetDomain,
    /// When it ends; for a CA of devices, [`UnixTime::MAX`].
    pub not_after: UnixTime,
}

/// Which issuing CA to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CaKind {
    /// One station's devices.
    Devices(StationName),
    /// People.
    People,
    /// Servers.
    Servers,
    /// Gateways.
    Gateways,
}

impl RootProfile {
    /// Makes the root's certificate: self-signed, path length 1, without end.
    ///
    /// # Errors
    /// The key signed nothing.
    pub fn issue(
        &self,
        signer: &dyn P256Signer,
        random: &mut dyn Random,
        now: UnixTime,
    ) -> Result<CertificateDer<'static>, Error> {
        let key = P256PublicKey::from_sec1(signer.public_key_sec1())?;
        let subject = subject(&self.organization, None, "root", &key);
        let draft = Draft {
            serial: random_serial(random),
            issuer: &subject,
            issuer_key: &key,
            not_before: not_before(now, UnixTime::EPOCH),
            not_after: UnixTime::MAX,
            subject: &subject,
            key: &key,
            extensions: ca_extensions(1).into(),
        };
        draft.sign(signer)
    }
}

impl CaProfile {
    /// Certifies `key` as an issuing CA under the root, with path length 0, extended key usages and,
    /// but for servers, a permitted name space.
    ///
    /// # Errors
    /// `root` is no root, the validity leaves the root's, a name does not fit, or the root's key signed
    /// nothing.
    pub fn issue(
        &self,
        key: &P256PublicKey,
        root: &Ca<'_>,
        random: &mut dyn Random,
        now: UnixTime,
    ) -> Result<CertificateDer<'static>, Error> {
        let CaRole::Root = root.certificate.role else {
            return Err(Error::WrongCa { what: "other CAs" });
        };
        let domain = &self.domain;
        let (what, unit, usages, space): (_, _, &[&[u8]], _) = match &self.kind {
            CaKind::Devices(station) => {
                ("devices", Some(station.as_str()), &[oid::CLIENT_AUTH], Some(domain.of_station(station)?))
            }
            CaKind::People => ("people", None, &[oid::CLIENT_AUTH], Some(format!("people.{domain}"))),
            CaKind::Servers => ("servers", None, &[oid::SERVER_AUTH], None),
            CaKind::Gateways => {
                ("gateways", None, &[oid::SERVER_AUTH, oid::CLIENT_AUTH], Some(format!("gateways.{domain}")))
            }
        };
        let mut extensions = ca_extensions(0).to_vec();
        extensions.push(Ext::extended_key_usage(usages));
        if let Some(space) = &space {
            let subtree = sequence(&[&tlv(0x82, &[space.as_bytes()])]);
            extensions.push(Ext {
                id: oid::NAME_CONSTRAINTS,
                critical: true,
                value: sequence(&[&tlv(0xa0, &[&subtree])]),
            });
        }
        let subject = subject(&root.certificate.organization, unit, what, key);
        root.sign(random_serial(random), now, self.not_after, &subject, key, extensions)
    }
}

impl CaCertificate {
    /// Reads a CA's certificate and what it may issue. It says nothing about trust: see
    /// [`crate::verify_chain`].
    ///
    /// # Errors
    /// Not strict DER, not a CA, or none of our profiles.
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let parsed = Parsed::from_der(der)?;
        let basic = parsed.extension(oid::BASIC_CONSTRAINTS).ok_or(malformed("basic constraints"))?;
        let basic = BasicConstraints::from_der(basic.value.as_bytes())
            .map_err(Error::malformed("basic constraints"))?;
        if !basic.ca {
            return Err(malformed("CA certificate"));
        }
        let role = match (basic.path_len, parsed.extended_key_usages()?, permitted_name(&parsed)?) {
            (Some(1), None, None) => CaRole::Root,
            (Some(0), Some(usages), space) => role(&usages, space).ok_or(malformed("CA profile"))?,
            (_, _, _) => return Err(malformed("CA profile")),
        };
        let [organization] = parsed.subject_attributes(oid::ORGANIZATION)?[..] else {
            return Err(malformed("CA subject"));
        };
        Ok(Self {
            organization: organization.parse()?,
            subject: parsed.subject().into(),
            certificate: parsed.certificate()?,
            role,
        })
    }

    /// What it may issue.
    pub const fn role(&self) -> &CaRole {
        &self.role
    }

    /// Whose fleet it belongs to.
    pub const fn organization(&self) -> &Organization {
        &self.organization
    }

    /// What every certificate has.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The SHA-256 of its SubjectPublicKeyInfo.
    pub fn spki_digest(&self) -> SpkiDigest {
        self.certificate.spki_digest()
    }

    pub(crate) fn subject(&self) -> &[u8] {
        &self.subject
    }
}

impl<'a> Ca<'a> {
    /// Joins a CA's certificate with its key.
    ///
    /// # Errors
    /// The key is another one than the certificate's.
    pub fn new(certificate: &'a CaCertificate, signer: &'a dyn P256Signer) -> Result<Self, Error> {
        if signer.public_key_sec1() != *certificate.certificate.key().sec1() {
            return Err(Error::SignerMismatch);
        }
        Ok(Self { certificate, signer })
    }

    /// Its certificate.
    pub const fn certificate(&self) -> &'a CaCertificate {
        self.certificate
    }

    pub(crate) const fn signer(&self) -> &'a dyn P256Signer {
        self.signer
    }

    pub(crate) fn sign(
        &self,
        serial: [u8; 16],
        now: UnixTime,
        not_after: UnixTime,
        subject: &[u8],
        key: &P256PublicKey,
        extensions: Vec<Ext>,
    ) -> Result<CertificateDer<'static>, Error> {
        let ca = self.certificate;
        if now < ca.certificate.not_before() || not_after <= now || not_after > ca.certificate.not_after() {
            return Err(Error::Validity);
        }
        let draft = Draft {
            serial,
            issuer: &ca.subject,
            issuer_key: ca.certificate.key(),
            not_before: not_before(now, ca.certificate.not_before()),
            not_after,
            subject,
            key,
            extensions,
        };
        draft.sign(self.signer)
    }
}

impl std::fmt::Debug for Ca<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("certificate", self.certificate).finish_non_exhaustive()
    }
}

fn malformed(what: &'static str) -> Error {
    Error::Malformed { what }
}

/// The key's own digits in the common name keep two CAs of one kind apart: paths are built by name.
fn subject(organization: &Organization, unit: Option<&str>, what: &str, key: &P256PublicKey) -> Vec<u8> {
    let id: String = key.key_id()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let common = format!("{what} {id}");
    let mut attributes = vec![(oid::ORGANIZATION, organization.as_str())];
    attributes.extend(unit.map(|unit| (oid::ORGANIZATIONAL_UNIT, unit)));
    attributes.push((oid::COMMON_NAME, &common));
    name::distinguished(&attributes)
}

fn ca_extensions(path_len: u8) -> [Ext; 2] {
    let ca = sequence(&[&[0x01, 0x01, 0xff], &[0x02, 0x01, path_len]]);
    [
        Ext { id: oid::BASIC_CONSTRAINTS, critical: true, value: ca },
        // keyCertSign and cRLSign.
        Ext { id: oid::KEY_USAGE, critical: true, value: vec![0x03, 0x02, 0x01, 0x06] },
    ]
}

/// Unambiguous, for no fleet domain begins with `devices`: a station may be called `people`.
fn role(usages: &[Oid<'_>], space: Option<&str>) -> Option<CaRole> {
    let client = usages.contains(&Oid(oid::CLIENT_AUTH));
    let server = usages.contains(&Oid(oid::SERVER_AUTH));
    match (client, server, space) {
        (true, false, Some(domain)) if domain.split('.').nth(1) == Some("devices") => {
            Some(CaRole::Devices { domain: domain.into() })
        }
        (true, false, Some(domain)) if domain.starts_with("people.") => {
            Some(CaRole::People { domain: domain.into() })
        }
        (true, true, Some(domain)) if domain.starts_with("gateways.") => {
            Some(CaRole::Gateways { domain: domain.into() })
        }
        (false, true, None) => Some(CaRole::Servers),
        (_, _, _) => None,
    }
}

/// The one permitted dNSName, or none where there are no constraints.
fn permitted_name<'a>(parsed: &Parsed<'a>) -> Result<Option<&'a str>, Error> {
    let wrong = Error::malformed("name constraints");
    let Some(extension) = parsed.extension(oid::NAME_CONSTRAINTS) else {
        return Ok(None);
    };
    let constraints = AnyRef::from_der(extension.value.as_bytes()).map_err(&wrong)?;
    let [permitted] = elements(constraints.value()).map_err(&wrong)?[..] else {
        return Err(malformed("name constraints"));
    };
    let [subtree] = elements(permitted.value()).map_err(&wrong)?[..] else {
        return Err(malformed("name constraints"));
    };
    let space = std::str::from_utf8(subtree.value().get(2..).unwrap_or_default()).unwrap_or_default();
    let again = sequence(&[&tlv(0xa0, &[&sequence(&[&tlv(0x82, &[space.as_bytes()])])])]);
    if !extension.critical || again != extension.value.as_bytes() || !name::is_dns_name(space) {
        return Err(malformed("name constraints"));
    }
    Ok(Some(space))
}
