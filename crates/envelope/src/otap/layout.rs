use std::ops::Range;

use super::{Error, Header};

/// Plaintext bytes of a full chunk.
pub const CHUNK_LEN: usize = 1 << 16;
/// Bytes by which a sealed chunk is longer: the AES-GCM tag.
pub const TAG_LEN: usize = 16;
/// Bytes of a full sealed chunk.
pub const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;
/// Chunks of a full segment.
pub const SEGMENT_CHUNKS: u32 = 16;
/// Plaintext bytes of a full segment: 1 MiB.
pub const SEGMENT_LEN: usize = SEGMENT_CHUNKS as usize * CHUNK_LEN;

const HEADER: u64 = Header::LEN as u64;
const CHUNK: u64 = CHUNK_LEN as u64;
const SEALED_CHUNK: u64 = SEALED_CHUNK_LEN as u64;
const SEGMENT: u64 = SEGMENT_LEN as u64;
const SEALED_SEGMENT: u64 = SEGMENT_CHUNKS as u64 * SEALED_CHUNK;

/// A chunk's index and its bytes in a segment's buffer.
type Place<'b> = (u32, &'b mut [u8]);

/// Where chunks and segments lie in a plaintext of some length and in its ciphertext.
///
/// There is always a last chunk; that of an empty plaintext is empty. Ranges are in bytes from the
/// beginning of the file. The header belongs to the first segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    plaintext_len: u64,
}

impl Layout {
    /// The layout of a plaintext of this many bytes.
    ///
    /// # Errors
    /// It is more than 2^32 chunks hold.
    pub const fn new(plaintext_len: u64) -> Result<Self, Error> {
        if plaintext_len > CHUNK << 32 {
            return Err(Error::TooLong { len: plaintext_len });
        }
        Ok(Self { plaintext_len })
    }

    /// The plaintext's length in bytes.
    pub const fn plaintext_len(&self) -> u64 {
        self.plaintext_len
    }

    /// The ciphertext's length in bytes, header and tags included.
    pub const fn ciphertext_len(&self) -> u64 {
        HEADER + self.plaintext_len + self.chunks() * TAG_LEN as u64
    }

    /// How many chunks there are: 1 to 2^32.
    pub const fn chunks(&self) -> u64 {
        let chunks = self.plaintext_len.div_ceil(CHUNK);
        if chunks == 0 { 1 } else { chunks }
    }

    /// How many segments there are: 1 to 2^28.
    pub const fn segments(&self) -> u32 {
        self.chunks().div_ceil(SEGMENT_CHUNKS as u64) as u32
    }

    /// Whether this chunk is the last.
    pub const fn is_last(&self, chunk: u32) -> bool {
        chunk as u64 + 1 == self.chunks()
    }

    /// A chunk's bytes in the plaintext.
    ///
    /// # Errors
    /// There is no such chunk.
    pub fn plaintext_range(&self, chunk: u32) -> Result<Range<u64>, Error> {
        let start = self.check("chunk", chunk, self.chunks())? * CHUNK;
        Ok(start..self.plaintext_len.min(start + CHUNK))
    }

    /// A chunk's bytes in the ciphertext, its tag included.
    ///
    /// # Errors
    /// There is no such chunk.
    pub fn ciphertext_range(&self, chunk: u32) -> Result<Range<u64>, Error> {
        let start = HEADER + self.check("chunk", chunk, self.chunks())? * SEALED_CHUNK;
        Ok(start..self.ciphertext_len().min(start + SEALED_CHUNK))
    }

    /// The chunks of a segment.
    ///
    /// # Errors
    /// There is no such segment.
    pub fn segment_chunks(&self, segment: u32) -> Result<Range<u64>, Error> {
        let start = self.check("segment", segment, self.segments().into())? * u64::from(SEGMENT_CHUNKS);
        Ok(start..self.chunks().min(start + u64::from(SEGMENT_CHUNKS)))
    }

    /// A segment's bytes in the plaintext.
    ///
    /// # Errors
    /// There is no such segment.
    pub fn segment_plaintext(&self, segment: u32) -> Result<Range<u64>, Error> {
        let start = self.check("segment", segment, self.segments().into())? * SEGMENT;
        Ok(start..self.plaintext_len.min(start + SEGMENT))
    }

    /// A segment's bytes in the ciphertext, tags included, and for the first one the header.
    ///
    /// # Errors
    /// There is no such segment.
    pub fn segment_range(&self, segment: u32) -> Result<Range<u64>, Error> {
        let index = self.check("segment", segment, self.segments().into())?;
        let end = HEADER + (index + 1) * SEALED_SEGMENT;
        let start = if index == 0 { 0 } else { end - SEALED_SEGMENT };
        Ok(start..self.ciphertext_len().min(end))
    }

    /// The places in a segment's buffer: the header's, which is empty but for the first segment, then
    /// each chunk's with its index: its plaintext or ciphertext, and last the [`TAG_LEN`] bytes of its tag.
    ///
    /// # Errors
    /// There is no such segment, or the buffer is not as long as it is sealed.
    pub fn places<'b>(
        &self,
        segment: u32,
        buffer: &'b mut [u8],
    ) -> Result<(&'b mut [u8], impl Iterator<Item = Place<'b>> + use<'b>), Error> {
        let range = self.segment_range(segment)?;
        expect("the sealed segment", range.end - range.start, buffer)?;
        let (header, chunks) = buffer.split_at_mut(if segment == 0 { Header::LEN } else { 0 });
        let first = segment * SEGMENT_CHUNKS;
        Ok((header, (first..).zip(chunks.chunks_mut(SEALED_CHUNK_LEN))))
    }

    /// How many segments lie wholly within the first `bytes` of the ciphertext: where to resume.
    pub fn whole_segments(&self, bytes: u64) -> u32 {
        if bytes >= self.ciphertext_len() {
            return self.segments();
        }
        let whole = bytes.saturating_sub(HEADER) / SEALED_SEGMENT;
        u32::try_from(whole).unwrap_or(u32::MAX).min(self.segments() - 1)
    }

    fn check(&self, what: &'static str, index: u32, count: u64) -> Result<u64, Error> {
        let index = u64::from(index);
        if index < count { Ok(index) } else { Err(Error::OutOfRange { what, index }) }
    }
}

pub(super) fn expect(what: &'static str, expected: u64, buffer: &[u8]) -> Result<(), Error> {
    let found = buffer.len() as u64;
    if found == expected { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}
