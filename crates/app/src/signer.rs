use envelope::{PublicKey, Signer};

/// A P-256 key of ours as certificates are signed with it.
pub(crate) struct Ecdsa<'a>(pub(crate) &'a dyn Signer);

impl pki::P256Signer for Ecdsa<'_> {
    fn public_key_sec1(&self) -> [u8; 65] {
        match self.0.public_key() {
            PublicKey::P256(point) => point,
            // No point on the curve: whatever is made with it is refused.
            PublicKey::Ed25519(_) => [0; 65],
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], pki::SignError> {
        self.0.sign(message).map_err(|error| pki::SignError::Failed { reason: error.to_string() })
    }
}
