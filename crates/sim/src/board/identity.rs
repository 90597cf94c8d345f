use std::fmt;

use envelope::{KemSecret, P256Key, PublicKey, Signer as _, sha256};
use pki::P256Signer;
use protocol::smp::{Body, group::result};

/// The keys and certificates of a board, and how far it has come on the line.
pub(super) struct Identity {
    serial: String,
    class: String,
    keys: Option<Keys>,
    /// The certificate that is being written.
    writing: Vec<u8>,
    certificate: Option<Vec<u8>>,
    locked: bool,
    request: Option<Vec<u8>>,
}

struct Keys {
    identity: P256Key,
    kem: KemSecret,
}

/// How much of a request goes into one answer, in bytes.
const PIECE_BYTES: usize = 160;
/// No certificate is longer, in bytes.
const MAX_CERTIFICATE_BYTES: u64 = 8 * 1024;

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl Identity {
    pub(super) fn new(serial: &str, class: &str) -> Self {
        Self {
            serial: serial.to_owned(),
            class: class.to_owned(),
            keys: None,
            writing: Vec::new(),
            certificate: None,
            locked: false,
            request: None,
        }
    }

    /// It was provisioned before, with these keys and this certificate.
    pub(super) fn provision(&mut self, identity: P256Key, kem: KemSecret, certificate: Vec<u8>) {
        self.keys = Some(Keys { identity, kem });
        self.certificate = Some(certificate);
    }

    /// What was only in memory is gone.
    pub(super) fn power_off(&mut self) {
        self.writing.clear();
        self.request = None;
    }

    pub(super) const fn is_locked(&self) -> bool {
        self.locked
    }

    pub(super) fn info(&self) -> Body {
        let lifecycle = match (&self.keys, &self.certificate, self.locked) {
            (_, _, true) => "locked",
            (_, Some(_), false) => "certified",
            (Some(_), None, false) => "keyed",
            (None, None, false) => "blank",
        };
        Body::new()
            .with("hwid", self.serial.as_str())
            .with("class", self.class.as_str())
            .with("lifecycle", lifecycle)
            .with("alg", "p256")
            .with("backend", "soft")
            .with("proto", 1_u64)
    }

    pub(super) fn keygen(&mut self) -> Result<Body, u64> {
        if self.locked {
            return Err(result::DENIED);
        }
        if self.keys.is_none() {
            let identity = P256Key::generate().map_err(|_| result::UNKNOWN)?;
            let kem = KemSecret::generate(&mut envelope::SystemRandom).map_err(|_| result::UNKNOWN)?;
            self.keys = Some(Keys { identity, kem });
        }
        let keys = self.keys.as_ref().ok_or(result::UNKNOWN)?;
        let public = keys.identity.public_key();
        Ok(Body::new().with("pub", &public.spki()[..]).with("key_id", &public.spki_digest().as_bytes()[..]))
    }

    pub(super) fn csr(&mut self, offset: u64) -> Result<Body, u64> {
        let keys = self.keys.as_ref().ok_or(result::BAD_STATE)?;
        // Signatures are never twice the same: one request is handed out to its end.
        if offset == 0 || self.request.is_none() {
            let serial = self.serial.parse().map_err(|_| result::BAD_STATE)?;
            let request = pki::request::build(keys, &keys.kem.public().0, Some(&serial));
            self.request = Some(request.map_err(|_| result::UNKNOWN)?);
        }
        let request = self.request.as_deref().unwrap_or_default();
        let offset =
            usize::try_from(offset).ok().filter(|offset| *offset < request.len()).ok_or(result::INVALID)?;
        let part = &request[offset..request.len().min(offset + PIECE_BYTES)];
        Ok(Body::new().with("der", part).with("off", offset as u64).with("len", request.len() as u64))
    }

    pub(super) fn certificate(&mut self, body: &Body) -> Result<Body, u64> {
        if self.locked {
            return Err(result::DENIED);
        }
        let (Some(length), Some(offset), Some(data)) =
            (body.uint("len"), body.uint("off"), body.bytes("data"))
        else {
            return Err(result::INVALID);
        };
        if length > MAX_CERTIFICATE_BYTES || offset > self.writing.len() as u64 {
            return Err(result::INVALID);
        }
        self.writing.truncate(usize::try_from(offset).map_err(|_| result::INVALID)?);
        self.writing.extend_from_slice(data);
        if self.writing.len() as u64 >= length {
            let der = std::mem::take(&mut self.writing);
            if body.bytes("sha") != Some(&sha256(&der).as_bytes()[..]) {
                return Err(result::CORRUPT);
            }
            if body.text("kind") == Some("leaf") {
                let keys = self.keys.as_ref().ok_or(result::BAD_STATE)?;
                let spki = keys.identity.public_key().spki();
                // A certificate for another's key helps nobody.
                if !der.windows(spki.len()).any(|window| window == spki) {
                    return Err(result::INVALID);
                }
                self.certificate = Some(der);
            }
            return Ok(Body::new().with("off", length));
        }
        Ok(Body::new().with("off", self.writing.len() as u64))
    }

    /// Signs for whoever asks with a nonce of 32 bytes.
    pub(super) fn prove(&self, nonce: &[u8]) -> Result<Body, u64> {
        let nonce: &[u8; 32] = nonce.try_into().map_err(|_| result::INVALID)?;
        let (Some(keys), Some(certificate)) = (&self.keys, &self.certificate) else {
            return Err(result::BAD_STATE);
        };
        let certificate = sha256(certificate);
        let message = envelope::receipt::proof_message(nonce, &certificate, &self.serial);
        let signature = keys.identity.sign(&message).map_err(|_| result::UNKNOWN)?;
        Ok(Body::new().with("sig", &signature[..]))
    }

    pub(super) fn lock(&mut self, digest: Option<&[u8]>, confirm: bool) -> Result<Body, u64> {
        let certificate = self.certificate.as_ref().ok_or(result::BAD_STATE)?;
        if !confirm || digest != Some(&sha256(certificate).as_bytes()[..]) {
            return Err(result::INVALID);
        }
        self.locked = true;
        Ok(Body::new())
    }
}

impl P256Signer for Keys {
    fn public_key_sec1(&self) -> [u8; 65] {
        match self.identity.public_key() {
            PublicKey::P256(point) => point,
            PublicKey::Ed25519(_) => unreachable!("a P-256 key has a P-256 public key"),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        let failed = |error: envelope::SignError| pki::SignError::Failed { reason: error.to_string() };
        self.identity.sign(message).map_err(failed)
    }
}
