//! What kind of file an artifact is, and what its own format says of it.
//!
//! This looks before a release is proposed and before a file is sent; the installer on the device
//! checks for itself. Whatever the bytes, nothing here panics, and nothing reads beyond them.

mod mcuboot;
mod rauc;
mod swu;

pub use mcuboot::{DigestKind, ImageDigest, McubootImage, Signature, SignatureKind, Tlv};
pub use rauc::{RaucBundle, RaucFormat, RaucManifest};
pub use swu::{SwuFile, SwuImage};

/// An artifact, recognised by its first bytes and read as far as its format says something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Container<'a> {
    /// An image for MCUboot.
    Mcuboot(McubootImage<'a>),
    /// A RAUC bundle.
    Rauc(RaucBundle),
    /// An archive for SWUpdate.
    Swu(SwuImage<'a>),
    /// Anything else: written as it is.
    Raw,
}

/// A file that begins as one kind and breaks that kind's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of the file reaches beyond its end.
    #[error("{what} reaches beyond the end of the file")]
    Truncated {
        /// The part.
        what: &'static str,
    },
    /// A field has a value that the format does not have.
    #[error("malformed {what}")]
    Malformed {
        /// The field.
        what: &'static str,
    },
    /// Something that must be there is not, or something that may be there once is there twice.
    #[error("{what} is missing or there twice")]
    Count {
        /// What it is.
        what: &'static str,
    },
    /// The image's digest is not the one that it carries.
    #[error("the image is not the one that its own digest names")]
    Digest,
    /// Signed by another key, or altered.
    #[error("the image is not signed by this key")]
    Signature,
}

impl<'a> Container<'a> {
    /// Recognises a whole file and reads it.
    ///
    /// # Errors
    /// It begins as an image, a bundle or an archive and then breaks the rules of that.
    pub fn recognise(bytes: &'a [u8]) -> Result<Self, Error> {
        if McubootImage::begins(bytes) {
            return McubootImage::parse(bytes).map(Self::Mcuboot);
        }
        if let Some(bundle) = RaucBundle::find(bytes) {
            return Ok(Self::Rauc(bundle));
        }
        Ok(SwuImage::parse(bytes)?.map_or(Self::Raw, Self::Swu))
    }
}

/// The `len` bytes at `offset`, or nothing where there are fewer.
fn slice(bytes: &[u8], offset: usize, len: usize) -> Option<&[u8]> {
    bytes.get(offset..offset.checked_add(len)?)
}

#[cfg(test)]
mod tests;
