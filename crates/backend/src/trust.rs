use std::fmt;

use envelope::{
    Ed25519Key, Signer, TrustKeys, Verified,
    tuf::{Bundled, TRUST_KEYS_TARGET, TargetsView, TrustedState},
};
use model::{TargetName, UnixTime};
use tls::CertificateDer;

/// What the fleet's key holders signed, as far as it is in force.
pub(crate) struct Trust {
    pub(crate) state: TrustedState,
    pub(crate) targets: Verified<TargetsView>,
    pub(crate) keys: Verified<TrustKeys>,
}

impl Trust {
    /// What `state` vouches for; `trust_keys` is the content of `trust/keys.cbor`. Whether it has lapsed
    /// does not matter here: a backend goes on so that people can publish what is newer.
    ///
    /// # Errors
    /// There are no targets yet, or `trust_keys` is not what they name.
    pub(crate) fn new(state: TrustedState, trust_keys: Vec<u8>) -> Result<Self, envelope::Error> {
        let untrusted = |_| envelope::Error::Foreign { field: TRUST_KEYS_TARGET };
        let (raw, issued_at) = state
            .targets()
            .map(|targets| (targets.raw().to_vec(), targets.signed().issued_at))
            .ok_or(envelope::Error::Foreign { field: TRUST_KEYS_TARGET })?;
        let bundle = Bundled { issued_at: issued_at.unwrap_or(UnixTime::EPOCH), expires: UnixTime::MAX };
        let targets = state.clone().accept_bundle(&[], &raw, bundle).map_err(untrusted)?;
        let target = targets
            .target(&trust_keys_target())
            .ok_or(envelope::Error::Foreign { field: TRUST_KEYS_TARGET })?;
        let keys = TrustKeys::from_target(&target.verify(trust_keys).map_err(untrusted)?)?;
        Ok(Self { state, targets, keys })
    }

    /// The path of the trust keys below the metadata's address.
    pub(crate) fn keys_path(&self) -> Option<String> {
        self.targets.target(&trust_keys_target()).map(|target| target.path())
    }

    /// Whether links that `key` signs are believed.
    pub(crate) fn lists_link(&self, key: &Ed25519Key) -> bool {
        self.keys.link_key(key.public_key().id(), UnixTime::EPOCH).is_ok()
    }

    /// The X.509 roots in force.
    pub(crate) fn roots(&self, now: UnixTime) -> Vec<CertificateDer<'static>> {
        self.keys.roots(now).map(|der| CertificateDer::from(der.to_vec())).collect()
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust(targets {})", self.targets.targets_version())
    }
}

pub(crate) fn trust_keys_target() -> TargetName {
    TRUST_KEYS_TARGET.parse().expect("a constant that is a target name")
}
