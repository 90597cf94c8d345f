use envelope::{SignError, Signer, sha256};

/// Firmware for a simulated board: an image that MCUboot's own tools accept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Firmware {
    /// Major, minor, revision.
    pub version: (u8, u8, u16),
    /// What must not fall.
    pub security_counter: u32,
    /// The program. One that begins with [`Self::CRASHES`] dies as soon as it runs.
    pub payload: Vec<u8>,
}

const MAGIC: u32 = 0x96f3_b83d;
const HEADER_BYTES: u16 = 32;
const PROTECTED: u16 = 0x6908;
const PLAIN: u16 = 0x6907;

impl Firmware {
    /// How a program begins that dies as soon as it runs.
    pub const CRASHES: &'static [u8] = b"crash";

    /// A program of `bytes` bytes that looks like none in particular.
    pub fn new(version: (u8, u8, u16), security_counter: u32, bytes: usize) -> Self {
        let seed = u64::from(version.0) << 32 | u64::from(version.1) << 16 | u64::from(version.2);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        Self { version, security_counter, payload: (0..bytes).map(|_| byte()).collect() }
    }

    /// The signed image (MCUboot, `image.h`): header, program, security counter, SHA-256, hash of the
    /// key, and an Ed25519 signature over the SHA-256.
    ///
    /// # Errors
    /// The signer refused.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, SignError> {
        let protected = area(PROTECTED, &[tlv(0x50, &self.security_counter.to_le_bytes())]);
        let (major, minor, revision) = self.version;
        let protected_bytes = u16::try_from(protected.len()).expect("one small record");
        let payload_bytes = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let mut image = Vec::new();
        image.extend(MAGIC.to_le_bytes());
        image.extend(0_u32.to_le_bytes());
        image.extend(HEADER_BYTES.to_le_bytes());
        image.extend(protected_bytes.to_le_bytes());
        image.extend(payload_bytes.to_le_bytes());
        image.extend(0_u32.to_le_bytes());
        image.extend([major, minor]);
        image.extend(revision.to_le_bytes());
        image.extend([0; 8]);
        image.extend(&self.payload);
        image.extend(&protected);
        let digest = sha256(&image);
        let signature = signer.sign(digest.as_bytes())?;
        let key = sha256(&signer.public_key().spki());
        let records = [tlv(0x10, digest.as_bytes()), tlv(0x01, key.as_bytes()), tlv(0x24, &signature)];
        image.extend(area(PLAIN, &records));
        Ok(image)
    }
}

fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("records are short");
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), value].concat()
}

fn area(magic: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let records = records.concat();
    let length = u16::try_from(records.len() + 4).expect("records are short");
    [&magic.to_le_bytes()[..], &length.to_le_bytes(), &records].concat()
}
