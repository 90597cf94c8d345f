use std::fmt;

use aws_lc_rs::aead::Aad;
use model::Digest;

use super::{Error, Header, Keys, SegmentList, layout::expect};
use crate::{ContentKey, Sha256};

/// Opens chunks, in any order and from any number of threads.
pub struct Opener {
    header: Header,
    aad: [u8; Header::LEN],
    keys: Keys,
}

/// Opens a whole payload from its beginning to its end: once to see that it is the artifact, then once
/// more for the installer.
#[derive(Debug)]
pub struct Opening<'a> {
    opener: &'a Opener,
    segments: &'a SegmentList,
    plaintext: Sha256,
    next: u32,
}

impl Opener {
    /// Opens with `key` what `header`, taken from the ticket, describes.
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

    /// Opens sealed chunk `index` in place and gives its plaintext. When it fails, `buffer` holds
    /// nothing of use.
    ///
    /// # Errors
    /// There is no such chunk, the buffer is not as long as the layout says, or the chunk was sealed
    /// under another key, header or index, or altered.
    pub fn open_chunk<'b>(&self, index: u32, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Error> {
        let layout = self.header.layout();
        let range = layout.ciphertext_range(index)?;
        expect("the sealed chunk", range.end - range.start, buffer)?;
        let nonce = self.keys.nonce(index, layout.is_last(index));
        self.keys.key.open_in_place(nonce, Aad::from(&self.aad), buffer).map_err(|_| Error::Open { index })
    }

    /// Opens segment `index` in place, a chunk at a time in order, and hands each plaintext to `each`.
    ///
    /// # Errors
    /// There is no such segment, the buffer is not as long as the layout says, the first segment begins
    /// with another header, a chunk does not open, or `each` failed.
    pub fn open_segment<E: From<Error>>(
        &self,
        index: u32,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (header, places) = self.header.layout().places(index, buffer)?;
        if !header.is_empty() && *header != self.aad {
            return Err(Error::Header { what: "not the one in the ticket" }.into());
        }
        for (chunk, sealed) in places {
            each(self.open_chunk(chunk, sealed)?)?;
        }
        Ok(())
    }
}

impl<'a> Opening<'a> {
    /// Begins at the first segment; each is checked against `segments` before it is opened.
    pub fn new(opener: &'a Opener, segments: &'a SegmentList) -> Self {
        Self { opener, segments, plaintext: Sha256::new(), next: 0 }
    }

    /// Checks the next segment's ciphertext, opens it in place and hands its plaintext to `each`, a
    /// chunk at a time.
    ///
    /// # Errors
    /// There is no further segment, these are not its bytes, a chunk does not open, or `each` failed.
    pub fn segment<E: From<Error>>(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.segments.verify_segment(self.next, buffer)?;
        self.opener.open_segment(self.next, buffer, |plaintext| {
            self.plaintext.update(plaintext);
            each(plaintext)
        })?;
        self.next += 1;
        Ok(())
    }

    /// Whether all came, and the plaintext is the one that was signed.
    ///
    /// # Errors
    /// A segment is missing, or the plaintext has another SHA-256.
    pub fn finish(self, expected: &Digest) -> Result<(), Error> {
        let segments = self.opener.header.layout().segments();
        if self.next != segments {
            return Err(Error::Incomplete { expected: segments, found: self.next });
        }
        if self.plaintext.finish() != *expected {
            return Err(Error::Plaintext);
        }
        Ok(())
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("header", &self.header).finish_non_exhaustive()
    }
}
