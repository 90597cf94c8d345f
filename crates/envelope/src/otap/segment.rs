use model::Digest;

use super::{Error, Layout};
use crate::sha256;

/// The SHA-256 of each segment, in order.
///
/// Its own SHA-256 stands in tickets, sealed-artifact records and links.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentList(Vec<Digest>);

impl SegmentList {
    /// The list of these digests, one per segment.
    ///
    /// # Errors
    /// There are more or fewer than `layout` has segments.
    pub fn new(layout: Layout, segments: Vec<Digest>) -> Result<Self, Error> {
        if segments.len() as u64 != u64::from(layout.segments()) {
            return Err(Error::SegmentList);
        }
        Ok(Self(segments))
    }

    /// Reads a list as it is fetched, and believes it only with the digest that was signed.
    ///
    /// # Errors
    /// It has another digest, or another length than `layout` asks for.
    pub fn parse(bytes: &[u8], layout: Layout, expected: &Digest) -> Result<Self, Error> {
        let (digests, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || sha256(bytes) != *expected {
            return Err(Error::SegmentList);
        }
        Self::new(layout, digests.iter().copied().map(Digest::new).collect())
    }

    /// The list as it is stored and fetched: the digests, 32 bytes each.
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|digest| *digest.as_bytes()).collect()
    }

    /// The SHA-256 of [`Self::encode`].
    pub fn digest(&self) -> Digest {
        sha256(&self.encode())
    }

    /// The digests, in order.
    pub fn segments(&self) -> &[Digest] {
        &self.0
    }

    /// Checks a segment's ciphertext, header included for the first one, before it is kept or opened.
    ///
    /// # Errors
    /// There is no such segment, or these are not its bytes.
    pub fn verify_segment(&self, index: u32, ciphertext: &[u8]) -> Result<(), Error> {
        match self.0.get(index as usize) {
            None => Err(Error::OutOfRange { what: "segment", index: index.into() }),
            Some(digest) if sha256(ciphertext) == *digest => Ok(()),
            Some(_) => Err(Error::Segment { index }),
        }
    }
}
