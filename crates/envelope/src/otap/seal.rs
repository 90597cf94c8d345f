use std::fmt;

use aws_lc_rs::aead::Aad;
use model::Digest;

use super::{CHUNK_LEN, Error, Header, Keys, SegmentList, TAG_LEN, layout::expect};
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

    /// Seals chunk `index` in place: `buffer` holds its plaintext, then room for the tag.
    ///
    /// # Errors
    /// There is no such chunk, or the buffer is not as long as the layout says.
    pub fn seal_chunk(&self, index: u32, buffer: &mut [u8]) -> Result<(), Error> {
        let layout = self.header.layout();
        let range = layout.ciphertext_range(index)?;
        expect("the sealed chunk", range.end - range.start, buffer)?;
        let (plaintext, tag) = buffer.split_at_mut(buffer.len() - TAG_LEN);
        let nonce = self.keys.nonce(index, layout.is_last(index));
        let sealed = self.keys.key.seal_in_place_separate_tag(nonce, Aad::from(&self.aad), plaintext);
        tag.copy_from_slice(sealed.map_err(|_| Error::Provider)?.as_ref());
        Ok(())
    }

    /// Seals segment `index` in place, each chunk's plaintext standing where [`super::Layout::places`] says,
    /// writes the header before the first one, and gives the SHA-256 of all of `buffer`. Each chunk is
    /// hashed while it is still in the cache.
    ///
    /// # Errors
    /// There is no such segment, or the buffer is not as long as the layout says.
    pub fn seal_segment(&self, index: u32, buffer: &mut [u8]) -> Result<Digest, Error> {
        let mut digest = Sha256::new();
        let (header, places) = self.header.layout().places(index, buffer)?;
        if !header.is_empty() {
            header.copy_from_slice(&self.aad);
            digest.update(header);
        }
        for (chunk, place) in places {
            self.seal_chunk(chunk, place)?;
            digest.update(place);
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
        let layout = self.sealer.header.layout();
        let range = layout.segment_plaintext(index)?;
        expect("the segment", range.end - range.start, plaintext)?;
        let (_, places) = layout.places(index, out)?;
        for ((_, place), chunk) in places.zip(plaintext.chunks(CHUNK_LEN)) {
            place[..chunk.len()].copy_from_slice(chunk);
        }
        let digest = self.sealer.seal_segment(index, out)?;
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
