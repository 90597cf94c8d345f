//! The sealed payload, OTAP: an artifact encrypted once, in chunks that open on their own.
//!
//! A file is a 32-byte [`Header`], then chunks of 64 KiB plaintext (the last may be shorter), each
//! sealed with AES-256-GCM under a key derived from the [`crate::ContentKey`] and the header's salt. A
//! chunk's nonce holds its index and whether it is the last, and the header is the associated data of
//! each: what is cut, extended, reordered or taken from another file does not open. Sixteen chunks are
//! a segment; the [`SegmentList`] names each by SHA-256, so that a bad byte is refused before it is
//! decrypted or kept.
//!
//! ```text
//! header: "OTAP" | version 1 | algorithm 1 | chunk log2 16 | segment log2 4 | salt 16 | length u64be
//! key:    HKDF-SHA256(content key, salt, "fleetseal-otap/1 key"), 32 bytes
//! nonce:  HKDF-SHA256(content key, salt, "fleetseal-otap/1 nonce"), 7 bytes | index u32be | last 0/1
//! chunk:  ciphertext | tag 16, chunk i at 32 + i * (65536 + 16)
//! ```
//!
//! Nothing here knows a file or a thread. [`Sealer`] and [`Opener`] take `&self` and any order, so
//! a caller with two threads hashes the plaintext on one, which is one long chain, and seals segments on
//! whichever is free; [`Sealing`] and [`Opening`] do both on one.

mod header;
mod layout;
mod open;
mod seal;
mod segment;

pub use header::Header;
pub use layout::{CHUNK_LEN, Layout, SEALED_CHUNK_LEN, SEGMENT_CHUNKS, SEGMENT_LEN, TAG_LEN};
pub use open::{Opener, Opening};
pub use seal::{Sealed, Sealer, Sealing};
pub use segment::SegmentList;

use aws_lc_rs::{
    aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

use crate::ContentKey;

/// Why a payload was not sealed, not opened or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The header is none that this version writes.
    #[error("not an OTAP header: {what}")]
    Header {
        /// The field that is wrong.
        what: &'static str,
    },
    /// More plaintext than 2^32 chunks hold.
    #[error("a payload of {len} bytes is too long to seal")]
    TooLong {
        /// The plaintext's length in bytes.
        len: u64,
    },
    /// There is no such chunk or segment.
    #[error("there is no {what} {index}")]
    OutOfRange {
        /// Chunk or segment.
        what: &'static str,
        /// Its index.
        index: u64,
    },
    /// A buffer is not as long as the layout says.
    #[error("{what} has {found} bytes instead of {expected}")]
    Length {
        /// What it should hold.
        what: &'static str,
        /// How long it should be, in bytes.
        expected: u64,
        /// How long it is, in bytes.
        found: u64,
    },
    /// A segment's SHA-256 is not the one in the list.
    #[error("segment {index} is not the one that was sealed")]
    Segment {
        /// Its index.
        index: u32,
    },
    /// A segment list that does not fit the layout or the ticket.
    #[error("not the segment list of this payload")]
    SegmentList,
    /// A chunk does not open: another key, header or position, or altered.
    #[error("chunk {index} does not open")]
    Open {
        /// Its index.
        index: u32,
    },
    /// The whole plaintext is not the one that was signed.
    #[error("the plaintext is not the artifact that was signed")]
    Plaintext,
    /// Fewer segments came than there are.
    #[error("only {found} of {expected} segments came")]
    Incomplete {
        /// How many there are.
        expected: u32,
        /// How many came.
        found: u32,
    },
    /// The cryptographic provider failed.
    #[error("the cryptographic provider failed")]
    Provider,
}

/// What a content key and a salt give: the AEAD key, and how nonces begin.
struct Keys {
    key: LessSafeKey,
    prefix: [u8; 7],
}

struct PrefixLen;

impl KeyType for PrefixLen {
    fn len(&self) -> usize {
        7
    }
}

impl Keys {
    fn derive(key: &ContentKey, salt: &[u8; 16]) -> Result<Self, Error> {
        let prk = Salt::new(HKDF_SHA256, salt).extract(key.as_bytes());
        let aead = prk.expand(&[b"fleetseal-otap/1 key"], &AES_256_GCM).map_err(|_| Error::Provider)?;
        let mut prefix = [0; 7];
        prk.expand(&[b"fleetseal-otap/1 nonce"], PrefixLen)
            .and_then(|okm| okm.fill(&mut prefix))
            .map_err(|_| Error::Provider)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(aead)), prefix })
    }

    fn nonce(&self, index: u32, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.prefix);
        nonce[7..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }
}

#[cfg(test)]
mod tests;
