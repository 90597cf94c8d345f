use std::fmt;

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use ed25519_dalek::{Signature as Ed25519, VerifyingKey};
use model::{SecurityCounter, Version};

use super::{Error, slice};
use crate::PublicKey;

/// An image for MCUboot, as `image.h` of MCUboot 2 lays it out, little-endian.
///
/// Header, image, protected records, other records; then perhaps padding and a trailer, which nothing
/// signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct McubootImage<'a> {
    load_addr: u32,
    header_bytes: u16,
    image_bytes: u32,
    flags: u32,
    version: [u32; 4],
    /// Header, image and protected records: what digest and signatures cover.
    covered: &'a [u8],
    trailing_bytes: usize,
    tlvs: Vec<Tlv<'a>>,
}

/// One type-length-value record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Its type, as `image.h` numbers them.
    pub kind: u16,
    /// Whether the digest covers it.
    pub protected: bool,
    /// Its content.
    pub value: &'a [u8],
}

/// The digest that the image carries, over header, image and protected records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImageDigest<'a> {
    /// How it was made.
    pub kind: DigestKind,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The hash functions (FIPS 180-4) that MCUboot knows. SHA-256 is what nearly all images have; SHA-512
/// comes with pure signatures, SHA-384 with ECDSA over P-384.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestKind {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A signature that the image carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature<'a> {
    /// With what it was made.
    pub kind: SignatureKind,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The algorithms that MCUboot verifies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignatureKind {
    /// RSA-PSS, 2048 bits.
    Rsa2048,
    /// RSA-PSS, 3072 bits.
    Rsa3072,
    /// ECDSA.
    Ecdsa,
    /// Ed25519.
    Ed25519,
}

const MAGIC: u32 = 0x96f3_b83d;
const HEADER_LEN: usize = 32;
const PROTECTED_MAGIC: u16 = 0x6908;
const TLV_MAGIC: u16 = 0x6907;

const FLAG_ENCRYPTED: u32 = 0x04 | 0x08;

const KEY_HASH: u16 = 0x01;
const DIGESTS: [(u16, DigestKind); 3] =
    [(0x10, DigestKind::Sha256), (0x11, DigestKind::Sha384), (0x12, DigestKind::Sha512)];
const RSA2048: u16 = 0x20;
const ECDSA: u16 = 0x22;
const RSA3072: u16 = 0x23;
const ED25519: u16 = 0x24;
const SIG_PURE: u16 = 0x25;
const ENCRYPTION_KEYS: std::ops::RangeInclusive<u16> = 0x30..=0x34;
const SECURITY_COUNTER: u16 = 0x50;
const VENDOR_ID: u16 = 0x74;
const CLASS_ID: u16 = 0x75;

impl<'a> McubootImage<'a> {
    /// Whether the file begins with MCUboot's magic number.
    pub fn begins(bytes: &[u8]) -> bool {
        u32_at(bytes, 0) == Some(MAGIC)
    }

    /// Reads an image and checks it as MCUboot would: sizes, records, and that its digest is right.
    ///
    /// An image that MCUboot decrypts itself is taken as it is, for its digest covers the plaintext.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let cut = |what| Error::Truncated { what };
        let malformed = |what| Error::Malformed { what };
        let header = slice(bytes, 0, HEADER_LEN).ok_or(cut("the header"))?;
        let word = |offset| u32_at(header, offset).expect("within the header");
        let half = |offset| u16_at(header, offset).expect("within the header");
        if word(0) != MAGIC {
            return Err(malformed("magic number"));
        }
        let (header_bytes, protected_bytes, image_bytes) = (half(8), half(10), word(12));
        if usize::from(header_bytes) < HEADER_LEN {
            return Err(malformed("header size"));
        }
        let version = [header[20].into(), header[21].into(), half(22).into(), word(24)];

        let image_end = usize::from(header_bytes)
            .checked_add(usize::try_from(image_bytes).map_err(|_| cut("the image"))?)
            .ok_or(cut("the image"))?;
        let mut tlvs = Vec::new();
        let protected = area(bytes, image_end, PROTECTED_MAGIC)?;
        if protected.map_or(0, <[u8]>::len) != usize::from(protected_bytes) {
            return Err(malformed("size of the protected records"));
        }
        if let Some(protected) = protected {
            records(protected, true, &mut tlvs)?;
        }
        let covered_bytes = image_end + usize::from(protected_bytes);
        let covered = slice(bytes, 0, covered_bytes).ok_or(cut("the image"))?;
        let area = area(bytes, covered_bytes, TLV_MAGIC)?.ok_or(malformed("magic number of the records"))?;
        records(area, false, &mut tlvs)?;

        let image = Self {
            load_addr: word(4),
            header_bytes,
            image_bytes,
            flags: word(16),
            version,
            covered,
            trailing_bytes: bytes.len() - covered_bytes - area.len(),
            tlvs,
        };
        image.check()?;
        Ok(image)
    }

    /// Its version; a build number of 0 is left out.
    pub fn version(&self) -> Version {
        let [major, minor, revision, build] = self.version;
        let text = match build {
            0 => format!("{major}.{minor}.{revision}"),
            build => format!("{major}.{minor}.{revision}+{build}"),
        };
        text.parse().expect("four numbers are a version")
    }

    /// What must not fall, from the protected records.
    pub fn security_counter(&self) -> Option<SecurityCounter> {
        let tlv = self.find(SECURITY_COUNTER)?;
        u32_at(tlv.value, 0).map(SecurityCounter)
    }

    /// The digest over header, image and protected records. Unless the image is encrypted, it was found
    /// right.
    pub fn digest(&self) -> ImageDigest<'a> {
        self.digests().next().expect("an image without its digest was refused")
    }

    /// The digest of each key that it says it is signed with, made as [`Self::digest`] is.
    pub fn key_hashes(&self) -> impl Iterator<Item = &'a [u8]> {
        self.all(KEY_HASH).map(|tlv| tlv.value)
    }

    /// Its signatures, in order.
    pub fn signatures(&self) -> impl Iterator<Item = Signature<'a>> {
        self.tlvs.iter().filter_map(|tlv| {
            let kind = match tlv.kind {
                RSA2048 => SignatureKind::Rsa2048,
                RSA3072 => SignatureKind::Rsa3072,
                ECDSA => SignatureKind::Ecdsa,
                ED25519 => SignatureKind::Ed25519,
                _ => return None,
            };
            Some(Signature { kind, bytes: tlv.value })
        })
    }

    /// Checks that it is signed with this Ed25519 key: that a record names the key, and that a signature
    /// over the digest (or, if it says so, over the image) is the key's.
    ///
    /// # Errors
    /// It is not, or the key is of another kind, or the image is encrypted.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Error> {
        let PublicKey::Ed25519(public) = key else { return Err(Error::Signature) };
        let public = VerifyingKey::from_bytes(public).map_err(|_| Error::Signature)?;
        let carried = self.digest();
        let hash = digest(carried.kind.algorithm(), &key.spki());
        if self.is_encrypted() || !self.key_hashes().any(|named| named == hash.as_ref()) {
            return Err(Error::Signature);
        }
        let message = if self.find(SIG_PURE).is_some() { self.covered } else { carried.bytes };
        let verified = self.all(ED25519).any(|tlv| {
            Ed25519::from_slice(tlv.value)
                .is_ok_and(|signature| public.verify_strict(message, &signature).is_ok())
        });
        if verified { Ok(()) } else { Err(Error::Signature) }
    }

    /// Whether MCUboot itself has to decrypt it.
    pub fn is_encrypted(&self) -> bool {
        self.flags & FLAG_ENCRYPTED != 0 || self.tlvs.iter().any(|tlv| ENCRYPTION_KEYS.contains(&tlv.kind))
    }

    /// The UUID of its vendor.
    pub fn vendor_id(&self) -> Option<[u8; 16]> {
        self.find(VENDOR_ID)?.value.try_into().ok()
    }

    /// The UUID of the class of hardware that it is for.
    pub fn class_id(&self) -> Option<[u8; 16]> {
        self.find(CLASS_ID)?.value.try_into().ok()
    }

    /// The address that it runs at, for images that are copied to RAM.
    pub const fn load_addr(&self) -> u32 {
        self.load_addr
    }

    /// The header's size in bytes, padding included.
    pub const fn header_bytes(&self) -> u16 {
        self.header_bytes
    }

    /// The image's size in bytes, without header and records.
    pub const fn image_bytes(&self) -> u32 {
        self.image_bytes
    }

    /// The header's flags, as `image.h` defines them.
    pub const fn flags(&self) -> u32 {
        self.flags
    }

    /// Bytes after the last record, such as padding to the slot and its trailer. Nothing covers them.
    pub const fn trailing_bytes(&self) -> usize {
        self.trailing_bytes
    }

    /// All records, the protected ones first.
    pub fn tlvs(&self) -> &[Tlv<'a>] {
        &self.tlvs
    }

    fn digests(&self) -> impl Iterator<Item = ImageDigest<'a>> {
        DIGESTS.into_iter().flat_map(|(record, kind)| {
            self.all(record).map(move |tlv| ImageDigest { kind, bytes: tlv.value })
        })
    }

    fn all(&self, kind: u16) -> impl Iterator<Item = &Tlv<'a>> {
        self.tlvs.iter().filter(move |tlv| tlv.kind == kind)
    }

    fn find(&self, kind: u16) -> Option<&Tlv<'a>> {
        self.all(kind).next()
    }

    /// What MCUboot reads once must be there at most once, in its area and of its length.
    fn check(&self) -> Result<(), Error> {
        let singles = [
            (SIG_PURE, false, 1, "the mark of a pure signature"),
            (SECURITY_COUNTER, true, 4, "the security counter"),
            (VENDOR_ID, true, 16, "the vendor's UUID"),
            (CLASS_ID, true, 16, "the class's UUID"),
        ];
        for (kind, protected, len, what) in singles {
            if self.all(kind).count() > 1 {
                return Err(Error::Count { what });
            }
            if self.all(kind).any(|tlv| tlv.protected != protected || tlv.value.len() != len) {
                return Err(Error::Malformed { what });
            }
        }
        if self.all(ED25519).any(|tlv| tlv.value.len() != 64) {
            return Err(Error::Malformed { what: "the Ed25519 signature" });
        }
        let mut digests = self.digests();
        let (Some(carried), None) = (digests.next(), digests.next()) else {
            return Err(Error::Count { what: "the digest" });
        };
        let algorithm = carried.kind.algorithm();
        if carried.bytes.len() != algorithm.output_len()
            || self.key_hashes().any(|hash| hash.len() != algorithm.output_len())
        {
            return Err(Error::Malformed { what: "digest" });
        }
        if !self.is_encrypted() && digest(algorithm, self.covered).as_ref() != carried.bytes {
            return Err(Error::Digest);
        }
        Ok(())
    }
}

impl DigestKind {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        }
    }
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x} ({} bytes)", self.kind, self.value.len())
    }
}

/// The records' area at `offset`, its own four-byte head included, if it begins with `magic`.
fn area(bytes: &[u8], offset: usize, magic: u16) -> Result<Option<&[u8]>, Error> {
    let cut = Error::Truncated { what: "the records" };
    let head = slice(bytes, offset, 4).ok_or(cut.clone())?;
    if u16_at(head, 0) != Some(magic) {
        return Ok(None);
    }
    let len = usize::from(u16_at(head, 2).expect("four bytes"));
    slice(bytes, offset, len).map(Some).ok_or(cut)
}

fn records<'a>(area: &'a [u8], protected: bool, tlvs: &mut Vec<Tlv<'a>>) -> Result<(), Error> {
    let malformed = Error::Malformed { what: "records" };
    let mut rest = area.get(4..).ok_or(malformed.clone())?;
    while !rest.is_empty() {
        let kind = u16_at(rest, 0).ok_or(malformed.clone())?;
        let len = usize::from(u16_at(rest, 2).ok_or(malformed.clone())?);
        let value = slice(rest, 4, len).ok_or(malformed.clone())?;
        tlvs.push(Tlv { kind, protected, value });
        rest = &rest[4 + len..];
    }
    Ok(())
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(slice(bytes, offset, 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(slice(bytes, offset, 4)?.try_into().ok()?))
}
