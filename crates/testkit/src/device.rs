use envelope::{
    CheckIn, Errand, Identity, KemSecret, Link, P256Key, Report, Signer, SystemRandom, TokenSecret, Verified,
};
use model::{
    DeploymentState, DeviceId, HardwareRevision, LinkId, ModelName, Random, Serial, SpkiDigest, TokenId,
    UnixTime,
};
use pki::{Csr, DeviceProfile};
use protocol::{
    Base64,
    device::{CheckInRequest, CheckInResponse, Offer, ReportsRequest, ReportsResponse, path},
    operator::{IssueCertificate, NewToken, Reservation, Reserve},
};

use crate::{Answered, Client, Running, fleet::Ecdsa};

/// A unit with its keys.
#[derive(Debug)]
pub struct Device {
    /// Its label.
    pub serial: Serial,
    /// What it is.
    pub model: ModelName,
    /// The revision of its hardware.
    pub hardware_revision: HardwareRevision,
    /// Its identity key.
    pub key: P256Key,
    /// Its KEM key.
    pub kem: KemSecret,
    /// Its id, once it is enrolled.
    pub id: DeviceId,
    /// Its certificate and the issuing CA's, once it is enrolled; before, a self-signed one.
    pub identity: tls::Identity,
    /// Rises with every check-in and report.
    pub counter: u64,
}

impl Device {
    /// A unit before its certificate.
    pub fn new(serial: &str) -> Self {
        let key = P256Key::generate().unwrap();
        let certificate = pki::self_signed(&Ecdsa(&key), &mut SystemRandom).unwrap();
        let identity = tls::Identity::from_pkcs8(vec![certificate], &key.to_pkcs8().unwrap()).unwrap();
        Self {
            serial: serial.parse().unwrap(),
            model: "GW-200".parse().unwrap(),
            hardware_revision: "b".parse().unwrap(),
            kem: KemSecret::generate(&mut SystemRandom).unwrap(),
            id: DeviceId::random(&mut SystemRandom),
            identity,
            key,
            counter: 0,
        }
    }

    /// The SHA-256 of its identity key.
    pub fn spki(&self) -> SpkiDigest {
        self.key.public_key().spki_digest()
    }

    /// Its keys as tickets name them.
    pub fn keys(&self) -> Identity {
        Identity { spki: self.spki(), kem: self.kem.public().id() }
    }

    /// Its request for a certificate.
    pub fn csr(&self) -> Vec<u8> {
        pki::request::build(&Ecdsa(&self.key), &self.kem.public().0, Some(&self.serial)).unwrap()
    }

    /// A token made for it.
    pub fn token(&self, station: &model::StationName, expires_at: UnixTime) -> (NewToken, TokenSecret) {
        let token = NewToken {
            token: TokenId::random(&mut SystemRandom),
            serial: self.serial.clone(),
            model: self.model.clone(),
            hardware_revision: self.hardware_revision.clone(),
            station: station.clone(),
            expires_at,
            replaces: None,
        };
        (token, TokenSecret::generate(&mut SystemRandom))
    }

    /// A reservation for it, as a vault asks.
    pub fn reserve(&self) -> Reserve {
        let mut serial = [0; 16];
        SystemRandom.fill(&mut serial);
        Reserve {
            spki: self.spki(),
            kem_public: Base64(self.kem.public().0.to_vec()),
            kem_key: self.kem.public().id(),
            certificate_serial: Base64(pki::certificate_serial(serial).to_vec()),
            device: self.id,
            replace: None,
        }
    }

    /// The certificate that its station issues upon a reservation.
    pub fn certificate(&self, fleet: &crate::Fleet, reserve: &Reserve, id: DeviceId) -> IssueCertificate {
        let profile = DeviceProfile {
            device: id,
            serial: self.serial.clone(),
            model: self.model.clone(),
            not_after: UnixTime::MAX,
            certificate_serial: reserve.certificate_serial.as_ref().try_into().unwrap(),
        };
        let csr = Csr::parse(&self.csr()).unwrap();
        let certificate = fleet.as_station(|ca| profile.issue(&csr, ca, fleet.founded_at).unwrap());
        IssueCertificate {
            certificate: Base64(certificate.to_vec()),
            sealed_certificate: Base64(b"sealed to the device by its vault".to_vec()),
        }
    }

    /// Takes its certificate.
    pub fn take(&mut self, fleet: &crate::Fleet, id: DeviceId, certificate: &[u8]) {
        let chain = vec![certificate.to_vec().into(), fleet.devices_ca()];
        self.id = id;
        self.identity = tls::Identity::from_pkcs8(chain, &self.key.to_pkcs8().unwrap()).unwrap();
    }

    /// Connects to the normal endpoint.
    pub async fn connect(&self, running: &Running) -> Client {
        running.connect(&self.identity).await.unwrap()
    }

    /// Says hello with its next counter.
    pub async fn check_in(&mut self, client: &mut Client) -> CheckInResponse {
        self.counter += 1;
        let (nonce, answer) = self.hello(client, self.counter).await;
        let response: CheckInResponse = answer.ok();
        assert!(response.check_in.len() > nonce.len());
        response
    }

    /// Says hello with this counter.
    pub async fn hello(&self, client: &mut Client, counter: u64) -> ([u8; 16], Answered) {
        let mut nonce = [0; 16];
        SystemRandom.fill(&mut nonce);
        let request = CheckInRequest { counter, nonce: Base64(nonce.to_vec()), components: Vec::new() };
        (nonce, client.post(path::CHECK_IN, &request).await)
    }

    /// Opens the link of an offer as the device does.
    pub fn open_link(&self, running: &Running, offer: &Offer, now: UnixTime) -> Verified<Link> {
        let label = running.label(offer, self);
        let installation = label.action.installation().unwrap();
        let me = envelope::Addressee {
            fleet: running.fleet.id,
            device: self.id,
            model: self.model.clone(),
            identity: Some(self.keys()),
            deputy: None,
        };
        let errand = Errand { origin: &running.origin, segment_list: installation.payload.segment_list };
        let sealed = offer.sealed_link.as_ref().unwrap();
        Link::open(sealed, &self.kem, &me, errand, &running.trust(), now).unwrap()
    }

    /// The id in the link of an offer.
    pub fn link_id(&self, running: &Running, offer: &Offer) -> LinkId {
        self.open_link(running, offer, UnixTime::EPOCH).id
    }

    /// Verifies the backend's answer to a hello.
    pub fn verify_check_in(&self, running: &Running, nonce: &[u8; 16], signed: &[u8]) -> UnixTime {
        CheckIn::verify(signed, self.id, nonce, &running.trust(), UnixTime::EPOCH).unwrap().at
    }

    /// Reports where a deployment stands.
    pub async fn report(
        &mut self,
        client: &mut Client,
        offer: &Offer,
        state: DeploymentState,
        now: UnixTime,
    ) -> ReportsResponse {
        let signed = self.signed_report(offer, state, now);
        client.post(path::REPORTS, &ReportsRequest { reports: vec![Base64(signed)] }).await.ok()
    }

    /// A report, signed.
    pub fn signed_report(&mut self, offer: &Offer, state: DeploymentState, now: UnixTime) -> Vec<u8> {
        self.counter += 1;
        let report = Report {
            device: self.id,
            deployment: Some(offer.deployment),
            state,
            counter: self.counter,
            ticket: Some(envelope::sha256(&offer.sealed_ticket)),
            code: state.counts_as_failure().then(|| "trial_boot_failed".to_owned()),
            detail: None,
            before: None,
            after: None,
            bytes: 0,
            stored_seq: None,
            at: now,
        };
        report.sign(&self.key).unwrap()
    }
}

/// What a reservation came to.
pub(crate) fn reserved(reservation: &Reservation) -> DeviceId {
    match reservation {
        Reservation::Reserved { device } | Reservation::Known { device, .. } => *device,
    }
}
