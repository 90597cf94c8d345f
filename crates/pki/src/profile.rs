//! What each kind of certificate says.

use std::net::IpAddr;

use model::{DeviceId, ModelName, PersonName, Random, Serial, UnixTime};
use pki_types::CertificateDer;

use crate::{
    Ca, CaRole, Csr, Error, IdentityCsr, P256PublicKey, P256Signer,
    asn1::{oid, sequence, tlv},
    draft::{Draft, Ext, certificate_serial, random_serial},
    kem,
    key::sha256,
    name, oid,
};

/// A device's identity, in the manner of IEEE 802.1AR.
#[derive(Clone, Debug)]
pub struct DeviceProfile {
    /// Its random id.
    pub device: DeviceId,
    /// Its serial number.
    pub serial: Serial,
    /// Its product type.
    pub model: ModelName,
    /// When the certificate ends: [`UnixTime::MAX`] for a birth certificate.
    pub not_after: UnixTime,
    /// The certificate's own serial number, made with [`crate::certificate_serial`]: it was reserved
    /// before anything is signed.
    pub certificate_serial: [u8; 16],
}

/// A person's identity as an operator.
#[derive(Clone, Debug)]
pub struct PersonProfile {
    /// Who it is.
    pub person: PersonName,
    /// When the certificate ends.
    pub not_after: UnixTime,
}

/// A server's identity.
#[derive(Clone, Debug)]
pub struct ServerProfile {
    /// The DNS names that clients know it by, in lower case.
    pub dns_names: Vec<String>,
    /// The addresses that clients know it by.
    pub addresses: Vec<IpAddr>,
    /// When the certificate ends.
    pub not_after: UnixTime,
}

impl DeviceProfile {
    /// Issues the certificate for the key in `csr`, whose serial number the caller has compared.
    ///
    /// # Errors
    /// `ca` is no CA of devices, the validity leaves the CA's, or the CA's key signed nothing.
    pub fn issue(&self, csr: &Csr, ca: &Ca<'_>, now: UnixTime) -> Result<CertificateDer<'static>, Error> {
        let CaRole::Devices { domain } = ca.certificate().role() else {
            return Err(Error::WrongCa { what: "certificates of devices" });
        };
        let uuid = name::uuid(&self.device);
        let alt_names = sequence(&[
            &uri(&format!("urn:uuid:{uuid}")),
            &dns(&format!("{uuid}.{domain}")),
            &self.hardware_module_name(),
        ]);
        let mut extensions = leaf_extensions(&[oid::CLIENT_AUTH], alt_names);
        extensions.push(Ext {
            id: oid::KEM_KEY,
            critical: false,
            value: kem::spki(csr.kem_public()).to_vec(),
        });
        let serial = name::printable_serial(&self.serial);
        let subject = name::distinguished(&[
            (oid::ORGANIZATION, ca.certificate().organization().as_str()),
            (oid::SERIAL_NUMBER, &serial),
        ]);
        ca.sign(
            certificate_serial(self.certificate_serial),
            now,
            self.not_after,
            &subject,
            csr.key(),
            extensions,
        )
    }

    /// HardwareModuleName (RFC 4108, 5) as an otherName: the model as an identifier, and the serial
    /// number to the letter.
    fn hardware_module_name(&self) -> Vec<u8> {
        let module =
            sequence(&[&oid(&hardware_type(&self.model)), &tlv(0x04, &[self.serial.as_str().as_bytes()])]);
        tlv(0xa0, &[&oid(oid::HARDWARE_MODULE_NAME), &tlv(0xa0, &[&module])])
    }
}

impl PersonProfile {
    /// Issues the certificate for the key in `csr`.
    ///
    /// # Errors
    /// `ca` is no CA of people, the validity leaves the CA's, or the CA's key signed nothing.
    pub fn issue(
        &self,
        csr: &IdentityCsr,
        ca: &Ca<'_>,
        random: &mut dyn Random,
        now: UnixTime,
    ) -> Result<CertificateDer<'static>, Error> {
        let CaRole::People { domain } = ca.certificate().role() else {
            return Err(Error::WrongCa { what: "certificates of people" });
        };
        let label: String = csr.key().key_id()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let alt_names = sequence(&[&dns(&format!("{label}.{domain}"))]);
        let subject = name::distinguished(&[
            (oid::ORGANIZATION, ca.certificate().organization().as_str()),
            (oid::COMMON_NAME, self.person.as_str()),
        ]);
        let extensions = leaf_extensions(&[oid::CLIENT_AUTH], alt_names);
        ca.sign(random_serial(random), now, self.not_after, &subject, csr.key(), extensions)
    }
}

impl ServerProfile {
    /// Issues the certificate for the key in `csr`.
    ///
    /// # Errors
    /// `ca` is no CA of servers, there is no name or a wrong one, the validity leaves the CA's, or the
    /// CA's key signed nothing.
    pub fn issue(
        &self,
        csr: &IdentityCsr,
        ca: &Ca<'_>,
        random: &mut dyn Random,
        now: UnixTime,
    ) -> Result<CertificateDer<'static>, Error> {
        let CaRole::Servers = ca.certificate().role() else {
            return Err(Error::WrongCa { what: "certificates of servers" });
        };
        let nameless = self.dns_names.is_empty() && self.addresses.is_empty();
        if nameless || !self.dns_names.iter().all(|name| name::is_dns_name(name)) {
            return Err(Error::Name { what: "the server's name" });
        }
        let names: Vec<Vec<u8>> = self
            .dns_names
            .iter()
            .map(|name| dns(name))
            .chain(self.addresses.iter().map(|address| match address {
                IpAddr::V4(v4) => tlv(0x87, &[&v4.octets()]),
                IpAddr::V6(v6) => tlv(0x87, &[&v6.octets()]),
            }))
            .collect();
        let alt_names = sequence(&names.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let subject = name::distinguished(&[
            (oid::ORGANIZATION, ca.certificate().organization().as_str()),
            (oid::COMMON_NAME, "server"),
        ]);
        let extensions = leaf_extensions(&[oid::SERVER_AUTH], alt_names);
        ca.sign(random_serial(random), now, self.not_after, &subject, csr.key(), extensions)
    }
}

/// What a device shows on the enrolment endpoint before it has a certificate: its identity key, signed
/// by itself. It proves nothing but that the key is there; it is valid at any time, for a new device
/// may have no clock.
///
/// # Errors
/// The identity key signed nothing.
pub fn self_signed(
    identity: &dyn P256Signer,
    random: &mut dyn Random,
) -> Result<CertificateDer<'static>, Error> {
    let key = P256PublicKey::from_sec1(identity.public_key_sec1())?;
    let subject = name::distinguished(&[(oid::COMMON_NAME, "enrolment")]);
    let label: String = key.key_id()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let draft = Draft {
        serial: random_serial(random),
        issuer: &subject,
        issuer_key: &key,
        not_before: UnixTime::EPOCH,
        not_after: UnixTime::MAX,
        subject: &subject,
        key: &key,
        extensions: leaf_extensions(&[oid::CLIENT_AUTH], sequence(&[&dns(&format!("{label}.invalid"))])),
    };
    draft.sign(identity)
}

/// The model as an object identifier: that of a UUID derived from its name (RFC 9562, version 8).
pub(crate) fn hardware_type(model: &ModelName) -> Vec<u8> {
    let digest = sha256(format!("fleetseal hardware type {model}").as_bytes());
    let (head, _) = digest.as_bytes().split_at(16);
    let mut uuid: [u8; 16] = head.try_into().expect("split at sixteen bytes");
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    oid::of_uuid(uuid)
}

fn leaf_extensions(usages: &[&[u8]], alt_names: Vec<u8>) -> Vec<Ext> {
    vec![
        Ext { id: oid::BASIC_CONSTRAINTS, critical: true, value: sequence(&[]) },
        // digitalSignature.
        Ext { id: oid::KEY_USAGE, critical: true, value: vec![0x03, 0x02, 0x07, 0x80] },
        Ext::extended_key_usage(usages),
        Ext { id: oid::SUBJECT_ALT_NAME, critical: false, value: alt_names },
    ]
}

fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, &[text.as_bytes()])
}

fn dns(name: &str) -> Vec<u8> {
    tlv(0x82, &[name.as_bytes()])
}
