use protocol::smp::{Body, group};

use super::{client::Client, error::Error};

/// How far a device has come on the line that provisions it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifecycle {
    /// It has no keys.
    Blank,
    /// It has its keys.
    Keyed,
    /// It has its certificate.
    Certified,
    /// What only the station needs is closed.
    Locked,
}

/// What a device says of itself before anything is proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisioningInfo {
    /// Its hardware's own number.
    pub hardware_id: String,
    /// Its model.
    pub class: String,
    /// How far it has come.
    pub lifecycle: Lifecycle,
    /// Where its keys are: `psa`, `tfm`, `se` or `soft`.
    pub backend: String,
}

/// Which certificate is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateKind {
    /// The device's own.
    Leaf,
    /// The one that it trusts.
    Ca,
    /// Those between.
    Chain,
}

/// The longest request for a certificate that is read, in bytes.
const MAX_CSR_BYTES: u64 = 16 * 1024;

impl Client {
    /// Who the device says it is; nothing where it has no such group.
    ///
    /// # Errors
    /// Nobody answers, or with something else.
    pub fn provisioning_info(&mut self) -> Result<Option<ProvisioningInfo>, Error> {
        const WHAT: &str = "provisioning info";
        let body = match self.read(WHAT, group::PROVISIONING, group::provisioning::INFO, Body::new()) {
            Ok(body) => body,
            Err(error) if error.is_unsupported() => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = |name| body.text(name).map(str::to_owned).ok_or(Error::Malformed { what: WHAT });
        let lifecycle = match body.text("lifecycle") {
            Some("blank") => Lifecycle::Blank,
            Some("keyed") => Lifecycle::Keyed,
            Some("certified") => Lifecycle::Certified,
            Some("locked") => Lifecycle::Locked,
            Some(_) | None => return Err(Error::Malformed { what: WHAT }),
        };
        Ok(Some(ProvisioningInfo {
            hardware_id: text("hwid")?,
            class: text("class")?,
            lifecycle,
            backend: text("backend")?,
        }))
    }

    /// Lets the device make its keys, or say which it has. The public half of its identity key, as
    /// DER SPKI.
    ///
    /// # Errors
    /// Nobody answers, or the device is locked.
    pub fn keygen(&mut self, nonce: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let body = Body::new().with("alg", "p256").with("nonce", &nonce[..]);
        let body = self.write("keygen", group::PROVISIONING, group::provisioning::KEYGEN, body)?;
        body.bytes("pub").map(<[u8]>::to_vec).ok_or(Error::Malformed { what: "keygen" })
    }

    /// The device's request for a certificate, in DER.
    ///
    /// # Errors
    /// Nobody answers, or the device has no keys.
    pub fn csr(&mut self, nonce: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let malformed = || Error::Malformed { what: "csr" };
        let mut der = Vec::new();
        loop {
            let body = Body::new().with("nonce", &nonce[..]).with("off", der.len() as u64);
            let body = self.read("csr", group::PROVISIONING, group::provisioning::CSR, body)?;
            let length = body.uint("len").filter(|length| *length <= MAX_CSR_BYTES).ok_or_else(malformed)?;
            let part = body.bytes("der").filter(|part| !part.is_empty()).ok_or_else(malformed)?;
            if body.uint("off") != Some(der.len() as u64) {
                return Err(malformed());
            }
            der.extend_from_slice(part);
            match (der.len() as u64).cmp(&length) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(der),
                std::cmp::Ordering::Greater => return Err(malformed()),
            }
        }
    }

    /// Writes a certificate in DER, in pieces of at most `piece` bytes; the device takes it only if it
    /// is one for its own key.
    ///
    /// # Errors
    /// Nobody answers, or the device refuses it.
    pub fn write_certificate(
        &mut self,
        kind: CertificateKind,
        der: &[u8],
        piece: usize,
    ) -> Result<(), Error> {
        let kind = match kind {
            CertificateKind::Leaf => "leaf",
            CertificateKind::Ca => "ca",
            CertificateKind::Chain => "chain",
        };
        let sha = envelope::sha256(der);
        for (index, part) in der.chunks(piece.max(1)).enumerate() {
            let body = Body::new()
                .with("kind", kind)
                .with("len", der.len() as u64)
                .with("sha", &sha.as_bytes()[..])
                .with("off", (index * piece.max(1)) as u64)
                .with("data", part);
            self.write("certificate", group::PROVISIONING, group::provisioning::CERTIFICATE, body)?;
        }
        Ok(())
    }

    /// The device's signature over the challenge `nonce`; whether it is one, the caller checks.
    ///
    /// # Errors
    /// Nobody answers, or the device has no certificate.
    pub fn prove(&mut self, nonce: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let body = Body::new().with("nonce", &nonce[..]);
        let body = self.read("proof", group::PROVISIONING, group::provisioning::PROVE, body)?;
        body.bytes("sig").map(<[u8]>::to_vec).ok_or(Error::Malformed { what: "proof" })
    }

    /// Closes what only the station needs. `certificate` is the SHA-256 of the one that the device has.
    ///
    /// # Errors
    /// Nobody answers, or the device has another certificate.
    pub fn lock(&mut self, certificate: &model::Digest) -> Result<(), Error> {
        let body = Body::new().with("digest", &certificate.as_bytes()[..]).with("confirm", true);
        self.write("lock", group::PROVISIONING, group::provisioning::LOCK, body).map(|_| ())
    }
}
