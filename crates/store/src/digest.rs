use aws_lc_rs::digest::{Context, SHA256};
use model::Digest;

/// The SHA-256 (FIPS 180-4) of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish()
}

/// A SHA-256 in the making.
pub(crate) struct Hasher(Context);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest::new(self.0.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes"))
    }
}
