use envelope::{PublicKey, container::McubootImage};
use model::{Digest, SecurityCounter, Version};

/// An MCUboot image that was looked at before a byte of it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    bytes: Vec<u8>,
    hash: Digest,
    version: Version,
    counter: SecurityCounter,
}

/// Bytes that are not sent to a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No image, or a damaged one, or signed by none of the keys.
    #[error("no image for MCUboot that may be sent")]
    Container(#[from] envelope::container::Error),
    /// Its digest is no SHA-256, by which devices name their images.
    #[error("the image's digest is no SHA-256")]
    Digest,
    /// It is signed by none of the keys that the model's bootloader trusts.
    #[error("the image is signed by none of the model's keys")]
    Signature,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} {})", self.version, self.hash)
    }
}

impl Image {
    /// Looks at an image as its bootloader will: whole, its own digest right, and, where the keys that
    /// the bootloader trusts are known, signed by one of them.
    ///
    /// # Errors
    /// What the bootloader would refuse.
    pub fn new(bytes: Vec<u8>, keys: &[PublicKey]) -> Result<Self, ImageError> {
        let image = McubootImage::parse(&bytes)?;
        if !keys.is_empty() && !keys.iter().any(|key| image.verify(key).is_ok()) {
            return Err(ImageError::Signature);
        }
        let hash = image.digest().bytes.try_into().map(Digest::new).map_err(|_| ImageError::Digest)?;
        let (version, counter) = (image.version(), image.security_counter().unwrap_or_default());
        Ok(Self { hash, version, counter, bytes })
    }

    /// All of it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash by which the device knows it.
    pub const fn hash(&self) -> Digest {
        self.hash
    }

    /// Its version.
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// What must not fall.
    pub const fn security_counter(&self) -> SecurityCounter {
        self.counter
    }
}
