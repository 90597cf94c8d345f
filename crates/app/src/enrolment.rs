//! Devices join: tokens, the decision over each request, and the proof of both keys.

use envelope::{
    EnrolmentToken, Identity, KemPublicKey, Proof, PublicKey, Replace, SealedCertificate, SystemRandom,
    TokenSecret, sha256,
};
use model::{DeviceId, Seconds, Serial, StationName, TokenId, UnixTime};
use pki::{Ca, CaCertificate, CaRole, CertificateDer, Csr, DeviceCertificate, DeviceProfile};
use protocol::{
    Base64, ErrorBody, ErrorCode,
    operator::{
        DeviceDetail, DeviceState, Enrolment, EnrolmentState, IssueCertificate, NewToken, Page,
        RefuseEnrolment, Reservation, Reserve, path,
    },
};
use vault::{KeyRole, Vault};

use crate::{
    App, Error,
    command::{DeviceApprove, DeviceEnrolments, DeviceList, DeviceToken, Handle},
    desk::Session,
    dto::{ApproveEnrolments, ApprovedEnrolments, EnrolmentTokenText, ListDevices, MakeToken, Nothing},
    memory::Remembered,
    pages::Cursor,
};

/// Longer than a unit lies between its token and its first start.
const LONGEST_TOKEN: Seconds = Seconds::days(90);

impl Handle<DeviceToken> for App {
    async fn handle(&self, request: MakeToken) -> Result<EnrolmentTokenText, Error> {
        let session = self.session().await?;
        check_life(request.life)?;
        if let Some(station) = &request.station {
            session.require_station(station)?;
        }
        self.require_free(&request.serial).await?;
        let announced = NewToken {
            token: TokenId::random(&mut SystemRandom),
            serial: request.serial,
            model: request.model,
            hardware_revision: request.hardware_revision,
            station: request.station.unwrap_or_else(|| session.membership.station.clone()),
            expires_at: self.now() + request.life,
            replaces: None,
        };
        self.announce(&announced).await
    }
}

impl App {
    /// Announces a token to the backend, and writes it for whoever hands it to the device.
    pub(crate) async fn announce(&self, announced: &NewToken) -> Result<EnrolmentTokenText, Error> {
        self.require_proven_backup()?;
        let session = self.session().await?;
        let vault = self.unlocked()?;
        let token = EnrolmentToken {
            id: announced.token,
            fleet: session.membership.fleet,
            ca_root: sha256(&session.membership.ca_root),
            tuf_root: self.initial_root().await?,
            address: session.membership.origin.trim_start_matches("https://").to_owned(),
            secret: secret(&vault, announced)?,
        };
        session.client.tell(path::TOKENS, announced).await?;
        Ok(EnrolmentTokenText { token: token.to_text()?.as_str().to_owned() })
    }
}

impl Handle<DeviceEnrolments> for App {
    async fn handle(&self, _: Nothing) -> Result<Page<Enrolment>, Error> {
        let rows = self.session().await?.client.get(path::ENROLMENTS).await?;
        Ok(Page { rows, next: None })
    }
}

impl Handle<DeviceApprove> for App {
    async fn handle(&self, _: ApproveEnrolments) -> Result<ApprovedEnrolments, Error> {
        self.require_proven_backup()?;
        let desk = Desk { session: self.session().await?, vault: self.unlocked()?, now: self.now() };
        let waiting: Vec<Enrolment> = desk.session.client.get(path::ENROLMENTS).await?;
        if !waiting.is_empty() {
            // A clock that is beyond the metadata would date certificates wrong, and turn away for good whoever
            // came in time.
            self.trust().await?;
        }
        let mut done = ApprovedEnrolments::default();
        for enrolment in waiting {
            let serial = enrolment.token.serial.clone();
            match enrolment.state {
                EnrolmentState::Pending => match desk.decide(&enrolment).await {
                    Ok(()) => done.issued.push(serial),
                    Err(error) if refuses(error.code()) => {
                        desk.refuse(&enrolment, &error).await?;
                        done.refused.push((serial, error.to_string()));
                    }
                    Err(error) => return Err(error),
                },
                EnrolmentState::Issued if enrolment.proof.is_some() => match desk.check_proof(&enrolment) {
                    Ok(remembered) => {
                        self.memory()?.remember(&remembered)?;
                        desk.session.client.tell(&path::proven(enrolment.token.token), &()).await?;
                        done.proven.push(serial);
                    }
                    Err(error) => done.refused.push((serial, error.to_string())),
                },
                EnrolmentState::Announced
                | EnrolmentState::Issued
                | EnrolmentState::Proven
                | EnrolmentState::Refused => {}
            }
        }
        Ok(done)
    }
}

impl App {
    /// A serial number that an active device has is not another unit's.
    async fn require_free(&self, serial: &Serial) -> Result<(), Error> {
        let mut list = ListDevices::default();
        list.filter.serial_prefix = Some(serial.to_string());
        let mut cursor = Cursor::default();
        loop {
            list.page.after = cursor.after();
            let page = Handle::<DeviceList>::handle(self, list.clone()).await?;
            let holder =
                page.rows.iter().find(|row| row.serial == *serial && row.state == DeviceState::Active);
            if let Some(holder) = holder {
                return Err(Error::new(
                    ErrorCode::SerialTaken,
                    format!("a device with the serial number {serial} is active"),
                )
                .detail(format!("it is {}", holder.id))
                .hint(
                    "look at the label; if the unit lost its keys or was exchanged, revoke it first with \
                     `fleetseal device revoke`",
                ));
            }
            if !cursor.advance(page.next)? {
                return Ok(());
            }
        }
    }
}

/// What deciding over enrolments needs.
struct Desk {
    session: std::sync::Arc<Session>,
    vault: Vault,
    now: UnixTime,
}

impl Desk {
    async fn decide(&self, enrolment: &Enrolment) -> Result<(), Error> {
        let token = &enrolment.token;
        let request = enrolment.csr.as_ref().ok_or_else(|| refused("the backend shows no request"))?;
        let csr = Csr::parse(request)?;
        let device = match enrolment.renews {
            Some(device) => {
                self.check_renewal(device, &csr).await?;
                device
            }
            None => {
                self.check_first(enrolment, request, &csr)?;
                match self.reserve(token, &csr).await? {
                    Reservation::Reserved { device } => device,
                    Reservation::Known { device, certificate } => {
                        return self.hand_over(token, device, certificate.0, &csr).await;
                    }
                }
            }
        };
        let certificate = self.issue(token, device, &csr)?;
        self.hand_over(token, device, certificate, &csr).await
    }

    /// The request must come from whoever was given the token, for the device that it was made for.
    fn check_first(&self, enrolment: &Enrolment, request: &[u8], csr: &Csr) -> Result<(), Error> {
        let token = &enrolment.token;
        let mac = enrolment.mac.as_ref().ok_or_else(|| refused("the request has no MAC"))?;
        if !secret(&self.vault, token)?.verifies(request, mac) {
            return Err(Error::new(ErrorCode::TokenRefused, "the request was not made with this token")
                .detail("its MAC is wrong: either the request or what the token stands for was changed on the way"));
        }
        if token.expires_at < self.now {
            return Err(Error::new(
                ErrorCode::TokenRefused,
                format!("the token lapsed at {}", token.expires_at),
            ));
        }
        match csr.serial() {
            Some(serial) if *serial != token.serial => {
                Err(Error::new(ErrorCode::InvalidCsr, "the device says that it has another serial number")
                    .detail(format!("{serial} instead of {}", token.serial)))
            }
            _ => Ok(()),
        }
    }

    /// A renewal is for the very keys that the device's present certificate, issued by us, is for.
    async fn check_renewal(&self, device: DeviceId, csr: &Csr) -> Result<(), Error> {
        let detail: DeviceDetail = self.session.client.get(&path::device(device)).await?;
        let present = self.session.verify_device(&detail.row.certificate)?;
        if present.device_id() != device
            || present.spki_digest() != csr.spki_digest()
            || present.kem_public() != csr.kem_public()
        {
            return Err(Error::new(
                ErrorCode::InvalidCsr,
                "a renewal is for the same keys; other keys need a rekey",
            ));
        }
        Ok(())
    }

    async fn reserve(&self, token: &NewToken, csr: &Csr) -> Result<Reservation, Error> {
        let kem = KemPublicKey(*csr.kem_public());
        let replace = match token.replaces {
            Some(old) => Some(self.replacement(old, token, csr).await?),
            None => None,
        };
        let reserve = Reserve {
            spki: csr.spki_digest(),
            kem_public: Base64(kem.0.to_vec()),
            kem_key: kem.id(),
            certificate_serial: Base64(self.certificate_serial(token)?.to_vec()),
            device: DeviceId::random(&mut SystemRandom),
            replace,
        };
        self.session.client.post(&path::reserve(token.token), &reserve).await
    }

    /// Gives the unit's serial number to the request's keys. The token's secret, which the vault alone can
    /// make, stands for the record that it replaces: somebody with this vault decided it.
    async fn replacement(&self, old: DeviceId, token: &NewToken, csr: &Csr) -> Result<Base64, Error> {
        let detail: DeviceDetail = self.session.client.get(&path::device(old)).await?;
        let present = self.session.verify_device(&detail.row.certificate)?;
        if present.device_id() != old || *present.serial() != token.serial {
            return Err(refused("the backend shows another device's certificate"));
        }
        let replace = Replace {
            fleet: self.session.membership.fleet,
            device: old,
            model: token.model.clone(),
            old: present.spki_digest(),
            new: Identity { spki: csr.spki_digest(), kem: KemPublicKey(*csr.kem_public()).id() },
            issued_at: self.now,
        };
        let intent = self.vault.intent("device.replace", &old.to_string(), token.serial.as_str(), self.now);
        let signer = self.vault.signer(self.vault.key(KeyRole::Grant)?.id, intent)?;
        Ok(Base64(replace.sign(&signer)?))
    }

    fn issue(&self, token: &NewToken, device: DeviceId, csr: &Csr) -> Result<Vec<u8>, Error> {
        let ca = self
            .session
            .membership
            .issuing_cas
            .iter()
            .map(|der| CaCertificate::parse(der))
            .find(|ca| ca.as_ref().is_ok_and(|ca| matches!(ca.role(), CaRole::Devices { .. })))
            .ok_or_else(|| Error::new(ErrorCode::NotFound, "this workspace knows no CA for devices"))??;
        let intent = self.vault.intent("device.issue", &device.to_string(), token.serial.as_str(), self.now);
        let key = self.vault.ca_signer(self.vault.key(KeyRole::CaDevices)?.id, intent)?;
        let profile = DeviceProfile {
            device,
            serial: token.serial.clone(),
            model: token.model.clone(),
            not_after: UnixTime::MAX,
            certificate_serial: self.certificate_serial(token)?,
        };
        Ok(profile.issue(csr, &Ca::new(&ca, &key)?, self.now)?.to_vec())
    }

    /// The certificate's serial number: random to everybody else, and the same again if this is repeated
    /// after a crash.
    fn certificate_serial(&self, token: &NewToken) -> Result<[u8; 16], Error> {
        let mac = self.vault.memory_mac(&[b"certificate serial ", &token.token.as_bytes()[..]].concat())?;
        let (head, _) = mac.split_at(16);
        Ok(pki::certificate_serial(head.try_into().expect("split at sixteen bytes")))
    }

    async fn hand_over(
        &self,
        token: &NewToken,
        device: DeviceId,
        certificate: Vec<u8>,
        csr: &Csr,
    ) -> Result<(), Error> {
        let challenge = self.challenge(token.token, &certificate)?;
        let ca = DeviceCertificate::parse(&certificate)?;
        let chain = self.session.verify_chain_of(&certificate)?;
        if ca.device_id() != device || ca.spki_digest() != csr.spki_digest() {
            return Err(Error::new(
                ErrorCode::Untrusted,
                "the backend hands out another device's certificate",
            ));
        }
        let sealed = SealedCertificate { device, chain: vec![certificate.clone(), chain], challenge }
            .seal(&KemPublicKey(*csr.kem_public()))?;
        let issue = IssueCertificate { certificate: Base64(certificate), sealed_certificate: Base64(sealed) };
        self.session.client.tell(&path::issue(token.token), &issue).await
    }

    async fn refuse(&self, enrolment: &Enrolment, error: &Error) -> Result<(), Error> {
        let mut body: ErrorBody = error.body().clone();
        body.trace_id.clear();
        let path = path::refuse(enrolment.token.token);
        self.session.client.tell(&path, &RefuseEnrolment { error: body }).await
    }

    /// Only a device that opened what was sealed to its KEM key knows the challenge, and only its
    /// identity key can have signed it.
    fn check_proof(&self, enrolment: &Enrolment) -> Result<Remembered, Error> {
        let missing = || refused("the backend shows a proof without a certificate");
        let certificate = enrolment.certificate.as_ref().ok_or_else(missing)?;
        let proof = enrolment.proof.as_ref().ok_or_else(missing)?;
        let device = self.session.verify_device(certificate)?;
        let expected = Proof {
            device: device.device_id(),
            certificate: sha256(certificate),
            challenge: self.challenge(enrolment.token.token, certificate)?,
        };
        Proof::verify(proof, &expected, &PublicKey::P256(*device.certificate().key().sec1()))?;
        Ok(Remembered {
            device: device.device_id(),
            spki: device.spki_digest(),
            kem: KemPublicKey(*device.kem_public()).id(),
            certificate: sha256(certificate),
            serial: device.serial().clone(),
            model: enrolment.token.model.clone(),
            hardware_revision: enrolment.token.hardware_revision.clone(),
            proven_at: self.now,
        })
    }

    /// The vault alone can compute it, and can do so again.
    fn challenge(&self, token: TokenId, certificate: &[u8]) -> Result<[u8; 32], Error> {
        let bytes = [b"challenge ", &token.as_bytes()[..], sha256(certificate).as_bytes()].concat();
        Ok(self.vault.memory_mac(&bytes)?)
    }
}

impl Session {
    /// A station of the fleet has a CA whose name space its devices join.
    fn require_station(&self, station: &StationName) -> Result<(), Error> {
        let mut known = Vec::new();
        for der in &self.membership.issuing_cas {
            if let CaRole::Devices { domain } = CaCertificate::parse(der)?.role() {
                known.push(domain.split('.').next().unwrap_or_default().to_owned());
            }
        }
        if known.iter().any(|name| name.eq_ignore_ascii_case(station.as_str())) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::NotFound, format!("the fleet has no station `{station}`"))
            .detail(format!("it has {}", known.join(", ")))
            .hint("leave --station out to take the fleet's first"))
    }

    /// A device's certificate, verified up to the root that this member joined by.
    pub(crate) fn verify_device(&self, certificate: &[u8]) -> Result<DeviceCertificate, Error> {
        self.verify_chain_of(certificate)?;
        Ok(DeviceCertificate::parse(certificate)?)
    }

    /// The CA that issued a device's certificate, after the path was verified; DER.
    fn verify_chain_of(&self, certificate: &[u8]) -> Result<Vec<u8>, Error> {
        let cas: Vec<_> =
            self.membership.issuing_cas.iter().map(|der| CertificateDer::from(der.0.clone())).collect();
        let roots = [CertificateDer::from(self.membership.ca_root.0.clone())];
        let chain = pki::verify_chain(certificate, &cas, &roots, None, pki::Usage::Device)?;
        let issuer = chain.issuer().spki_digest();
        let der = self
            .membership
            .issuing_cas
            .iter()
            .find(|der| CaCertificate::parse(der).is_ok_and(|ca| ca.spki_digest() == issuer));
        der.map(|der| der.0.clone()).ok_or_else(|| refused("the issuing CA is not one of the fleet's"))
    }
}

/// A token lives long enough to be used, and not much longer.
pub(crate) fn check_life(life: Seconds) -> Result<(), Error> {
    if life > LONGEST_TOKEN || life == Seconds(0) {
        return Err(Error::new(ErrorCode::InvalidRequest, "a token is good for at most 90 days")
            .detail("whoever finds it until then can enrol as this device")
            .hint("choose a --life such as 7d, and make a new one when it has lapsed"));
    }
    Ok(())
}

/// The token's secret: whoever changes what the token stands for changes the secret.
fn secret(vault: &Vault, token: &NewToken) -> Result<TokenSecret, Error> {
    let binding =
        serde_json::to_vec(token).map_err(|source| Error::internal("failed to write a token", source))?;
    Ok(TokenSecret::from_bytes(&*vault.enrolment_secret(&token.token, &binding)?))
}

/// Whether the device is told no, as opposed to something being wrong here.
fn refuses(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::InvalidCsr
            | ErrorCode::InvalidObject
            | ErrorCode::TokenRefused
            | ErrorCode::KeySeen
            | ErrorCode::SerialTaken
            | ErrorCode::Untrusted
    )
}

fn refused(why: &str) -> Error {
    Error::new(ErrorCode::InvalidObject, why)
}
