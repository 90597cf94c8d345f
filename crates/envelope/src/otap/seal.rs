use std::fmt;

use aws_lc_rs::aead::Aad;
use model::Digest;

use super::{CHUNK_LEN, Error, Header, Keys, SEALED_CHUNK_LEN, SegmentList, TAG_LEN};
use crate::{ContentKey, Sha256};

/// Seals chunks and segments, in any order and from any number of threads.
///
/// A content key and a header seal one plaintext once: sealing another under both would repeat nonces.
pub struct Sealer {
    header: Header,
    aad: [u8; Header::LEN],
    keys: Keys,
}

/// Seals a plaintext from its beginning to its end, on one thread.
#[derive(Debug)]
pub struct Sealing {
    sealer: Sealer,
    plaintext: Sha256,
    segments: Vec<Digest>,
}

/// What is to be known about a payload once it is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// Its header.
    pub header: Header,
    /// The SHA-256 of the plaintext.
    pub plaintext: Digest,
    /// The SHA-256 of each segment.
    pub segments: SegmentList,
}

impl Sealer {
    /// Seals under `key` what `header` describes.
    ///
    /// # Errors
    /// The provider failed.
    pub fn new(key: &ContentKey, header: Header) -> Result<Self, Error> {
        Ok(Self { header, aad: header.encode(), keys: Keys::derive(key, header.salt())? })
    }

    /// The payload's header.
    pub const fn header(&self) -> Header {
        self.header
    }

    /// Seals chunk `index` of the plaintext into `out`, which is longer by [`TAG_LEN`].
    ///
    /// # Errors
    /// There is no such chunk, or a buffer is not as long as the layout says.
    pub fn seal_chunk(&self, index: u32, plaintext: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let layout = self.header.layout();
        let range = layout.plaintext_range(index)?;
        expect("the chunk", range.end - range.start, plaintext)?;
        expect("the sealed chunk", range.end - range.start + TAG_LEN as u64, out)?;
        let (ciphertext, tag) = out.split_at_mut(plaintext.len());
        let nonce = self.keys.nonce(index, layout.is_last(index));
        self.keys
            .key
            .seal_out_of_place_scatter(nonce, Aad::from(&self.aad), plaintext, ciphertext, &[], tag)
            .map_err(|_| Error::Provider)
    }

    /// Seals segment `index` of the plaintext into `out`, the header before it for the first one, and
    /// gives the SHA-256 of `out`. Each chunk is hashed while it is still in the cache.
    ///
    /// # Errors
    /// There is no such segment, or a buffer is not as long as the layout says.
    pub fn seal_segment(&self, index: u32, plaintext: &[u8], out: &mut [u8]) -> Result<Digest, Error> {
        let layout = self.header.layout();
        let range = layout.segment_plaintext(index)?;
        expect("the segment", range.end - range.start, plaintext)?;
        let range = layout.segment_range(index)?;
        expect("the sealed segment", range.end - range.start, out)?;

        let mut digest = Sha256::new();
        let mut out = out;
        if index == 0 {
            let (header, rest) = out.split_at_mut(Header::LEN);
            header.copy_from_slice(&self.aad);
            digest.update(header);
            out = rest;
        }
        let chunks = layout.segment_chunks(index)?;
        let sealed = out.chunks_mut(SEALED_CHUNK_LEN);
        for (at, (chunk, sealed)) in chunks.zip(sealed).enumerate() {
            let from = at * CHUNK_LEN;
            let to = plaintext.len().min(from + CHUNK_LEN);
            let chunk = u32::try_from(chunk).expect("a chunk's index is below 2^32");
            self.seal_chunk(chunk, &plaintext[from..to], sealed)?;
            digest.update(sealed);
        }
        Ok(digest.finish())
    }
}

impl Sealing {
    /// Begins to seal under `key` what `header` describes.
    ///
    /// # Errors
    /// The provider failed.
    pub fn new(key: &ContentKey, header: Header) -> Result<Self, Error> {
        let segments = Vec::with_capacity(header.layout().segments().min(1 << 16) as usize);
        Ok(Self { sealer: Sealer::new(key, header)?, plaintext: Sha256::new(), segments })
    }

    /// Seals the next segment into `out`, both as long as the layout says.
    ///
    /// # Errors
    /// There is no further segment, or a buffer is not as long as the layout says.
    pub fn segment(&mut self, plaintext: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let index = u32::try_from(self.segments.len()).expect("at most 2^28 segments");
        let digest = self.sealer.seal_segment(index, plaintext, out)?;
        self.plaintext.update(plaintext);
        self.segments.push(digest);
        Ok(())
    }

    /// What was sealed.
    ///
    /// # Errors
    /// A segment is missing.
    pub fn finish(self) -> Result<Sealed, Error> {
        let header = self.sealer.header;
        let expected = header.layout().segments();
        let found = u32::try_from(self.segments.len()).expect("at most 2^28 segments");
        if found != expected {
            return Err(Error::Incomplete { expected, found });
        }
        let segments = SegmentList::new(header.layout(), self.segments)?;
        Ok(Sealed { header, plaintext: self.plaintext.finish(), segments })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("header", &self.header).finish_non_exhaustive()
    }
}

pub(super) fn expect(what: &'static str, expected: u64, buffer: &[u8]) -> Result<(), Error> {
    let found = buffer.len() as u64;
    if found == expected { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}
