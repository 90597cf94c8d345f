//! Enrolment: the one-time token, the proof of knowing it, the certificate that comes back sealed, and
//! the device's proof that it opened it.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{DeviceId, Digest, FleetId, Random, TokenId};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    Error, KemPublicKey, KemSecret, PublicKey, Recipient, Signer, Verified,
    addressee::same,
    cbor::{self, Map, Reader, Writer},
    cose::{self, Object},
    keys::hmac_sha256,
    seal, sha256,
};

/// What a device needs to know before it knows anybody: `fleetseal-token/1`: `1 typ | 2 token id b16 |
/// 3 fleet b16 | 4 CA root SHA-256 b32 | 5 TUF root SHA-256 b32 | 6 address (text) | 7 secret b32`.
///
/// As text it is `fst1_`, then in base64url without padding (RFC 4648) this map and the first four
/// bytes of its SHA-256, so that a token pasted in part is noticed.
pub struct EnrolmentToken {
    /// Its id, known to the backend.
    pub id: TokenId,
    /// The fleet that the device will belong to.
    pub fleet: FleetId,
    /// The SHA-256 of the root CA's certificate, DER.
    pub ca_root: Digest,
    /// The SHA-256 of the TUF root metadata that the device starts from.
    pub tuf_root: Digest,
    /// Host and port of the enrolment endpoint.
    pub address: String,
    /// Known to the issuing vault and the device only.
    pub secret: TokenSecret,
}

/// The secret of an enrolment token.
pub struct TokenSecret(Zeroizing<[u8; 32]>);

/// A device's new certificate, as it comes back sealed to its KEM key: `fleetseal-certificate/1`:
/// `1 typ | 2 device_id b16 | 3 [certificate (DER), ...], the device's first | 4 challenge b32`.
///
/// It is not signed: the chain speaks for itself, up to the root that the token names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedCertificate {
    /// The id that the device has from now on.
    pub device: DeviceId,
    /// Its certificate and the issuing CA's, DER.
    pub chain: Vec<Vec<u8>>,
    /// What the device signs to prove that it holds both keys.
    pub challenge: [u8; 32],
}

/// `fleetseal-proof/1`, by the device's identity key: `1 typ | 2 device_id b16 | 3 certificate SHA-256
/// b32 | 4 challenge b32`. Only after a desktop verified it may a content key be sealed to the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The device.
    pub device: DeviceId,
    /// The SHA-256 of its certificate, DER.
    pub certificate: Digest,
    /// What was sealed to its KEM key.
    pub challenge: [u8; 32],
}

const PREFIX: &str = "fst1_";
const CHECKSUM: usize = 4;
/// The longest sealed certificate chain.
const MAX_SEALED: usize = SealedCertificate::MAX + 512;

impl TokenSecret {
    /// A fresh secret.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(&mut *bytes);
        Self(bytes)
    }

    /// The secret with these bytes, as the issuing vault kept them.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes, to be kept sealed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA256 (RFC 2104) of a DER-encoded CSR under the secret: who asks knows the token.
    pub fn mac(&self, csr: &[u8]) -> [u8; 32] {
        hmac_sha256(&*self.0, csr)
    }

    /// Whether `mac` is that of `csr`, in constant time.
    pub fn verifies(&self, csr: &[u8], mac: &[u8]) -> bool {
        self.mac(csr).ct_eq(mac).into()
    }
}

impl EnrolmentToken {
    /// The token as a text that a person can paste: a secret.
    ///
    /// # Errors
    /// The address is empty, longer than 255 bytes, or not printable ASCII.
    pub fn to_text(&self) -> Result<Zeroizing<String>, Error> {
        if !is_address(&self.address) {
            return Err(Error::Inconsistent { reason: "an address is a host and a port" });
        }
        let map = cose::encode(self)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(map.len() + CHECKSUM));
        bytes.extend_from_slice(&map);
        bytes.extend_from_slice(&sha256(&map).as_bytes()[..CHECKSUM]);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * bytes.len()));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        Ok(text)
    }
}

/// Reads what [`EnrolmentToken::to_text`] wrote; white space, as pasting adds it, is skipped.
impl FromStr for EnrolmentToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut whole = Zeroizing::new(String::with_capacity(text.len()));
        whole.extend(text.split_ascii_whitespace());
        let encoded = whole.strip_prefix(PREFIX).ok_or(Error::Token)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map(Zeroizing::new).map_err(|_| Error::Token)?;
        let (map, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(Error::Token)?;
        if sha256(map).as_bytes()[..CHECKSUM] != *checksum {
            return Err(Error::Token);
        }
        cose::decode(map)
    }
}

impl SealedCertificate {
    /// Seals the certificate to the device's KEM key, the one in its CSR.
    ///
    /// # Errors
    /// The key is of small order, or the chain too long.
    pub fn seal(&self, device: &KemPublicKey) -> Result<Vec<u8>, Error> {
        seal::seal(Self::TYP, device, Recipient::Key(device.id()), &cose::encode(self)?)
    }

    /// Opens it on the device. The chain is still to be verified.
    ///
    /// # Errors
    /// It is not sealed to this key, or not well formed.
    pub fn open(sealed: &[u8], secret: &KemSecret) -> Result<Self, Error> {
        let recipient = Recipient::Key(secret.public().id());
        cose::decode(&seal::open(Self::TYP, secret, recipient, sealed, MAX_SEALED)?)
    }
}

impl Proof {
    /// Signs the proof with the device's identity key.
    ///
    /// # Errors
    /// The key is not P-256, or the signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        cose::sign_by_device(self, signer)
    }

    /// Verifies that the holder of `key`, which stands in the certificate, opened this very challenge.
    ///
    /// # Errors
    /// The signature, or any part of what is `expected`, is another.
    pub fn verify(bytes: &[u8], expected: &Self, key: &PublicKey) -> Result<Verified<Self>, Error> {
        let proof: Verified<Self> = cose::verify_by_device(bytes, key)?;
        same("device_id", &proof.device, &expected.device)?;
        same("certificate", &proof.certificate, &expected.certificate)?;
        same("challenge", &proof.challenge, &expected.challenge)?;
        Ok(proof)
    }
}

impl Proof {
    /// Verifies that the holder of `key` signed a proof for this certificate, for a desktop that did not
    /// set the challenge: it takes the word of the one that did, which let the certificate count.
    ///
    /// # Errors
    /// The signature, the device or the certificate is another.
    pub fn verify_possession(
        bytes: &[u8],
        device: DeviceId,
        certificate: Digest,
        key: &PublicKey,
    ) -> Result<Verified<Self>, Error> {
        let proof: Verified<Self> = cose::verify_by_device(bytes, key)?;
        same("device_id", &proof.device, &device)?;
        same("certificate", &proof.certificate, &certificate)?;
        Ok(proof)
    }
}

impl Object for EnrolmentToken {
    const TYP: &'static str = "fleetseal-token/1";
    const MAX: usize = 1024;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.id.as_bytes());
        map.key(3).bytes(self.fleet.as_bytes());
        map.key(4).bytes(self.ca_root.as_bytes());
        map.key(5).bytes(self.tuf_root.as_bytes());
        map.key(6).text(&self.address);
        map.key(7).bytes(self.secret.as_bytes());
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            id: TokenId::new(map.required(2, "token id", Reader::fixed)?),
            fleet: FleetId::new(map.required(3, "fleet", Reader::fixed)?),
            ca_root: Digest::new(map.required(4, "CA root", Reader::fixed)?),
            tuf_root: Digest::new(map.required(5, "TUF root", Reader::fixed)?),
            address: map.required(6, "address", |address| {
                let address = address.text()?;
                if is_address(address) { Ok(address.to_owned()) } else { Err(cbor::Error::Value) }
            })?,
            secret: TokenSecret(Zeroizing::new(map.required(7, "secret", Reader::fixed)?)),
        })
    }
}

impl Object for SealedCertificate {
    const TYP: &'static str = "fleetseal-certificate/1";
    const MAX: usize = 16 * 1024;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.device.as_bytes());
        map.key(3).array(self.chain.len());
        for certificate in &self.chain {
            map.bytes(certificate);
        }
        map.key(4).bytes(&self.challenge);
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            device: DeviceId::new(map.required(2, "device_id", Reader::fixed)?),
            chain: map
                .required(3, "chain", |chain| chain.list(|certificate| Ok(certificate.bytes()?.to_vec())))?,
            challenge: map.required(4, "challenge", Reader::fixed)?,
        })
    }
}

impl Object for Proof {
    const TYP: &'static str = "fleetseal-proof/1";
    const MAX: usize = 256;

    fn write(&self, map: &mut Writer) {
        map.key(2).bytes(self.device.as_bytes());
        map.key(3).bytes(self.certificate.as_bytes());
        map.key(4).bytes(&self.challenge);
    }

    fn read(map: &mut Map<'_, '_>) -> Result<Self, cbor::Error> {
        Ok(Self {
            device: DeviceId::new(map.required(2, "device_id", Reader::fixed)?),
            certificate: Digest::new(map.required(3, "certificate", Reader::fixed)?),
            challenge: map.required(4, "challenge", Reader::fixed)?,
        })
    }
}

fn is_address(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentToken({} at {})", self.id, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        P256Key, SystemRandom,
        fixture::{Fleet, said, sign1},
    };

    fn token() -> EnrolmentToken {
        EnrolmentToken {
            id: TokenId::new([1; 16]),
            fleet: FleetId::new([2; 16]),
            ca_root: Digest::new([3; 32]),
            tuf_root: Digest::new([4; 32]),
            address: "enrol.example:8444".into(),
            secret: TokenSecret::from_bytes(&[0x5e; 32]),
        }
    }

    #[test]
    fn a_token_reads_back_from_its_text_however_it_was_pasted() {
        let text = token().to_text().unwrap();
        let wrapped: String = text.chars().flat_map(|char| [char, '\n']).collect();
        for text in [text.as_str(), &format!("  {}\r\n", *text), &wrapped] {
            let read: EnrolmentToken = text.parse().unwrap();
            assert_eq!(
                (read.id, read.fleet, read.ca_root, read.tuf_root, read.address.as_str()),
                (token().id, token().fleet, token().ca_root, token().tuf_root, "enrol.example:8444")
            );
            assert_eq!(read.secret.as_bytes(), &[0x5e; 32]);
        }
    }

    #[test]
    fn a_token_that_is_cut_off_or_mistyped_is_noticed() {
        let text = token().to_text().unwrap();
        for end in 0..text.len() {
            assert!(matches!(text[..end].parse::<EnrolmentToken>(), Err(Error::Token)), "{end}");
        }
        for at in 0..text.len() {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            let typo = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(typo.parse::<EnrolmentToken>().is_err(), "{at}");
        }
        let nowhere = EnrolmentToken { address: "enrol example".into(), ..token() };
        assert_eq!(said(nowhere.to_text()), "an address is a host and a port");
    }

    #[test]
    fn a_token_does_not_show_its_secret() {
        let shown = format!("{:?} {:?}", token(), token().secret);
        assert!(!shown.contains("5e") && !shown.contains("94"), "{shown}");
    }

    #[test]
    fn a_mac_is_of_one_csr_under_one_secret() {
        let secret = TokenSecret::from_bytes(&[0x0b; 32]);
        let mac = secret.mac(b"a certification request");
        assert!(secret.verifies(b"a certification request", &mac));
        assert!(!secret.verifies(b"another certification request", &mac));
        assert!(!token().secret.verifies(b"a certification request", &mac));
        assert!(!secret.verifies(b"a certification request", &mac[..31]));
        assert!(!secret.verifies(b"a certification request", &[]));
    }

    #[test]
    fn a_certificate_opens_for_its_device_alone() {
        let fleet = Fleet::new();
        let certificate = SealedCertificate {
            device: fleet.me.device,
            chain: vec![vec![1; 700], vec![2; 600]],
            challenge: [9; 32],
        };
        let sealed = certificate.seal(&fleet.device_kem.public()).unwrap();
        assert_eq!(SealedCertificate::open(&sealed, &fleet.device_kem).unwrap(), certificate);
        assert!(SealedCertificate::open(&sealed, &fleet.member_kem).is_err());
        assert!(!sealed.windows(32).any(|window| window == [9; 32]), "the challenge travels sealed");
    }

    #[test]
    fn a_proof_is_for_one_device_certificate_and_challenge_by_one_key() {
        let fleet = Fleet::new();
        let key = fleet.device_key.public_key();
        let proof = Proof { device: fleet.me.device, certificate: Digest::new([1; 32]), challenge: [9; 32] };
        let signed = proof.sign(&fleet.device_key).unwrap();
        let verify = |expected: Proof| said(Proof::verify(&signed, &expected, &key));
        assert_eq!(verify(proof), "accepted");
        for (expected, field) in [
            (Proof { device: DeviceId::new([0; 16]), ..proof }, "device_id"),
            (Proof { certificate: Digest::new([0; 32]), ..proof }, "certificate"),
            (Proof { challenge: [0; 32], ..proof }, "challenge"),
        ] {
            assert_eq!(verify(expected), format!("`{field}` is another than expected"));
        }
        let stranger = P256Key::generate().unwrap();
        assert!(Proof::verify(&signed, &proof, &stranger.public_key()).is_err());
        let payload = cose::encode(&proof).unwrap();
        let forged = sign1(-9, &stranger, &payload);
        assert!(Proof::verify(&forged, &proof, &key).is_err());
    }

    #[test]
    fn secrets_are_fresh() {
        let [one, two] = [(); 2].map(|()| TokenSecret::generate(&mut SystemRandom));
        assert_ne!(one.as_bytes(), two.as_bytes());
    }
}
