//! From a one-time token to a certificate, and to a fresh one over the same keys.

use std::time::Duration;

use envelope::{EnrolmentToken, Proof, SealedCertificate, tuf::TrustedState};
use model::{DeviceId, Seconds, Serial};
use pki::CertificateDer;
use protocol::{
    Base64,
    device::{EnrolRequest, EnrolStatus, ProofRequest, RenewRequest, path},
};
use serde::Serialize;
use tls::{ClientTls, Time};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::{
    Blob, Error, Parts, Settings,
    http::{Endpoint, Http},
    identity::{Enrolled, Keys},
    pace::Backoff,
    record::Record,
};

/// How long the backend may hold an answer back while there is none.
const WAIT: Seconds = Seconds(25);
/// The longest TUF root that is read, in bytes.
const MAX_ROOT: usize = 512_000;

/// Enrols a device: makes its keys, hands in a request under `token`, waits until a person or a station
/// has decided, verifies the certificate that comes back, and proves that it holds both keys.
///
/// It can be cut off at any point and called again, also without the token: the keys are kept and the
/// same request repeats. Enrolling a device again, as after [`Error::StateLost`], keeps its keys and
/// forgets what it accepted.
///
/// # Errors
/// The request is refused, something that came back does not verify, or the medium failed. What the
/// network does is waited out.
pub async fn enrol(
    token: Option<EnrolmentToken>,
    settings: &Settings,
    parts: &mut Parts,
) -> Result<DeviceId, Error> {
    let keys = Keys::load_or_make(&mut *parts.storage, &mut *parts.random)?;
    let (token, csr) = underway(token, settings.serial.as_ref(), &keys, parts)?;
    let shown = keys.self_signed(&mut *parts.random)?;
    let time = Time::Floor(parts.clock.clone());
    let tls = ClientTls::enrolment(&shown, token.ca_root, time).map_err(Error::Tls)?;
    let mut http = Http::new(Endpoint { dial: parts.dial.clone(), tls, address: token.address.clone() });
    let mut backoff = Backoff::new(parts.pace.retry);
    loop {
        match attempt(&token, &csr, &keys, &mut http, settings, parts).await {
            Err(error) if error.passes() => {
                let pause = backoff.next(&mut *parts.random);
                tracing::warn!(error = &error as &dyn std::error::Error, ?pause, "enrolment waits");
                sleep(pause).await;
            }
            ended => return ended,
        }
    }
}

/// Asks for a fresh certificate over the same keys. One that has lapsed is renewed as well.
///
/// # Errors
/// The device is not enrolled, the request is refused, what came back does not verify, or the network
/// or the medium failed.
pub async fn renew(serial: Option<&Serial>, parts: &mut Parts) -> Result<(), Error> {
    let keys = Keys::load(&*parts.storage)?.ok_or(Error::NotEnrolled)?;
    let mut enrolled = Enrolled::load(&*parts.storage)?.ok_or(Error::NotEnrolled)?;
    let lapsed = enrolled.certificate()?.certificate().not_after() <= parts.clock.now();
    let (dial, clock) = (parts.dial.clone(), parts.clock.clone());
    let endpoint = if lapsed {
        enrolled.renewal_endpoint(&keys, dial, clock)?
    } else {
        enrolled.endpoint(&keys, dial, clock)?
    };
    let mut http = Http::new(endpoint);
    let request = RenewRequest { csr: keys.csr(serial)?.into(), wait: WAIT };
    let sealed = ask(&mut http, path::RENEW, &request).await?;
    let issued = SealedCertificate::open(&sealed, &keys.kem)?;
    keys.check_chain(&issued.chain, &enrolled.roots(), enrolled.device, parts.clock.now())?;
    enrolled.chain = issued.chain.into_iter().map(Base64).collect();
    enrolled.store(&mut *parts.storage)?;
    tracing::info!(device = %enrolled.device, "certificate renewed");
    Ok(())
}

/// The token and request of the enrolment under way, or of a new one, which is durable from here on.
fn underway(
    token: Option<EnrolmentToken>,
    serial: Option<&Serial>,
    keys: &Keys,
    parts: &mut Parts,
) -> Result<(EnrolmentToken, Vec<u8>), Error> {
    let stored = parts.storage.read(Blob::Enrolment).map_err(Error::storage("read the enrolment"))?;
    let stored = stored.map(Zeroizing::new).and_then(|stored| read(&stored));
    let token = match (token, stored) {
        (None, None) => return Err(Error::NoToken),
        (None, Some(begun)) => return Ok(begun),
        (Some(token), Some((begun, csr))) if token.id == begun.id => return Ok((token, csr)),
        (Some(token), Some(_) | None) => token,
    };
    let csr = keys.csr(serial)?;
    let text = token.to_text()?;
    let content = Zeroizing::new([text.as_bytes(), b"\n", &csr].concat());
    parts.storage.write(Blob::Enrolment, &content).map_err(Error::storage("store the enrolment"))?;
    Ok((token, csr))
}

/// The token as text, a line feed, the request in DER: what is repeated after a crash.
fn read(stored: &[u8]) -> Option<(EnrolmentToken, Vec<u8>)> {
    let end = stored.iter().position(|&byte| byte == b'\n')?;
    let token = std::str::from_utf8(&stored[..end]).ok()?.parse().ok()?;
    Some((token, stored[end + 1..].to_vec()))
}

async fn attempt(
    token: &EnrolmentToken,
    csr: &[u8],
    keys: &Keys,
    http: &mut Http,
    settings: &Settings,
    parts: &mut Parts,
) -> Result<DeviceId, Error> {
    let request = EnrolRequest {
        token: token.id,
        csr: csr.to_vec().into(),
        mac: token.secret.mac(csr).to_vec().into(),
        wait: WAIT,
    };
    let sealed = ask(http, path::ENROL, &request).await?;
    let root = http.peer().last().cloned().filter(|root| envelope::sha256(root) == token.ca_root);
    let issued = SealedCertificate::open(&sealed, &keys.kem)?;
    let root = root
        .or_else(|| {
            let last = issued.chain.last().filter(|root| envelope::sha256(root) == token.ca_root)?;
            Some(CertificateDer::from(last.clone()))
        })
        .ok_or_else(|| Error::Certificate { reason: "the root that the token names did not come".into() })?;
    let certificate =
        keys.check_chain(&issued.chain, std::slice::from_ref(&root), issued.device, parts.clock.now())?;
    let trusted = tuf_root(token, http).await?;

    let proof = Proof {
        device: issued.device,
        certificate: certificate.certificate().sha256(),
        challenge: issued.challenge,
    };
    let proof = ProofRequest { token: token.id, proof: proof.sign(&keys.identity)?.into() };
    http.json::<()>(path::PROOF, &proof, Duration::ZERO).await?;

    // From here on the backend takes it as enrolled; a crash before the last line repeats it all.
    let identity = envelope::Identity { spki: certificate.spki_digest(), kem: keys.kem.public().id() };
    Record::begin(&trusted, token.fleet, (issued.device, identity), settings, parts)?;
    let enrolled = Enrolled {
        device: issued.device,
        fleet: token.fleet,
        address: token.address.clone(),
        chain: issued.chain.into_iter().map(Base64).collect(),
        roots: vec![Base64(root.to_vec())],
    };
    enrolled.store(&mut *parts.storage)?;
    parts.storage.remove(Blob::Enrolment).map_err(Error::storage("forget the token"))?;
    tracing::info!(device = %enrolled.device, "enrolled");
    Ok(enrolled.device)
}

/// Repeats a request until it is decided; gives the sealed certificate.
async fn ask(http: &mut Http, path: &str, request: &impl Serialize) -> Result<Base64, Error> {
    loop {
        match http.json(path, request, WAIT.into()).await? {
            EnrolStatus::Issued { sealed_certificate } => return Ok(sealed_certificate),
            EnrolStatus::Refused { error } => return Err(Error::Refused(Box::new(error))),
            EnrolStatus::Pending { retry_after } => {
                tracing::info!(seconds = retry_after.0, "waiting for a certificate");
                sleep(
                    Duration::from(retry_after).clamp(Duration::from_millis(100), Duration::from_secs(300)),
                )
                .await;
            }
        }
    }
}

/// The root metadata whose digest the token names: some version from the first on.
async fn tuf_root(token: &EnrolmentToken, http: &mut Http) -> Result<TrustedState, Error> {
    for version in 1..=u64::from(u16::MAX) {
        let path = format!("{}{version}.root.json", path::TUF);
        let Some(root) = http.file(&path, MAX_ROOT).await? else { break };
        if envelope::sha256(&root) == token.tuf_root {
            return Ok(TrustedState::bootstrap(&root)?);
        }
    }
    Err(Error::Keys { reason: "the backend does not have the root metadata that the token names".into() })
}
