//! Who this device is: its two keys, made here and never leaving, and the certificate over them.

use std::sync::Arc;

use envelope::{KemSecret, P256Key, Signer as _};
use model::{DeviceId, FleetId, Random, UnixTime};
use pki::{CertificateDer, DeviceCertificate, P256Signer, Usage};
use protocol::Base64;
use serde::{Deserialize, Serialize};
use tls::{ClientTls, Clock, Time};
use zeroize::Zeroizing;

use crate::{Blob, Dial, Error, Storage, http::Endpoint};

/// The two keys.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) identity: P256Key,
    pub(crate) kem: KemSecret,
}

/// What the device knows of itself once it is enrolled.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Enrolled {
    pub(crate) device: DeviceId,
    pub(crate) fleet: FleetId,
    /// Host and port of the backend.
    pub(crate) address: String,
    /// The device's certificate and its issuing CA's, DER.
    pub(crate) chain: Vec<Base64>,
    /// The fleet's roots, DER.
    pub(crate) roots: Vec<Base64>,
}

impl Keys {
    /// The keys, made if they are not there yet. Each is durable before anybody hears of it.
    pub(crate) fn load_or_make(storage: &mut dyn Storage, random: &mut dyn Random) -> Result<Self, Error> {
        if let Some(keys) = Self::load(storage)? {
            return Ok(keys);
        }
        if read(storage, Blob::IdentityKey)?.is_none() {
            let made = P256Key::generate().and_then(|key| key.to_pkcs8()).map_err(key("identity"))?;
            storage.write(Blob::IdentityKey, &made).map_err(Error::storage("store the identity key"))?;
        }
        if read(storage, Blob::KemKey)?.is_none() {
            let made = KemSecret::generate(random).map_err(key("KEM"))?.to_bytes();
            storage.write(Blob::KemKey, &*made).map_err(Error::storage("store the KEM key"))?;
        }
        Self::load(storage)?.ok_or(Error::NotEnrolled)
    }

    /// The keys, if both are there.
    pub(crate) fn load(storage: &dyn Storage) -> Result<Option<Self>, Error> {
        let (Some(identity), Some(kem)) = (read(storage, Blob::IdentityKey)?, read(storage, Blob::KemKey)?)
        else {
            return Ok(None);
        };
        let kem: &[u8; 32] =
            kem.as_slice().try_into().map_err(|_| Error::Key { reason: "the KEM key is damaged".into() })?;
        Ok(Some(Self {
            identity: P256Key::from_pkcs8(&identity).map_err(key("identity"))?,
            kem: KemSecret::from_bytes(kem).map_err(key("KEM"))?,
        }))
    }

    /// The request for a certificate over both keys.
    pub(crate) fn csr(&self, serial: Option<&model::Serial>) -> Result<Vec<u8>, Error> {
        pki::request::build(self, &self.kem.public().0, serial)
            .map_err(|error| Error::Key { reason: error.to_string() })
    }

    /// What the device shows before it has a certificate.
    pub(crate) fn self_signed(&self, random: &mut dyn Random) -> Result<tls::Identity, Error> {
        let certificate =
            pki::self_signed(self, random).map_err(|error| Error::Key { reason: error.to_string() })?;
        self.shown(vec![certificate])
    }

    fn shown(&self, chain: Vec<CertificateDer<'static>>) -> Result<tls::Identity, Error> {
        let pkcs8 = self.identity.to_pkcs8().map_err(key("identity"))?;
        tls::Identity::from_pkcs8(chain, &pkcs8).map_err(Error::Tls)
    }

    fn point(&self) -> [u8; 65] {
        match self.identity.public_key() {
            envelope::PublicKey::P256(point) => point,
            envelope::PublicKey::Ed25519(_) => unreachable!("a P-256 key has a P-256 public key"),
        }
    }

    /// Checks that `chain` certifies these keys as `device`, up to one of `roots`.
    pub(crate) fn check_chain(
        &self,
        chain: &[Vec<u8>],
        roots: &[CertificateDer<'_>],
        device: DeviceId,
        now: UnixTime,
    ) -> Result<DeviceCertificate, Error> {
        let wrong = |reason: &str| Error::Certificate { reason: reason.to_owned() };
        let (leaf, rest) = chain.split_first().ok_or_else(|| wrong("there is none"))?;
        let certificate = DeviceCertificate::parse(leaf)
            .map_err(|error| Error::Certificate { reason: error.to_string() })?;
        if certificate.certificate().key().sec1() != &self.point() {
            return Err(wrong("it is for another identity key"));
        }
        if certificate.kem_public() != &self.kem.public().0 {
            return Err(wrong("it is for another KEM key"));
        }
        if certificate.device_id() != device {
            return Err(wrong("it names another device"));
        }
        let rest: Vec<_> = rest.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        // A device's clock may be far behind; the certificate's own beginning lifts it.
        let now = now.max(certificate.certificate().not_before());
        pki::verify_chain(leaf, &rest, roots, Some(now), Usage::Device)
            .map_err(|error| Error::Certificate { reason: error.to_string() })?;
        Ok(certificate)
    }
}

impl P256Signer for Keys {
    fn public_key_sec1(&self) -> [u8; 65] {
        self.point()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        self.identity.sign(message).map_err(|error| pki::SignError::Failed { reason: error.to_string() })
    }
}

impl Enrolled {
    pub(crate) fn load(storage: &dyn Storage) -> Result<Option<Self>, Error> {
        let Some(content) = read(storage, Blob::Identity)? else { return Ok(None) };
        // A token brings it back, as it does the state.
        serde_json::from_slice(&content).map(Some).map_err(|_| Error::StateLost)
    }

    pub(crate) fn store(&self, storage: &mut dyn Storage) -> Result<(), Error> {
        let content = serde_json::to_vec(self).expect("ids and bytes have a JSON form");
        storage.write(Blob::Identity, &content).map_err(Error::storage("store the identity"))
    }

    pub(crate) fn certificate(&self) -> Result<DeviceCertificate, Error> {
        let leaf = self.chain.first().map(|der| &**der).unwrap_or_default();
        DeviceCertificate::parse(leaf).map_err(|error| Error::Certificate { reason: error.to_string() })
    }

    pub(crate) fn roots(&self) -> Vec<CertificateDer<'_>> {
        self.roots.iter().map(|der| CertificateDer::from(&**der)).collect()
    }

    /// The normal endpoint.
    pub(crate) fn endpoint(
        &self,
        keys: &Keys,
        dial: Arc<dyn Dial>,
        clock: Arc<dyn Clock>,
    ) -> Result<Endpoint, Error> {
        let shown = keys.shown(self.shown_chain())?;
        let tls = ClientTls::fleet(&shown, &self.roots(), Time::Floor(clock)).map_err(Error::Tls)?;
        Ok(Endpoint { dial, tls, address: self.address.clone() })
    }

    /// The enrolment endpoint, for a certificate that lapsed.
    pub(crate) fn renewal_endpoint(
        &self,
        keys: &Keys,
        dial: Arc<dyn Dial>,
        clock: Arc<dyn Clock>,
    ) -> Result<Endpoint, Error> {
        let shown = keys.shown(self.shown_chain())?;
        let tls = ClientTls::renewal(&shown, &self.roots(), Time::Floor(clock)).map_err(Error::Tls)?;
        Ok(Endpoint { dial, tls, address: self.address.clone() })
    }

    fn shown_chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
    }
}

fn read(storage: &dyn Storage, blob: Blob) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let content = storage.read(blob).map_err(Error::storage("read the data folder"))?;
    Ok(content.map(Zeroizing::new))
}

fn key(which: &'static str) -> impl FnOnce(envelope::Error) -> Error {
    move |error| Error::Key { reason: format!("the {which} key: {error}") }
}
